"""A host's own tasks serve every socket of the process: nothing unexpected may end one of them."""

import asyncio

import pytest
from channels.layers import get_channel_layer

from delivery.host import Host
from delivery.push import group_of
from delivery.registry.valkey import ValkeyRegistry
from kernel.database import Readers
from kernel.entries import Entry
from kernel.ids import uuid7


class Phone:
    """A socket of a host; keeps what it is given."""

    def __init__(self, user):
        self.user, self.device = user, str(uuid7())
        self.entries, self.ticks = [], 0

    def pushed(self, batch):
        self.entries += batch

    def known(self, last_seq):
        pass

    def ticked(self, now):
        self.ticks += 1

    def hint(self, text):
        pass

    def hang_up(self, code):
        pass

    async def flush(self):
        pass


@pytest.fixture
async def host():
    readers = Readers(1)
    made = Host(id=f"test.{uuid7()}", facts={}, registry=ValkeyRegistry(), readers=readers)
    yield made
    await made.stop(1012)
    readers.close()
    await get_channel_layer().flush()


async def until(true):
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_push_that_cannot_be_read_costs_neither_the_next_one_nor_the_channel(host):
    alice = Phone(str(uuid7()))
    host.start(lambda now: None)
    await host.enter(alice)
    await until(lambda: host.layer_is_up)
    layer = get_channel_layer()
    channels = set(layer.channels)

    await layer.group_send(group_of(host.id), {"type": "push", "texts": []})
    good = {"type": "push", "texts": ['"kind":"hidden"'], "origins": [None], "to": [[alice.user, 1, 0]]}
    await layer.group_send(group_of(host.id), good)

    await until(lambda: alice.entries)
    assert alice.entries == [Entry(1, '"kind":"hidden"', None)]
    assert set(layer.channels) == channels


async def test_a_tick_that_fails_is_followed_by_others(host):
    alice, ticks = Phone(str(uuid7())), []

    def on_tick(now):
        ticks.append(now)
        if len(ticks) == 1:
            raise RuntimeError("no thread can be started now")

    host.start(on_tick)
    await host.enter(alice)

    await until(lambda: len(ticks) > 3 and alice.ticks)
