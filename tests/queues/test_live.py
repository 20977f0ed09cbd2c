"""Slots go to other worker groups while everybody writes, at random or as it was measured: nothing is lost, doubled, or out of order."""

import json
import random
import time

import redis
from kombu.connection import Connection

from config.celery import app
from config.queues import transport_options
from delivery.balance import WORTH
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


async def test_what_was_measured_is_balanced_under_load(private_system):
    """One group carries everybody, another has no slot: one command, and each carries about its half of what goes on flowing."""
    system = private_system(web=1, workers=1)
    await queues(system, "add", "recipients.08", "--group", "1")
    await until(lambda: served(system) == {0, 1}, "the new group's worker", 60)

    async with Cast(system.url) as cast, Flow(cast, 16, 160.0, at_once=2, in_step=False) as flow:
        await until(lambda: flow.sent > 100, "messages to flow")
        said = await queues(system, "rebalance", "--over", "3")
        measured = json.loads(await queues(system, "--interval", "3", "--json"))
        again = await queues(system, "rebalance", "--over", "3")

    flow.check()
    assert "slots have moved" in said
    carried = {0: 0.0, 1: 0.0}
    for queue in measured["queues"]:
        carried[queue["group"]] += queue["out_per_s"]
    # As measured again afterwards, by chance a little otherwise than before; all of it flows on.
    assert max(carried.values()) < (WORTH + 0.1) * sum(carried.values()) / 2, carried
    assert sum(carried.values()) > 100, carried
    moved_again = again.count(" -> ")
    assert moved_again <= 3, again


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


async def test_workers_come_and_go_with_their_group(private_system):
    """A worker of each group that there is; one of a group that has no queue any more ends, and stays ended until it has one."""
    system = private_system(web=0, workers=1)

    def runs(name):
        return name in system.parts and system.is_ready(name)

    await queues(system, "add", "recipients.08", "--group", "1")
    await until(lambda: runs("worker-2"), "the new group's worker", 60)
    await queues(system, "remove", "recipients.08")
    await until(lambda: not system.parts["worker-2"].is_alive, "it to end", 30)
    await queues(system, "add", "recipients.08", "--group", "1")
    await until(lambda: runs("worker-2"), "it to come back", 60)
    assert runs("worker-1")
    assert "worker-3" not in system.parts
