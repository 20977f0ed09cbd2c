"""Pushes are written in the channel layer's own wire format, with a plain PUBLISH: the layer itself must read them."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from delivery import push
from delivery.drain import Batch
from delivery.hints import Hints
from delivery.registry import Facts, RegistryAway
from delivery.registry.valkey import ValkeyRegistry
from kernel import metrics, valkey
from kernel.entries import Origin
from kernel.ids import uuid7


@pytest.fixture
async def receiver():
    """A host's receiver on the real layer: (host, how to receive one message)."""
    layer = get_channel_layer()
    host = f"test.{uuid7()}"
    channel = await layer.new_channel("host.")
    await layer.group_add(push.group_of(host), channel)
    yield host, lambda: layer.receive(channel)
    await layer.group_discard(push.group_of(host), channel)
    await layer.flush()


async def test_the_layer_receives_what_is_published(receiver):
    host, receive = receiver
    message = {"type": "push", "texts": ["ünïcode ☃ \x00"], "origins": [["a", "b"], None], "to": [["user", 2**40, 0]]}

    push.publish({host: message, "somebody else": {"type": "push"}})

    assert await receive() == message


async def test_what_the_layer_sends_and_what_is_published_come_alike(receiver):
    host, receive = receiver
    message = {"type": "hints", "hints": [[["user"], '{"type":"typing"}', None]]}

    await get_channel_layer().group_send(push.group_of(host), message)
    push.publish({host: message})

    assert await receive() == await receive() == message


async def test_a_large_batch_arrives_whole(receiver):
    host, receive = receiver
    message = {
        "type": "push",
        "texts": ["x" * 44_000] * 40,
        "origins": [None] * 40,
        "to": [["user", n, n] for n in range(40)],
    }

    push.publish({host: message})

    assert await receive() == message


def test_a_host_gets_only_the_texts_that_its_users_need():
    origins = [Origin("room", "device", f"message {n}", "sender") for n in range(4)]
    to = [("alice", 1, 0), ("bob", 1, 0), ("alice", 2, 1), ("bob", 2, 2), ("alice", 3, 3)]
    batch = Batch(rows=4, texts=["0", "1", "2", "3"], origins=origins, to=to)

    message = push._message(batch, [line for line in to if line[0] == "alice"])

    assert message["texts"] == ["0", "1", "3"]
    assert message["origins"] == [origins[0], origins[1], origins[3]]
    assert message["to"] == [("alice", 1, 0), ("alice", 2, 1), ("alice", 3, 2)]


class TestLost:
    """Valkey is away: nobody says which of several hosts hold whom."""

    @pytest.fixture
    async def two_hosts(self):
        hosts = {f"test.{uuid7()}" for _ in range(2)}
        for host in hosts:
            ValkeyRegistry().renew(host, Facts(url="http://127.0.0.1:1"))
        async with asyncio.timeout(10):
            while not hosts <= set(push.live_hosts()):
                await asyncio.sleep(0.02)
        valkey.client().tripped()
        yield
        valkey.client()._away_until = 0
        for host in hosts:
            ValkeyRegistry().leave(host)

    @pytest.fixture
    def lost(self):
        def so_far(kind):
            return metrics.REGISTRY.get_sample_value("letterlock_pushes_lost_total", {"kind": kind})

        before = {kind: so_far(kind) for kind in ("push", "hints")}
        return lambda kind: so_far(kind) - before[kind]

    async def test_entries_are_counted(self, two_hosts, lost):
        push.entries(Batch(rows=1, texts=["0"], origins=[None], to=[("alice", 1, 0), ("bob", 1, 0)]))

        assert (lost("push"), lost("hints")) == (1, 0)

    async def test_and_live_frames(self, two_hosts, lost):
        Hints().send(["alice", "bob"], {"type": "typing"})

        async with asyncio.timeout(10):
            while not lost("hints"):
                await asyncio.sleep(0.02)
        assert (lost("push"), lost("hints")) == (0, 1)

    async def test_a_process_that_has_just_begun_does_not_take_that_for_a_system_without_hosts(self, two_hosts):
        with pytest.raises(RegistryAway):
            push._Hosts().live()
