"""A refresh token is spent by use, and a stolen one gives itself away (docs/protocol.md §3.4)."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts import refresh_tokens, sessions
from accounts.models import Device, RefreshToken, User
from accounts.refresh_tokens import GRACE, LIFE
from accounts.sessions import Session
from kernel.errors import Unauthenticated
from tests.cast import ok

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
LATER = GRACE + timedelta(seconds=1)


def signed_in() -> Session:
    """Somebody, without the cost of a password."""
    user = User.objects.create(username=f"alice.{secrets.token_hex(5)}", password="!")
    with transaction.atomic():
        return sessions.open_session(user, device_name="phone", now=NOW)


@pytest.fixture
def session():
    """Alice's, in this process, at NOW."""
    return signed_in()


def is_revoked(session) -> bool:
    return Device.objects.get(pk=session.device.pk).revoked_at is not None


async def test_a_refreshed_device_goes_on(cast):
    alice = await cast.person("alice")
    before = dict(alice.phone.session)

    await alice.phone.refreshes()

    assert alice.phone.session["refresh"] != before["refresh"]
    assert (await alice.phone.gets("account"))["id"] == alice.id


async def test_an_answer_that_got_lost_can_be_asked_for_again(cast):
    alice = await cast.person("alice")
    spent = {"refresh": alice.phone.session["refresh"]}

    lost = ok(await cast.http().post("accounts/refresh", json=spent))
    again = ok(await cast.http().post("accounts/refresh", json=spent))

    assert again["refresh"] != lost["refresh"]
    assert ok(await cast.http(again["access"]).get("account"))["id"] == alice.id


@pytest.mark.parametrize("token", ["", "x", "é" * 96, "A" * 96, "-" * 96, "A" * 257, None, 7])
async def test_what_is_no_refresh_token_is_refused(cast, token):
    response = await cast.http().post("accounts/refresh", json={"refresh": token})

    assert response.status_code in (400, 401)


def test_a_thief_who_comes_second_ends_it_for_both(session):
    renewed = sessions.refresh(session.refresh, now=NOW)

    with pytest.raises(Unauthenticated, match="used before"):
        sessions.refresh(session.refresh, now=NOW + LATER)

    assert is_revoked(session)
    with pytest.raises(Unauthenticated):
        sessions.refresh(renewed.refresh, now=NOW + LATER)


def test_a_thief_who_comes_first_is_found_out_when_the_owner_comes(session):
    """However often the thief renews meanwhile."""
    stolen, now = session.refresh, NOW
    for _ in range(20):
        now += timedelta(minutes=9)
        stolen = sessions.refresh(stolen, now=now).refresh

    with pytest.raises(Unauthenticated, match="used before"):
        sessions.refresh(session.refresh, now=now)

    assert is_revoked(session)


def test_within_the_grace_two_holders_cannot_both_go_on(session):
    owners = sessions.refresh(session.refresh, now=NOW)
    thief = sessions.refresh(session.refresh, now=NOW + GRACE / 2)
    sessions.refresh(thief.refresh, now=NOW + GRACE)

    with pytest.raises(Unauthenticated, match="used before"):
        sessions.refresh(owners.refresh, now=NOW + GRACE)

    assert is_revoked(session)


def test_a_request_that_was_frozen_costs_the_device_nothing(session):
    """The client had asked another process meanwhile, and holds what that one answered."""
    renewed = sessions.refresh(session.refresh, now=NOW)
    sessions.refresh(session.refresh, now=NOW + GRACE / 2)

    now, token = NOW, renewed.refresh
    for _ in range(3):
        now += timedelta(minutes=9)
        token = sessions.refresh(token, now=now).refresh
    assert not is_revoked(session)
    assert RefreshToken.objects.filter(device_id=session.device.pk).count() == 2


def test_of_two_answers_either_may_be_used_and_ends_the_other(session):
    first, second = (sessions.refresh(session.refresh, now=NOW) for _ in range(2))
    sessions.refresh(second.refresh, now=NOW)

    with pytest.raises(Unauthenticated, match="used before"):
        sessions.refresh(first.refresh, now=NOW)
    assert is_revoked(session)


def test_a_token_holds_sixty_days_from_its_issue(session):
    with pytest.raises(Unauthenticated, match="expired"):
        sessions.refresh(session.refresh, now=NOW + LIFE)

    assert not is_revoked(session)
    day_59 = sessions.refresh(session.refresh, now=NOW + LIFE - timedelta(days=1))
    assert sessions.refresh(day_59.refresh, now=NOW + LIFE + timedelta(days=30)).device.pk == session.device.pk


def test_a_token_that_ended_long_after_it_was_spent_revokes_nothing(session):
    sessions.refresh(session.refresh, now=NOW)

    with pytest.raises(Unauthenticated, match="expired"):
        sessions.refresh(session.refresh, now=NOW + LIFE)

    assert not is_revoked(session)


def test_a_device_keeps_a_handful_of_rows_however_often_it_refreshes(session):
    token, now = session.refresh, NOW
    for _ in range(8):
        now += timedelta(minutes=9)
        token = sessions.refresh(token, now=now).refresh

    assert RefreshToken.objects.filter(device_id=session.device.pk).count() == 2


def test_the_database_does_not_know_the_token(session):
    (stored,) = RefreshToken.objects.filter(device_id=session.device.pk)

    assert session.refresh.encode() not in bytes(stored.digest)
    assert len(stored.digest) == 32
    assert session.refresh not in repr(session)


@settings(max_examples=200)
@given(where=st.integers(0, 95), character=st.sampled_from("ABCabc019-_"), device=st.uuids())
def test_no_character_of_a_refresh_token_can_be_changed(where, character, device):
    token = refresh_tokens.sealed(device, expires_at=NOW + LIFE)
    changed = token[:where] + character + token[where + 1 :]

    if changed != token:
        with pytest.raises(Unauthenticated):
            refresh_tokens.unseal(changed, now=NOW)
    assert refresh_tokens.unseal(token, now=NOW).device_id == device


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["owner", "thief"]), st.integers(0, int(1.5 * GRACE.total_seconds()))),
        max_size=12,
    )
)
def test_owner_and_thief_never_both_go_on(steps):
    """They hold one copy each and come as they like. Once both have renewed, one of the next uses finds it out."""
    session = signed_in()
    held, renewed, now = {"owner": session.refresh, "thief": session.refresh}, [], NOW
    for who, pause in steps:
        now += timedelta(seconds=pause)
        try:
            held[who] = sessions.refresh(held[who], now=now).refresh
            renewed.append(who)
        except Unauthenticated:
            assert is_revoked(session)
            break
    if len(set(renewed)) < 2 or is_revoked(session):
        return

    now += LATER
    failures = 0
    for who in ("owner", "thief"):
        try:
            sessions.refresh(held[who], now=now)
        except Unauthenticated:
            failures += 1
    assert failures and is_revoked(session)
