"""A room of 1 000: its epoch has 1 000 lines and wraps, and goes through every limit on the way."""

import asyncio
from hashlib import sha256
from uuid import UUID

import orjson
import pytest
from django.db import connection

from accounts.models import User, UserKeys
from chat.models import EpochWrap, Membership
from kernel import limits
from tests.cast import b64, unb64
from tests.epochs.maker import a_wrap, digest_of

CROWD = limits.MEMBERS - 2


def fill(room):
    """Have it full of people with keys of their own; everybody's lines."""
    users = User.objects.bulk_create(User(username=f"crowd-{room[-12:]}-{n}", password="!") for n in range(CROWD))
    stored = {"seq": 1, "payload": b"{}", "signature": bytes(64), "digest": bytes(32), "stored_at": users[0].created_at}
    UserKeys.objects.bulk_create(
        UserKeys(user=user, uik=key_of(user), uek_version=n % 3 + 1, uek_public=key_of(user), **stored)
        for n, user in enumerate(users)
    )
    Membership.objects.bulk_create(Membership(room_id=room, user=user) for user in users)
    rows = UserKeys.objects.filter(user__memberships__room_id=room).values_list("user_id", "uik", "uek_version")
    lines = sorted([str(user), b64(bytes(key)), version] for user, key, version in rows)
    connection.close()
    return lines


def key_of(user):
    return sha256(user.pk.bytes).digest()


def stored_wraps(room):
    wraps = EpochWrap.objects.filter(room_id=room, epoch=1).values_list("user_id", "version", "sealed")
    found = {user: (version, bytes(sealed)) for user, version, sealed in wraps}
    connection.close()
    return found


@pytest.fixture
async def crowd(group):
    return await asyncio.to_thread(fill, group.id)


def body_of(by, group, lines):
    record = group.record(by, roster=digest_of(lines))
    wraps = {user: a_wrap(version) for user, _, version in lines}
    return group.body(by, record=record) | {"roster": lines, "wraps": wraps}


async def test_it_is_made_and_everybody_has_the_own_wrap(alice, bob, group, crowd):
    body = body_of(alice, group, crowd)
    assert len(crowd) == limits.MEMBERS
    assert 250_000 < len(orjson.dumps(body)) < limits.EPOCH_BYTES / 2

    assert (await group.tries(alice, body))[0] == 201

    page = await bob.person.phone.gets(f"rooms/{group.id}/epochs")
    assert page["epochs"][0]["wrap"] == body["wraps"][bob.person.id]
    assert (await bob.person.phone.gets(f"rooms/{group.id}/epochs/1/roster"))["roster"] == crowd
    found = await asyncio.to_thread(stored_wraps, group.id)
    assert found == {UUID(user): (wrap["ver"], unb64(wrap["ct"])) for user, wrap in body["wraps"].items()}


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda line: {**line, "ct": line["ct"][:-1] + "B"}, "invalid"),
        (lambda line: {**line, "ct": line["ct"][:50] + "+" + line["ct"][51:]}, "invalid"),
        (lambda line: {**line, "ct": line["ct"][1:]}, "invalid"),
        (lambda line: {**line, "ct": line["ct"] + "A"}, "invalid"),
        (lambda line: {**line, "ver": float(line["ver"])}, "invalid"),
    ],
)
async def test_one_bad_wrap_among_them_is_seen(alice, group, crowd, spoil, code):
    body = body_of(alice, group, crowd)
    victim = crowd[500][0]
    body["wraps"][victim] = spoil(body["wraps"][victim])

    assert (await group.tries(alice, body))[:2] == (400, code)


async def test_one_other_key_among_them_is_named(alice, group, crowd):
    victim, _, version = crowd[500]
    crowd[500] = [victim, b64(bytes(32)), version]

    status, code, said = await group.tries(alice, body_of(alice, group, crowd))
    assert (status, code, said["users"]) == (409, "userkeys_changed", [victim])


async def test_nobody_is_there_twice_nor_under_a_made_up_name(alice, group, crowd):
    """Texts that only together spell the true list."""
    (one, key, version), (other, *rest) = crowd[:2]
    joined = [f"{one}:{key}:{version}\n{other}", *rest]

    assert (await group.tries(alice, body_of(alice, group, [joined, *crowd[2:]])))[:2] == (409, "userkeys_changed")
    assert (await group.tries(alice, body_of(alice, group, [*crowd, [*crowd[0]]])))[:2] == (400, "invalid")
