"""Live frames while Valkey is away or a host is deaf: marks that only grow are told as soon as somebody hears them."""

import asyncio
import json
import time

import pytest
from channels.layers import get_channel_layer

from delivery import hints, push
from delivery.hints import Hints
from delivery.registry import Facts
from delivery.registry import valkey as registry_in_valkey
from delivery.registry.valkey import ValkeyRegistry
from kernel import valkey
from kernel.ids import uuid7
from tests.blocks.conftest import block
from tests.cast import until
from tests.delivery.depot import person

pytestmark = pytest.mark.usefixtures("depot")


class Listener:
    """A host that says it is there, and what it hears."""

    def __init__(self):
        self.id = f"test.{uuid7()}"
        self.heard = []
        self._layer = get_channel_layer()
        self._task = None

    async def listens(self):
        channel = await self._layer.new_channel("host.")
        await self._layer.group_add(push.group_of(self.id), channel)
        self._task = asyncio.create_task(self._listen(channel))

    async def _listen(self, channel):
        while True:
            for users, text, exclude in (await self._layer.receive(channel))["hints"]:
                self.heard.append((users, json.loads(text), exclude))

    async def hears(self, count, patience_s=10):
        await until(lambda: len(self.heard) >= count, f"{count} frames", patience_s)
        return [(users, frame) for users, frame, _ in self.heard]

    async def stop(self):
        if self._task is not None:
            self._task.cancel()
        await self._layer.flush()
        ValkeyRegistry().leave(self.id)


@pytest.fixture
async def host(monkeypatch):
    """One of two: a single one is given everything, whoever it holds."""
    monkeypatch.setattr(registry_in_valkey, "LEASE_MS", 60_000)  # nobody renews it
    listener, other = Listener(), Listener()
    for each in (listener, other):
        ValkeyRegistry().renew(each.id, Facts(url="http://127.0.0.1:1"))
    await until(lambda: {listener.id, other.id} <= set(push.live_hosts()))
    yield listener
    valkey.client()._away_until = 0
    for each in (listener, other):
        await each.stop()


@pytest.fixture
def alice(host):
    return at(host, "alice")


@pytest.fixture
def bob():
    return person("bob")


def at(host, name):
    """Somebody with a socket at this host."""
    made = person(name)
    ValkeyRegistry().route(host.id, add={made.id})
    return made


def receipts(*readers):
    return {
        "type": "receipts",
        "receipts": [{"room": "kitchen", "user": who.id, "delivered": "hello"} for who in readers],
    }


async def test_what_valkey_did_not_take_is_told_again_but_not_that_somebody_writes(host, alice, bob):
    await host.listens()
    valkey.client().tripped()
    sender = Hints()

    sender.send([alice.id], {"type": "typing", "room": "kitchen"})
    sender.send([alice.id], receipts(bob))
    sender.send([alice.id], {"type": "read", "room": "kitchen", "seq": 1}, exclude_device=None)

    told = await host.hears(2)
    assert sorted(frame["type"] for _, frame in told) == ["read", "receipts"]
    assert ([alice.id], receipts(bob)) in told
    # Once is enough.
    await until(lambda: not sender._unheard)
    sender.send([alice.id], {"type": "read", "room": "kitchen", "seq": 2})
    assert [frame.get("seq") for _, frame in (await host.hears(3))[2:]] == [2]


async def test_a_host_that_begins_to_listen_a_moment_later_hears_it(host, alice, bob):
    sender = Hints()
    sender.send([alice.id], receipts(bob))
    await until(lambda: sender._unheard)

    await host.listens()

    assert await host.hears(1) == [([alice.id], receipts(bob))]


async def test_whoever_has_blocked_meanwhile_is_not_told_of(host, alice, bob):
    await host.listens()
    carol = await asyncio.to_thread(person, "carol")
    valkey.client().tripped()
    sender = Hints()
    sender.send([alice.id], receipts(bob))
    sender.send([alice.id], receipts(carol, bob))

    await asyncio.to_thread(block, bob, alice)

    assert await host.hears(1) == [([alice.id], receipts(carol))]
    await until(lambda: not sender._unheard)
    assert len(host.heard) == 1


async def test_routes_that_come_back_after_the_registry_are_waited_for(host, bob):
    await host.listens()
    alice = await asyncio.to_thread(person, "alice")
    valkey.client().tripped()
    sender = Hints()
    sender.send([alice.id], receipts(bob))
    await until(lambda: sender._unheard)
    first = sender._again_at
    await until(lambda: sender._again_at > first and sender._unheard, "told again to nobody, since nobody has her")

    ValkeyRegistry().route(host.id, add={alice.id})

    assert await host.hears(1) == [([alice.id], receipts(bob))]


async def test_it_is_not_told_for_ever_nor_kept_without_bound(host, alice, bob, monkeypatch):
    monkeypatch.setattr(hints, "AGAIN_S", 0.1)
    monkeypatch.setattr(hints, "KEPT_S", 0.5)
    monkeypatch.setattr(hints, "MOST_KEPT", 3)
    sender = Hints()
    began = time.monotonic()
    for number in range(5):
        sender.send([alice.id], {"type": "read", "room": "kitchen", "seq": number})
    await until(lambda: [line.frame["seq"] for line in sender._unheard] == [2, 3, 4])
    await until(lambda: not sender._unheard)
    assert time.monotonic() - began > 0.4


async def test_who_is_nowhere_is_not_waited_for(host, alice, bob):
    """Whoever connects asks; nothing is kept for those who are away."""
    await host.listens()
    sender = Hints()
    sender.send([bob.id], receipts(alice))
    sender.send([alice.id], receipts(bob))
    assert await host.hears(1) == [([alice.id], receipts(bob))]
    assert not sender._unheard
