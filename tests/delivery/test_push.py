"""Pushes are written in the channel layer's own wire format, with a plain PUBLISH: the layer itself must read them."""

import pytest
from channels.layers import get_channel_layer

from delivery import push
from delivery.drain import Batch
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
