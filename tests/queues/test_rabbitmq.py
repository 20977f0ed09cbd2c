"""RabbitMQ as broker: its queues are declared right, and when it dies, wholly or in part, only time is lost.

Tasks are wake-ups, so nothing can be lost with them; what has to be shown is that publishers and workers find the broker again.
"""

import asyncio
import contextlib
import os
import threading
import time

import pytest
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Consumer

from config.queues import declare
from delivery.publisher import CONFIRM_S, Publisher
from tests import rabbitmq
from tests.cast import Cast, until
from tests.metrics.scrape import Scrape
from tests.queues.cluster import cluster
from tests.queues.flow import Flow, figures, quantile
from tests.rabbitmq import RabbitMQ
from tests.services import services

RATE = 300.0
# Slower than with the broker, and than the sweepers without: something is amiss for this message.
LATE_S = 1.0
AWAY_S = 20.0


@pytest.fixture(autouse=True)
def _installed():
    """tests/conftest.py says it at the end of the run, too."""
    if why := rabbitmq.why_not():
        assert not os.environ.get("CI"), f"in CI RabbitMQ must be tested: {why}"
        pytest.skip(why)


@pytest.fixture(scope="module")
def three():
    """Three nodes. Whoever takes one down puts it back."""
    with cluster(services().folder / f"rabbitmq-cluster-{time.monotonic_ns()}") as made:
        yield made


@pytest.fixture
def single():
    made = RabbitMQ(services().folder / f"rabbitmq-{time.monotonic_ns()}")
    try:
        made.start(120)
        yield made
    finally:
        made.stop()


def woken(system):
    """Drains so far that a wake-up has started, and those that a sweeper had to do."""
    found = Scrape.of(system.url)
    return [found["letterlock_drain_deliveries_count", f"by={by}"] for by in ("worker", "sweeper")]


async def are_woken(system, seconds=60.0):
    """Wait until most drains are started by wake-ups again; answers the seconds that it took."""
    began = time.monotonic()
    before = await asyncio.to_thread(woken, system)
    while True:
        await asyncio.sleep(0.5)
        now = await asyncio.to_thread(woken, system)
        by_worker, by_sweeper = (after - then for after, then in zip(now, before, strict=True))
        # Of a busy machine fewer, since each takes more.
        if by_worker > 3 and by_worker > 3 * by_sweeper:
            return time.monotonic() - began
        assert time.monotonic() - began < seconds, f"{by_worker} drains were woken, {by_sweeper} were not"
        before = now


def recovered(flow, struck, until=float("inf")):
    """Seconds from the strike to when the last message was sent that came late; 0 if none did."""
    last = flow.late(LATE_S, since=struck - LATE_S, until=until)
    return 0.0 if last is None else max(0.0, last - struck)


async def quiet(flow, since, seconds=40.0):
    """Wait until nothing has been late for some seconds."""
    await until(
        lambda: time.monotonic() - max(flow.late(LATE_S, since) or since, since) > 4.0,
        "quiet after the strike",
        seconds,
    )


@pytest.mark.timeout(400)
async def test_a_node_of_three_is_killed(private_system, three):
    """The one that leads the queue and to which everybody is connected: the first in BROKER_URL. It stays dead, and comes back."""
    system = private_system(web=2, workers=2, broker_url=three.url)
    async with Cast(system.url) as cast:
        async with Flow(cast, 10, RATE, at_once=3, urls=system.urls) as flow:
            await are_woken(system)
            calm = time.monotonic()
            await until(lambda: time.monotonic() - calm > 3.0, "three calm seconds")
            victim = await asyncio.to_thread(three.leader_of, "recipients.00")
            assert victim is three.nodes[0]
            struck = time.monotonic()
            victim.dies()
            found_again = await are_woken(system)
            await quiet(flow, struck)
            back = time.monotonic()
            victim.start_part("broker")
            await asyncio.to_thread(victim.wait_ready, "broker", 90)
            await are_woken(system)
            await quiet(flow, back)

    flow.check()
    queues = {row["name"]: row for row in victim.lists("queues", "name", "type", "arguments", "members", "online")}
    exchanges = {row["name"] for row in victim.lists("exchanges", "name")}
    print(f"{flow.sent} messages at {flow.sent / flow.seconds:.0f}/s, in order and complete")
    print(f"before: {figures(flow.latencies(calm, struck))}")
    print(
        f"a node dies: late for {recovered(flow, struck, back):.1f} s, woken again after {found_again:.1f} s; ", end=""
    )
    print(f"until it came back {figures(flow.latencies(struck, back))}")
    print(f"it comes back: late for {recovered(flow, back):.1f} s; {figures(flow.latencies(back))}")
    assert recovered(flow, struck, back) < 15.0
    assert recovered(flow, back) < 30.0
    # Declared alike by everybody, as quorum queues on all nodes; and nothing besides.
    assert all(row["type"] == "quorum" for row in queues.values())
    assert dict_of(queues["recipients.00"]["arguments"]) == {
        "x-queue-type": "quorum",
        "x-delivery-limit": 20,
        "x-message-ttl": 60_000,
    }
    assert len(queues["recipients.00"]["members"]) == 3
    assert set(queues) <= {f"recipients.{n:02d}" for n in range(64)} | {"maintenance"}
    assert not [name for name in exchanges if "delayed" in name]


@pytest.mark.timeout(300)
async def test_two_nodes_of_three_are_killed(private_system, three):
    """The one that is left takes connections and, without a majority, decides nothing: what is published is neither taken nor refused."""
    system = private_system(web=1, workers=1, broker_url=three.url)
    async with Cast(system.url) as cast:
        async with Flow(cast, 6, 120.0, at_once=2) as flow:
            await are_woken(system)
            struck = time.monotonic()
            for victim in three.nodes[:2]:
                victim.dies()
            await until(lambda: time.monotonic() - struck > AWAY_S, "a while without a majority", 2 * AWAY_S)
            sent = flow.sent
            back = time.monotonic()
            for victim in three.nodes[:2]:
                victim.start_part("broker")
            for victim in three.nodes[:2]:
                await asyncio.to_thread(victim.wait_ready, "broker", 90)
            found_again = await are_woken(system)
            await quiet(flow, back)

    flow.check()
    print(f"{flow.sent} messages, in order and complete; {sent} of them before two of three nodes came back")
    print(f"late for {recovered(flow, struck, back):.1f} s, meanwhile {figures(flow.latencies(struck, back))}")
    print(f"woken again {found_again:.1f} s after all were back")
    assert recovered(flow, struck, back) < 15.0
    # The sweepers deliver.
    assert quantile(flow.latencies(struck, back), 0.5) < LATE_S


@pytest.mark.timeout(300)
async def test_the_only_node_is_killed_and_comes_back(private_system, single):
    system = private_system(web=1, workers=1, broker_url=single.url)
    async with Cast(system.url) as cast:
        async with Flow(cast, 6, 120.0, at_once=2) as flow:
            await are_woken(system)
            struck = time.monotonic()
            single.kill("broker")
            await asyncio.to_thread(single.wait_ready, "broker", 90)
            back = time.monotonic()
            found_again = await are_woken(system)
            await quiet(flow, back)

    flow.check()
    print(f"{flow.sent} messages, in order and complete; the broker was away for {back - struck:.1f} s")
    print(f"meanwhile {figures(flow.latencies(struck, back))}; woken again {found_again:.1f} s after its return")
    # Without a broker the sweepers deliver.
    assert quantile(flow.latencies(struck, back), 0.5) < LATE_S


ROUNDS = 3


@pytest.mark.timeout(300)
def test_wake_ups_arrive_however_soon_their_publisher_has_found_another_node(three, monkeypatch):
    """Who connects while the queue has no leader must not be left with a channel that sends to the dead one (docs/adr/0055).

    Without `confirm_publish` (delivery/publisher.py) there are rounds in which nothing arrives for as long as one waits.
    """
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", three.url)
    queue = first_queue(three)
    over, sent, arrived = threading.Event(), [], []

    def publish():
        publisher = Publisher()
        while not over.wait(0.1):
            with contextlib.suppress(Exception):
                publisher.send("delivery.fan_out", queue=queue, kwargs={"group": 0})
                sent.append(time.monotonic())
        publisher.forget()

    def consume():
        def take(_, message):
            arrived.append(time.monotonic())
            message.ack()

        while not over.is_set():
            with contextlib.suppress(Exception), Connection(three.url, connect_timeout=2) as connection:
                connection.ensure_connection(interval_start=0.1, interval_step=0.1, max_retries=50)
                with Consumer(connection, [queue], callbacks=[take], prefetch_count=1):
                    while not over.is_set():
                        with contextlib.suppress(TimeoutError):
                            connection.drain_events(timeout=0.5)

    def both_work(since, what):
        """Within two seconds ten were sent and ten arrived."""
        deadline = time.monotonic() + 15.0
        while min(sum(at > max(since, time.monotonic() - 2.0) for at in seen) for seen in (sent, arrived)) < 10:
            assert time.monotonic() < deadline, what
            time.sleep(0.05)
        return time.monotonic() - since

    threads = [threading.Thread(target=each) for each in (publish, consume)]
    for thread in threads:
        thread.start()
    try:
        both_work(time.monotonic(), "at first")
        for number in range(ROUNDS):
            victim = three.nodes[0]
            three.make_leader(victim, queue.name)
            three.running[-1].ctl("close_all_connections", "to the first node, all of you")
            both_work(time.monotonic(), "before the strike")
            struck = time.monotonic()
            victim.dies()
            took = both_work(struck, f"after the strike, round {number}")
            print(f"ten wake-ups have arrived {took:.1f} s after their node's death")
            victim.start_part("broker")
            victim.wait_ready("broker", 90)
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_who_publishes_is_told_when_the_broker_says_nothing(single, monkeypatch):
    monkeypatch.setenv("CELERY_BROKER_WRITE_URL", single.url)
    queue = first_queue(single)
    publisher = Publisher()
    publisher.send("delivery.fan_out", queue=queue, kwargs={"group": 0})

    single.freeze("broker")
    began = time.monotonic()
    try:
        with pytest.raises(OperationalError):
            publisher.send("delivery.fan_out", queue=queue, kwargs={"group": 0})
    finally:
        took = time.monotonic() - began
        single.thaw("broker")

    assert CONFIRM_S <= took < 4 * CONFIRM_S
    publisher.send("delivery.fan_out", queue=queue, kwargs={"group": 0})
    publisher.forget()


def first_queue(broker):
    """Wake-ups of the group 0 go there; declared as this broker wants it."""
    return next(queue for queue in declare(broker.url) if queue.name == "recipients.00")


def dict_of(arguments):
    """Arguments as rabbitmqctl prints them: a table, or name, type and value each."""
    return arguments if isinstance(arguments, dict) else {name: value for name, _, value in arguments}
