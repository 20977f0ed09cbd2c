"""Tokens of the Python client: replaced before they end, once, and kept."""

import asyncio

import pytest

from client import Client, MailboxDiverged, Refused, SignedOut, Unreachable
from client.protocol.answers import Tokens
from client.session import Session
from client.store import Store
from client.transport.rest import Rest
from tests.client.conftest import PASSWORD, live
from tests.client.plain import Plain


class CountingRest(Rest):
    """The real one, which remembers where it went."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.paths: list[str] = []

    async def request(self, method, path, body=None, *, token=None, if_match=None):
        self.paths.append(path)
        return await super().request(method, path, body, token=token)


def age(store: Store) -> None:
    """Let the access token be about to end."""
    tokens = store.identity.load().tokens
    store.identity.save_tokens(Tokens(tokens.access, 0, tokens.refresh, tokens.refresh_expires_at))


@pytest.fixture
async def session(people, system, tmp_path):
    alice = await people.person("alice", store=tmp_path / "alice.db")
    await alice.close()
    store, rest = Store(tmp_path / "alice.db"), CountingRest(system.url)
    age(store)
    yield Session(rest, store, patience=5)
    await rest.close()
    store.close()


async def test_many_at_once_cause_one_refresh(session):
    answers = await asyncio.gather(*(session.request("GET", "account") for _ in range(8)))

    assert len({answer["id"] for answer in answers}) == 1
    assert session._rest.paths.count("accounts/refresh") == 1


async def test_the_new_tokens_are_kept(session):
    old = session.signed_in.tokens
    await session.request("GET", "account")

    kept = session._identity.load().tokens
    assert kept == session.signed_in.tokens
    assert kept.refresh != old.refresh


async def test_a_token_that_the_server_refuses_is_replaced(session):
    await session.access()
    good = session.signed_in.tokens
    session._identity.save_tokens(Tokens("nonsense", 2**52, good.refresh, good.refresh_expires_at))
    again = Session(session._rest, _StoreOf(session), patience=5)

    assert (await again.request("GET", "account"))["id"] == session.signed_in.user


class _StoreOf:
    def __init__(self, session: Session) -> None:
        self.identity = session._identity


async def test_a_refused_refresh_signs_out(session, people):
    tokens = session.signed_in.tokens
    session._identity.save_tokens(Tokens(tokens.access, 0, "nonsense", tokens.refresh_expires_at))
    again = Session(session._rest, _StoreOf(session), patience=5)

    with pytest.raises(SignedOut):
        await again.request("GET", "account")
    assert not again.is_signed_in


async def test_a_sign_in_survives_the_process_and_an_aged_token(people, tmp_path):
    alice = await people.person("alice", store=tmp_path / "alice.db")
    name = alice.me.username
    await alice.close()
    store = Store(tmp_path / "alice.db")
    age(store)
    store.close()

    alice = await live(await people.opens(tmp_path / "alice.db"))

    assert alice.me.username == name
    assert (await alice.account())["username"] == name


async def test_a_store_serves_one_user(people, tmp_path):
    alice, bob = await people.person("alice", store=tmp_path / "alice.db"), await people.person("bob")
    await alice.sign_out()

    with pytest.raises(MailboxDiverged):
        await alice.sign_in(bob.me.username, PASSWORD, device_name="stolen")


async def test_refusals_say_what_the_server_said(people):
    alice = await people.person("alice")
    stranger = await people.opens()

    with pytest.raises(Refused) as refused:
        await stranger.sign_in(alice.me.username, "not the password", device_name="?")
    assert (refused.value.code, refused.value.problem.status) == ("bad_credentials", 401)
    with pytest.raises(Refused) as refused:
        await alice.find_user("nobody.by.that.name")
    assert refused.value.code == "not_found"
    assert await alice.find_user(alice.me.username) == alice.me.user


async def test_no_server_is_said_to_be_unreachable(tmp_path, unused_tcp_port):
    async with Client(f"http://127.0.0.1:{unused_tcp_port}", tmp_path / "a.db", patience=0, sealer=Plain()) as nobody:
        with pytest.raises(Unreachable):
            await nobody.register("alice", PASSWORD, device_name="phone")
