"""Where the server goes by `restrict` and discloses no blocks: lifting a block waits for every device, and nobody learns of one."""

from contextlib import AsyncExitStack

import pytest

from client import Blocked, DevicesLag, MessageRejected, OfflineUnblock, SendRefused
from client.connections import syncing
from tests.cast import until
from tests.client.conftest import People, has, live
from tests.client.test_connections import between, shows, two


@pytest.fixture
async def people(restricted, tmp_path):
    async with AsyncExitStack() as closing:
        yield People(restricted.urls, tmp_path, closing)


class TestLiftingABlock:
    async def test_waits_for_the_other_devices_if_the_user_wants_that(self, people, monkeypatch):
        monkeypatch.setattr(syncing, "LAG_S", 0.05)
        asked = []

        async def wait(lag):
            asked.append(lag)
            return "wait"

        alice, bob, _ = await two(people, on_lag=wait)
        laptop = await people.another_device(alice)
        await alice.connections.block(bob.me.user)
        pressed = alice.connections.unblock(bob.me.user)
        await until(lambda: asked)

        carol = await people.person("carol")
        assert (await alice.connections.block(carol.me.user)).blocked  # nobody else is kept waiting
        assert between(alice, bob) == ("none", True, False)
        await laptop.fetch()

        assert (await pressed).blocked is False
        (lag,) = asked
        assert [(device.id, device.name) for device in lag.devices] == [(laptop.me.device, "laptop")]

    async def test_is_refused_without_a_callback(self, people):
        alice, bob, _ = await two(people)
        laptop = await people.another_device(alice)
        await alice.connections.block(bob.me.user)

        with pytest.raises(DevicesLag) as refused:
            await alice.connections.unblock(bob.me.user)

        assert [device.id for device in refused.value.lag.devices] == [laptop.me.device]
        assert alice.connections.waiting() == []
        assert between(alice, bob) == ("none", True, False)

    async def test_is_not_offered_offline(self, people):
        alice, bob, _ = await two(people)
        await alice.connections.block(bob.me.user)
        await until(lambda: alice.connections.consistency == "restrict")
        assert alice.connections.can_unblock

        await alice.disconnect()
        assert not alice.connections.can_unblock
        with pytest.raises(OfflineUnblock):
            alice.connections.unblock(bob.me.user)
        assert alice.connections.waiting() == []

        await live(alice)
        assert (await alice.connections.unblock(bob.me.user)).blocked is False

    async def test_a_device_that_does_not_know_the_rule_yet_offers_nothing(self, people):
        alice = await people.person("alice")
        laptop = await people.another_device(alice)

        assert laptop.connections.consistency is None
        assert not laptop.connections.can_unblock

    async def test_a_block_is_taken_offline_too(self, people):
        alice, bob, _ = await two(people)
        await alice.disconnect()
        pressed = alice.connections.block(bob.me.user)
        await live(alice)

        assert (await pressed).blocked


async def test_who_is_blocked_never_learns_it(people):
    alice, bob, room = await two(people)
    carol = await people.person("carol")
    with_carol = await bob.direct_room(carol.me.user)
    await alice.connections.block(bob.me.user)
    await shows(alice, bob, "none", True, False)

    sent = await bob.send(room, b"are you there?")
    await bob.send(with_carol.id, b"a later one")
    await has(carol, with_carol.id, b"a later one")
    await has(bob, room, b"are you there?")

    assert bob.connections.discloses_blocks is False
    assert (between(bob, alice), bob.connections.version) == (("none", False, False), 0)
    (message,) = bob.messages(room)
    assert (message.id, message.refused) == (sent.id, False)
    assert not any(isinstance(entry, MessageRejected) for entry in bob.mailbox())
    assert alice.messages(room) == []
    # The blocker's own device knows, and keeps still.
    with pytest.raises(Blocked) as blocked:
        alice.queue(room, b"go away")
    assert isinstance(blocked.value, SendRefused)
