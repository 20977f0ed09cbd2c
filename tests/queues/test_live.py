"""Slots go back and forth between three worker groups while everybody writes: nothing is lost, doubled, or out of order."""

import random
import time

import redis
from kombu.connection import Connection

from config.celery import app
from config.queues import transport_options
from delivery.slots import slot_of
from tests.cast import Cast, until
from tests.queues.commands import mover, queues, served
from tests.queues.flow import Flow, figures

SECONDS, RATE = 10.0, 600.0


async def test_slots_move_under_load(private_system):
    system = private_system(web=2, workers=1)
    for name, group in (("recipients.08", 1), ("recipients.09", 2)):
        await queues(system, "add", name, "--group", str(group))
    await until(lambda: served(system) == {0, 1, 2}, "the new groups' workers", 60)
    moves = 0

    async with Cast(system.url) as cast, mover(system) as move:
        async with Flow(cast, 12, RATE, at_once=5, urls=system.urls) as flow:
            slots = sorted({slot_of(reader.id) for reader in flow.readers})
            while time.monotonic() - flow.began < SECONDS:
                target = random.choice(["recipients.00", "recipients.08", "recipients.09"])
                moves += await move(random.choice(slots), target)

    flow.check()
    print(f"{flow.sent} messages at {flow.sent / flow.seconds:.0f}/s, {moves} moves of {len(slots)} slots;", end=" ")
    print(figures(flow.latencies(0)))
    assert moves > 20
    assert flow.sent / flow.seconds > 0.8 * RATE


async def test_a_running_worker_reads_a_queue_that_its_group_gets(private_system):
    """A task that lies there would wake somebody else only by chance; nobody has been restarted."""
    system = private_system(web=0, workers=1)
    valkey = redis.Redis.from_url(system.broker_url)
    waiting = "letterlock.broker.recipients.08"
    with Connection(system.broker_url, transport_options=transport_options(system.broker_url, "letterlock")) as broker:
        app.send_task("delivery.fan_out", kwargs={"group": 0}, queue="recipients.08", connection=broker)
    assert valkey.llen(waiting) == 1

    await queues(system, "add", "recipients.08", "--group", "0")

    await until(lambda: valkey.llen(waiting) == 0, "the worker to read its new queue", 30)
    valkey.close()
