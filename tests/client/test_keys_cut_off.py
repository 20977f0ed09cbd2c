"""The client dies, or the network does, at each request of each change of keys; then the user does the obvious thing.

Every story is told once for each request that the change makes, cut before it reached the server and cut after. It ends the
same each time: one account, one identity, keys that open, a recovery key that the user has been shown and that works.
"""

import asyncio
import itertools

import pytest

from client import FLOOR, LetterlockError, Refused, Unreachable
from client.keys.keyring import Keyring
from tests.cast import until
from tests.client.between import Between, Gate
from tests.client.conftest import bodies, finds_itself_signed_out, live
from tests.client.sealed import PASSWORD, person

OTHER = "seven green ladders over 5 lakes"
CUTS = pytest.mark.parametrize("what", ["request", "answer"])


async def opened(people, store, **options):
    return await people.opens(store, **{"sealer": None, "strength": FLOOR} | options)


async def cuts(people, tmp_path, what, change):
    """Run `change` on a store again and again, cut at the first, second, … request; each time a client on what is left.

    `change(client)` is given a client whose network will go; it yields nothing and may raise Unreachable.
    """
    for number in itertools.count(1):
        store = tmp_path / f"cut-{what}-{number}.db"
        client = await opened(people, store, patience=0.0)
        before = await change.prepared(client)
        between = Between(client)
        between.cuts(number, what)
        try:
            await change.done(client, before)
        except (Unreachable, Refused):
            assert between.is_cut, f"request {number} was not cut, and it failed: {between.passed}"
        await client.close()
        yield await opened(people, store), before, between
        if not between.is_cut:
            assert number > 1, "nothing was asked"
            return


def is_whole(client):
    """Whether this device has all keys, and those that its user's document, and so everybody else, names."""
    announced = known(client).encryption
    held = client.keys.own.encryption_key(announced.version)
    return not client.keys.is_locked and held is not None and held.announced == announced


async def talks(people, client):
    """One can write to, and hear, this client."""
    assert is_whole(client)
    await live(client)
    friend = await person(people, "friend")
    room = await friend.direct_room(client.me.user)
    await friend.send(room.id, b"hello")
    await until(lambda: bodies(client, room.id) == [b"hello"])
    await client.send(room.id, b"hello back")
    await until(lambda: bodies(friend, room.id) == [b"hello", b"hello back"])


async def recovers(people, client, text):
    """Whether this recovery key brings in another device, which then has all the user's keys."""
    other = await people.opens(sealer=None, strength=FLOOR)
    try:
        await other.recover(client.me.username, text, device_name="by the key")
    except Refused as refusal:
        assert refusal.code == "bad_credentials"
        return False
    assert not other.keys.is_locked
    return True


class Registering:
    def __init__(self, people):
        self.people = people

    async def prepared(self, client):
        return f"alice.{self.people.tag()}"

    async def done(self, client, name):
        await client.register(name, PASSWORD, device_name="phone")


@CUTS
async def test_signing_up(people, tmp_path, what):
    change = Registering(people)
    async for alice, name, _ in cuts(people, tmp_path, what, change):
        if not alice.is_signed_in:
            await change.done(alice, name)
        elif alice.keys.is_locked:
            await live(alice)
            await until(lambda alice=alice: alice.keys.watch._told_locked or not alice.keys.is_locked)
            if alice.keys.is_locked:
                await alice.keys.unlock(PASSWORD)

        assert is_whole(alice)
        assert await recovers(people, alice, alice.keys.recovery_key)
        assert len([device for device in await alice.devices() if device.name == "phone"]) <= 2
    await talks(people, alice)


async def somebody(people):
    """Alice on her phone, which is not connected."""
    alice = await people.opens(sealer=None, strength=FLOOR)
    await alice.register(f"alice.{people.tag()}", PASSWORD, device_name="phone")
    return alice


class SigningIn:
    def __init__(self, people):
        self.people = people

    async def prepared(self, client):
        return await somebody(self.people)

    async def done(self, client, alice):
        await client.sign_in(alice.me.username, PASSWORD, device_name="laptop")


@CUTS
async def test_signing_in(people, tmp_path, what):
    change = SigningIn(people)
    async for laptop, alice, _ in cuts(people, tmp_path, what, change):
        if not laptop.is_signed_in:
            await change.done(laptop, alice)
        elif laptop.keys.is_locked:
            await laptop.keys.unlock(PASSWORD)

        assert is_whole(laptop)
        assert {device.id for device in known(laptop).live} == {alice.me.device, laptop.me.device}


class Recovering:
    def __init__(self, people):
        self.people = people

    async def prepared(self, client):
        return await somebody(self.people)

    async def done(self, client, alice):
        text = alice.keys.recovery_key
        await client.recover(alice.me.username, text, device_name="laptop", new_password=OTHER)


@CUTS
async def test_recovering_with_another_password(people, tmp_path, what):
    change = Recovering(people)
    async for laptop, alice, _ in cuts(people, tmp_path, what, change):
        text = alice.keys.recovery_key
        if not laptop.is_signed_in:
            await change.done(laptop, alice)
        else:
            await laptop.keys.change_password(None, OTHER, recovery_key=text)
            await laptop.keys.unlock(OTHER)

        assert is_whole(laptop)
        again = await people.opens(sealer=None, strength=FLOOR)
        await again.sign_in(alice.me.username, OTHER, device_name="tablet")
        assert not again.keys.is_locked


class OnAPhone:
    """Changes of somebody who has keys."""

    def __init__(self, people, change):
        self.people, self.done = people, change

    async def prepared(self, client):
        await client.register(f"alice.{self.people.tag()}", PASSWORD, device_name="phone")
        text = client.keys.recovery_key
        client.keys.confirm_recovery_key()
        return text


@CUTS
async def test_another_recovery_key(people, tmp_path, what):
    """Whatever happens, the user knows which one holds: the first, or the one that is shown."""
    ends = set()
    change = OnAPhone(people, lambda client, _: client.keys.new_recovery_key(PASSWORD))
    async for alice, first, between in cuts(people, tmp_path, what, change):
        await alice.keys.watch.look()
        shown = alice.keys.recovery_key

        assert await recovers(people, alice, shown or first)
        assert shown is None or not await recovers(people, alice, first)
        assert (shown is not None) == (between.count("PUT e2ee/vault") == 1)
        ends.add(shown is None)
        assert is_whole(alice)
    assert ends == {True, False}


@CUTS
async def test_another_password(people, tmp_path, what):
    """Either the old one holds or the new one, for the account and for the vault."""
    ends = set()
    change = OnAPhone(people, lambda client, _: client.keys.change_password(PASSWORD, OTHER))
    async for alice, _, between in cuts(people, tmp_path, what, change):
        holds, not_any_more = (PASSWORD, OTHER)
        if between.count("POST account/password"):
            holds, not_any_more = not_any_more, holds
        laptop = await people.opens(sealer=None, strength=FLOOR)
        with pytest.raises(Refused):
            await laptop.sign_in(alice.me.username, not_any_more, device_name="laptop")
        await laptop.sign_in(alice.me.username, holds, device_name="laptop")
        assert not laptop.keys.is_locked
        ends.add(holds)
    assert ends == {PASSWORD, OTHER}


@CUTS
async def test_beginning_again(people, tmp_path, what):
    change = OnAPhone(people, lambda client, _: client.keys.reset(PASSWORD))
    async for alice, first, between in cuts(people, tmp_path, what, change):
        await alice.keys.watch.look()
        shown = alice.keys.recovery_key

        assert (shown is not None) == (between.count("POST e2ee/reset") == 1)
        assert is_whole(alice)
        assert await recovers(people, alice, shown or first)
        assert shown is None or not await recovers(people, alice, first)


class Revoking(OnAPhone):
    def __init__(self, people):
        super().__init__(people, self.revokes)

    async def prepared(self, client):
        await super().prepared(client)
        tablet, laptop = [await self.people.opens(sealer=None, strength=FLOOR) for _ in range(2)]
        for device, name in ((tablet, "tablet"), (laptop, "laptop")):
            await device.sign_in(client.me.username, PASSWORD, device_name=name)
        return tablet.me.device, laptop

    @staticmethod
    async def revokes(client, before):
        await client.keys.revoke_device(before[0], PASSWORD)


@CUTS
async def test_revoking_a_device(people, tmp_path, what):
    """If the change was made ready, it goes out by itself; else the user is told that it failed, and does it again."""
    change = Revoking(people)
    async for alice, (tablet, laptop), between in cuts(people, tmp_path, what, change):
        was_ready = between.count("POST e2ee/users/query") and (what == "answer" or between.count("GET e2ee/vault"))
        document = await own(alice)
        if document.device(tablet).until is None:
            await change.revokes(alice, (tablet, laptop))
        else:
            assert was_ready
        assert known(alice).device(tablet).until is not None
        assert known(alice).encryption.version == 2
        assert tablet not in {device.id for device in await alice.devices()}
        assert is_whole(alice)
        await laptop.keys.watch.look()
        assert is_whole(laptop)


def known(client):
    return client.keys.others.known(client.me.user)


async def own(client):
    """The document, when what was under way has been finished."""
    async with client.keys.account._publisher.lock:
        await client.keys.account._publisher.finish()
    return (await client.keys.others.get([client.me.user], fresh=True))[client.me.user]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_at_each_write_while_signing_up(people, tmp_path, when, monkeypatch):
    """Not the network goes but the process: before or after each time that keys are written."""
    write = Keyring._keep
    left = 0

    def kept(self, ring):
        nonlocal left
        left -= 1
        if left == 0 and when == "before":
            raise Killed
        write(self, ring)
        if left == 0:
            raise Killed

    for number in itertools.count(1):
        store, name = tmp_path / f"killed-{when}-{number}.db", f"alice.{people.tag()}"
        alice, left = await opened(people, store), number
        with monkeypatch.context() as patched:
            patched.setattr(Keyring, "_keep", kept)
            try:
                await alice.register(name, PASSWORD, device_name="phone")
            except Killed:
                pass
        is_over = left > 0
        await alice.close()

        again = await opened(people, store)
        if not again.is_signed_in:
            await again.register(name, PASSWORD, device_name="phone")
        else:
            await again.keys.watch.look()
            if again.keys.is_locked:
                await again.keys.unlock(PASSWORD)
        assert not again.keys.is_locked
        assert await recovers(people, again, again.keys.recovery_key)
        await again.close()
        if is_over:
            assert number > 3
            return


async def test_what_was_pressed_is_not_forgotten_when_the_vault_is_opened_for_something_else(people, tmp_path):
    """The revocation was ready and did not get out; the next thing that alice does is to change her password."""
    alice = await opened(people, tmp_path / "alice.db", patience=0.0)
    await alice.register(f"alice.{people.tag()}", PASSWORD, device_name="phone")
    tablet = await people.opens(sealer=None, strength=FLOOR)
    await tablet.sign_in(alice.me.username, PASSWORD, device_name="tablet")
    revoked = tablet.me.device
    between = Between(alice)
    between.cuts(4, "request")
    with pytest.raises(Unreachable, match="PUT e2ee/userkeys"):
        await alice.keys.revoke_device(revoked, PASSWORD)
    between.mends()

    await alice.keys.change_password(PASSWORD, OTHER)

    assert known(alice).device(revoked).until is not None
    assert is_whole(alice)
    assert revoked not in {device.id for device in await alice.devices()}


class TestWhatIsOvertaken:
    """Signing up came through, its answer did not; and before the phone is back, another device has changed the keys."""

    @pytest.fixture
    async def phone(self, people, tmp_path):
        phone = await opened(people, tmp_path / "phone.db", patience=0.0)
        Between(phone).cuts(2, "answer")
        with pytest.raises(Unreachable):
            await phone.register(f"alice.{people.tag()}", PASSWORD, device_name="phone")
        assert phone.keys.recovery_key is None
        laptop = await people.opens(sealer=None, strength=FLOOR)
        await laptop.sign_in(phone.me.username, PASSWORD, device_name="laptop")
        self.laptop, self.first = laptop, phone.me
        await phone.close()
        return await opened(people, tmp_path / "phone.db")

    async def test_the_recovery_key_is_shown_all_the_same(self, people, phone):
        await live(phone)
        await until(lambda: phone.keys.recovery_key)
        # It is shown before the phone asks whether another device has been at the keys since.
        await until(lambda: known(phone).digest == known(self.laptop).digest)
        assert is_whole(phone)
        assert await recovers(people, phone, phone.keys.recovery_key)

    async def test_also_when_the_phone_signs_in_anew(self, people, phone):
        await self.laptop.revoke_device(self.first.device)
        await finds_itself_signed_out(phone)
        await phone.sign_in(self.first.username, PASSWORD, device_name="phone again")
        assert is_whole(phone)
        assert await recovers(people, phone, phone.keys.recovery_key)

    async def test_but_not_one_that_another_has_taken_the_place_of(self, people, phone):
        text = await self.laptop.keys.new_recovery_key(PASSWORD)
        await phone.keys.watch.look()
        assert phone.keys.recovery_key is None
        assert phone.keys.own.ring.pending is None
        # Nothing but the vault tells any more whether the phone's keys are the account's.
        assert phone.keys.is_locked
        await phone.keys.unlock(PASSWORD)
        assert is_whole(phone)
        assert await recovers(people, phone, text)


async def test_two_devices_that_find_no_keys_end_with_the_same(people):
    """Signing up was cut off, and the user goes on with two devices at once."""
    phone = await people.opens(sealer=None, strength=FLOOR, patience=0.0)
    name = f"alice.{people.tag()}"
    Between(phone).cuts(2, "request")
    with pytest.raises(LetterlockError):
        await phone.register(name, PASSWORD, device_name="phone")
    laptop, tablet = [await people.opens(sealer=None, strength=FLOOR) for _ in range(2)]
    gates = [Gate(client, "GET e2ee/vault") for client in (laptop, tablet)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(laptop.sign_in(name, PASSWORD, device_name="laptop"))
        tasks.create_task(tablet.sign_in(name, PASSWORD, device_name="tablet"))
        for gate in gates:
            await gate.reached.wait()
        for gate in gates:
            gate.open.set()

    assert laptop.keys.others.known(laptop.me.user).identity == tablet.keys.others.known(tablet.me.user).identity
    shown = [text for text in (laptop.keys.recovery_key, tablet.keys.recovery_key) if text is not None]
    assert len(shown) == 1
    assert await recovers(people, laptop, shown[0])
    assert await recovers(people, tablet, shown[0])
