"""The web client's device and the Python client on one real server: what the one seals the other reads, and their users' keys are
the same ones, whichever of them made or changed them.
"""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from client import FLOOR, SendRefused, VaultOpened
from client.events import IdentityChanged
from tests.cast import until
from tests.client.conftest import People, bodies, finds_itself_signed_out, has, live
from tests.client.sealed import PASSWORD, another_device, person
from tests.client.test_receiving import heard
from tests.web.peer import Peer, RefusedByPeer

OTHER = "seven green ladders over 5 lakes"


class Browser:
    """A browser with the messenger in it, in the peer."""

    def __init__(self, peer, name, origin):
        self._peer, self.name = peer, name
        self.ask("open", origin=origin)

    def ask(self, deed, *args, **told):
        return self._peer.ask(deed, browser=self.name, args=list(args), **told)

    @property
    def me(self):
        return self.ask("account")

    def shown(self, room):
        """Texts of a conversation, or what stands there instead, in order."""
        rows = self.ask("rows", room)
        return [row["text"] or f"[{row['problem']}]" for row in rows if row["kind"] == "message"]

    async def sees(self, room, *texts):
        await self.comes(lambda: self.shown(room) == list(texts), lambda: f"{self.shown(room)} instead of {texts}")

    async def comes(self, look, what=lambda: "it does not come"):
        deadline = time.monotonic() + 60
        while not look():
            assert time.monotonic() < deadline, what()
            await asyncio.sleep(0.05)  # the peer tells nobody

    async def live(self):
        await self.comes(lambda: self.ask("connection")["state"] == "live", lambda: self.ask("connection"))
        return self

    def notices(self):
        return [notice["kind"] for notice in self.ask("notices")]

    def refused(self, deed, *args):
        with pytest.raises(RefusedByPeer) as refusal:
            self.ask(deed, *args)
        return refusal.value.code


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    peer = Peer("device/peer.ts", tmp_path_factory.mktemp("device"))
    yield peer
    peer.close()


class Browsers:
    def __init__(self, peer, origin, tag):
        self._peer, self._origin, self._tag, self._count = peer, origin, tag, 0

    def opens(self):
        self._count += 1
        return Browser(self._peer, f"{self._tag}-{self._count}", self._origin)

    async def signs_up(self, name):
        browser = self.opens()
        browser.ask("signUp", f"{name}.{self._tag}", PASSWORD, "browser")
        return await browser.live()

    async def signs_in(self, username, password=PASSWORD):
        browser = self.opens()
        browser.ask("signIn", username, {"password": password}, "browser")
        return await browser.live()


@pytest_asyncio.fixture(loop_scope="session")
async def people(system, tmp_path):
    async with AsyncExitStack() as closing:
        yield People(system.urls, tmp_path, closing)


@pytest.fixture
def browsers(peer, system, people):
    return Browsers(peer, system.url, people.tag())


async def another_with(people, username, password):
    client = await people.opens(sealer=None, strength=FLOOR)
    await client.sign_in(username, password, device_name="laptop")
    return await live(client)


async def test_a_browser_and_a_terminal_talk(people, browsers):
    alice, bob = await browsers.signs_up("alice"), await person(people, "bob")
    room = alice.ask("openDirect", bob.me.user)

    alice.ask("send", room, "hello, terminal 🪿")
    await until(lambda: bodies(bob, room) == ["hello, terminal 🪿".encode()])
    await bob.send(room, b"hello, browser")

    await alice.sees(room, "hello, terminal 🪿", "hello, browser")
    number = await bob.keys.safety_number(alice.me["user"])
    assert alice.ask("safety", bob.me.user)["number"] == number
    alice.ask("scanned", bob.keys.qr_text(), bob.me.user)
    assert alice.ask("safety", bob.me.user)["verified"]
    await bob.keys.scanned(alice.ask("safety", bob.me.user)["qr"])
    assert bob.keys.is_verified(alice.me["user"])
    assert bob.epochs.readers(room) is not None


async def test_a_browser_reads_what_its_user_was_sent_before(people, browsers):
    """By the password, and by the recovery key."""
    alice, bob = await person(people, "alice"), await person(people, "bob")
    recovery_key = alice.keys.recovery_key
    room = (await alice.direct_room(bob.me.user)).id
    for number in range(3):
        await bob.send(room, b"%d" % number)
    await has(alice, room, b"0", b"1", b"2")

    browser = await browsers.signs_in(alice.me.username)
    await browser.sees(room, "0", "1", "2")
    other = browsers.opens()
    other.ask("signIn", alice.me.username, {"recoveryKey": recovery_key}, "another")
    await (await other.live()).sees(room, "0", "1", "2")

    other.ask("send", room, "from here")
    await until(lambda: bodies(bob, room)[-1:] == [b"from here"])
    await browser.sees(room, "0", "1", "2", "from here")


async def test_a_terminal_reads_what_a_browsers_user_was_sent_before(people, browsers):
    alice, bob = await browsers.signs_up("alice"), await person(people, "bob")
    room = alice.ask("openDirect", bob.me.user)
    alice.ask("send", room, "mine")
    await until(lambda: bodies(bob, room) == [b"mine"])
    await bob.send(room, b"yours")

    terminal = await another_with(people, alice.me["username"], PASSWORD)
    await terminal.fetch_history()
    assert bodies(terminal, room) == [b"mine", b"yours"]
    by_key = await people.opens(sealer=None, strength=FLOOR)
    await by_key.recover(alice.me["username"], alice.ask("recoveryKey"), device_name="by the key")
    assert not by_key.keys.is_locked
    await alice.comes(lambda: alice.notices().count("vault-opened") == 2, alice.notices)
    assert {notice.get("deviceName") for notice in alice.ask("notices")} >= {"laptop", "by the key"}


async def test_a_browser_revokes_a_terminal_and_the_other_terminal_goes_on(people, browsers):
    alice, bob = await browsers.signs_up("alice"), await person(people, "bob")
    room = alice.ask("openDirect", bob.me.user)
    lost = await another_with(people, alice.me["username"], PASSWORD)
    kept = await another_with(people, alice.me["username"], PASSWORD)
    alice.ask("send", room, "one")
    await until(lambda: bodies(kept, room) == bodies(bob, room) == [b"one"])

    alice.ask("revokeDevice", lost.me.device, PASSWORD)

    await finds_itself_signed_out(lost)
    await until(lambda: kept.keys.own.newest_version == 2)
    await bob.send(room, b"two")
    await alice.sees(room, "one", "two")
    await has(kept, room, b"one", b"two")
    assert kept.epochs.newest(room) == 2


async def test_a_terminal_revokes_and_the_browser_goes_on_by_itself(people, browsers):
    alice, bob = await person(people, "alice"), await person(people, "bob")
    lost = await another_device(people, alice)
    browser = await browsers.signs_in(alice.me.username)
    room = (await alice.direct_room(bob.me.user)).id

    await alice.keys.revoke_device(lost.me.device, PASSWORD)
    await bob.send(room, b"after that")

    await browser.sees(room, "after that")
    assert "keys-locked" not in browser.notices()


async def test_secrets_that_one_changes_hold_for_the_other(people, browsers):
    alice = await browsers.signs_up("alice")
    username = alice.me["username"]
    alice.ask("changePassword", {"password": PASSWORD}, OTHER)
    terminal = await another_with(people, username, OTHER)
    assert alice.refused("unlock", PASSWORD) == "wrong_secret"
    alice.ask("unlock", OTHER)

    await terminal.keys.change_password(OTHER, PASSWORD)
    assert alice.refused("unlock", OTHER) == "wrong_secret"
    key = await terminal.keys.new_recovery_key(PASSWORD)
    browser = browsers.opens()
    browser.ask("signIn", username, {"recoveryKey": key}, "by the key")
    await browser.live()
    browser.ask("newRecoveryKey", PASSWORD)
    by_key = await people.opens(sealer=None, strength=FLOOR)
    await by_key.recover(username, browser.ask("recoveryKey"), device_name="by another key")
    assert not by_key.keys.is_locked


async def test_history_for_all_is_given_by_either(people, browsers):
    alice, bob, carol = await browsers.signs_up("alice"), await person(people, "bob"), await browsers.signs_up("carol")
    room = alice.ask("createGroup", [bob.me.user], "all")
    alice.ask("send", room, "one")
    await until(lambda: bodies(bob, room) == [b"one"])
    alice.ask("addMembers", room, [carol.me["user"]])
    await bob.send(room, b"two")
    await carol.comes(lambda: carol.shown(room)[-1:] == ["two"], lambda: carol.shown(room))

    dave = await person(people, "dave")
    alice.ask("addMembers", room, [dave.me.user])
    carol.ask("send", room, "three")
    await until(lambda: bodies(dave, room)[-1:] == [b"three"])


async def test_who_was_verified_and_begins_again_is_not_written_to(people, browsers):
    alice, bob = await browsers.signs_up("alice"), await person(people, "bob")
    room = alice.ask("openDirect", bob.me.user)
    alice.ask("safety", bob.me.user)
    alice.ask("verify", bob.me.user, True)
    await bob.keys.scanned(alice.ask("safety", bob.me.user)["qr"])
    alice.ask("send", room, "before")
    await alice.sees(room, "before")

    await bob.keys.reset(PASSWORD)
    await alice.comes(lambda: "identity" in alice.notices(), alice.notices)
    with pytest.raises(RefusedByPeer) as refused:
        alice.ask("send", room, "who are you?")
    assert refused.value.code == "identity_changed"
    alice.ask("safety", bob.me.user)
    alice.ask("verify", bob.me.user, True)
    alice.ask("send", room, "so it is you")
    await until(lambda: bodies(bob, room)[-1:] == [b"so it is you"])

    news = bob.events()
    alice.ask("reset", PASSWORD)
    await heard(news, IdentityChanged)
    with pytest.raises(SendRefused):
        await bob.send(room, b"and you?")
    assert bob.keys.is_held(alice.me["user"])


async def test_the_terminal_hears_that_a_browser_opened_the_vault(people, browsers):
    alice = await person(people, "alice")
    news = alice.events()
    browser = await browsers.signs_in(alice.me.username)
    assert (await heard(news, VaultOpened)).device == browser.me["device"]
