"""A room of a thousand on two hosts: what a batch costs the wire is one message to each host, however many members it holds."""

import asyncio
from collections import Counter

import pytest
from channels.layers import get_channel_layer

from accounts.models import User
from chat.models import Membership, Room
from delivery import push
from delivery.host import Host
from delivery.push import group_of
from delivery.registry import Facts
from delivery.registry import valkey as registry_in_valkey
from delivery.registry.valkey import ValkeyRegistry
from kernel import metrics, valkey
from kernel.database import Readers
from kernel.ids import uuid7
from tests.cast import until
from tests.delivery.depot import Lane, drain_all, intake, message, person, query
from tests.delivery.test_host import Phone

pytestmark = pytest.mark.usefixtures("depot")
MEMBERS = 1_000
BODY = b"x" * 200


class Wire:
    """What is published to hosts: how many messages, how many bytes. Their own beats, once a second, are short."""

    def __init__(self, hosts):
        self._subscription = valkey.client().pubsub()
        self._channels = {f"letterlock__group__{group_of(host.id)}".encode(): host.id for host in hosts}
        self._subscription.subscribe(*self._channels)
        self.messages, self.bytes = Counter(), Counter()

    def read(self):
        """Take what has come, which all is there: whoever waits for it has it already."""
        while (found := self._subscription.get_message(timeout=0.5)) is not None:
            if found["type"] == "message" and len(found["data"]) > 200:
                self.messages[self._channels[found["channel"]]] += 1
                self.bytes[self._channels[found["channel"]]] += len(found["data"])
        return self

    def close(self):
        self._subscription.close()


@pytest.fixture
async def two_hosts(monkeypatch):
    # A thousand phones in one process with their hosts: these may be late, and are to be held for alive all the same.
    monkeypatch.setattr(registry_in_valkey, "LEASE_MS", 60_000)
    readers = Readers(1)
    made = [
        Host(id=f"large-{n}.{uuid7()}", facts=Facts(url=f"http://{n}"), registry=ValkeyRegistry(), readers=readers)
        for n in range(2)
    ]
    for host in made:
        host.start(lambda now: None)
    await until(lambda: all(host.layer_is_up for host in made))
    yield made
    for host in made:
        await host.stop(1012)
    readers.close()
    await get_channel_layer().flush()


def a_room_of_a_thousand():
    alice = person("alice")
    others = User.objects.bulk_create(User(username=f"{uuid7().hex}", password="!") for _ in range(MEMBERS - 1))
    room = Room.objects.create(kind="group")
    Membership.objects.create(room=room, user_id=alice.id, role="owner")
    Membership.objects.bulk_create(Membership(room=room, user_id=user.id) for user in others)
    return alice, str(room.id), [alice.id, *(str(user.id) for user in others)]


def drains_of(count):
    """How many batches with something to push `count` more messages take; sent and drained."""

    def run(alice, room):
        before = metrics.DRAINED_BY["worker"]._buckets
        batches = sum(bucket.get() for bucket in before)
        with intake() as made:
            lane = Lane(made, alice.id, alice.devices[0])
            answers = lane.sends(*(message(room, BODY) for _ in range(count)))
        assert all(answer.error is None for answer in answers)
        drain_all()
        return int(sum(bucket.get() for bucket in before) - batches)

    return run


async def test_a_batch_is_one_message_to_each_host_and_its_texts_go_once(two_hosts):
    alice, room, users = await asyncio.to_thread(a_room_of_a_thousand)
    phones = [Phone(user) for user in users]
    for n, phone in enumerate(phones):
        await two_hosts[n % 2].enter(phone)
    ids = {host.id for host in two_hosts}
    await until(lambda: ids <= set(push.live_hosts()))
    wire = await asyncio.to_thread(Wire, two_hosts)

    one = await asyncio.to_thread(drains_of(1), alice, room)
    await until(lambda: all(phone.entries for phone in phones), "the message for everybody", 30)
    first = await asyncio.to_thread(wire.read)

    assert one == 1
    assert first.messages == {host.id: 1 for host in two_hosts}
    # A user's part is an id and two numbers; the text is there once and not five hundred times.
    for host in two_hosts:
        assert first.bytes[host.id] / (MEMBERS / 2) < 60
    print(f"\nroom of {MEMBERS} on 2 hosts, 1 message: 2 PUBLISHes, {sum(first.bytes.values())} bytes")

    before = first.bytes.copy()
    first.messages.clear()
    batches = await asyncio.to_thread(drains_of(20), alice, room)
    await until(lambda: all(len(phone.entries) == 21 for phone in phones), "21 messages for everybody", 30)
    more = await asyncio.to_thread(wire.read)

    assert more.messages == {host.id: batches for host in two_hosts}
    carried = sum((more.bytes - before).values())
    print(
        f"20 messages: {batches} batches, {2 * batches} PUBLISHes, {carried} bytes, {carried / 20_000:.0f} a delivery"
    )
    assert carried / (20 * MEMBERS) < 60
    wire.close()
    for phone in phones:
        assert [entry.seq for entry in phone.entries] == list(range(1, 22))
    assert not await asyncio.to_thread(query, "SELECT 1 FROM delivery_pending")
