"""Any interleaving of sends, drains of three worker groups, and moves of slots between them, killed at any statement.

At the end (tests/delivery/stage.py): every mailbox is 1, 2, 3, … n; what one device sent in one room stands in the order of its
sending; everything that was accepted is there once, and nothing is pending.
"""

import random
import threading
from contextlib import contextmanager

import pytest
from django.db import Error, connection, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery import queuemap
from delivery.models import Queue
from delivery.slots import slot_of
from tests.delivery import depot
from tests.delivery.depot import drain_all
from tests.delivery.stage import Stage, attempt, change_group, speakers, together
from tests.delivery.storm import OF_THE_PATH, Storm
from tests.queues.conftest import reset_map

pytestmark = pytest.mark.usefixtures("depot")

GROUPS = [0, 1, 2]
QUEUES = {"recipients.00": 0, "recipients.01": 0, "recipients.08": 1, "recipients.09": 1, "recipients.10": 2}
STORM_S = 5.0


@pytest.fixture(scope="module")
def stage(depot):
    reset_map()
    for name, group in QUEUES.items():
        Queue.objects.get_or_create(name=name, defaults={"group": group})
    made = Stage()
    made.slots = sorted({slot_of(who.id) for who in made.people})
    yield made
    reset_map()


@contextmanager
def killed(fault):
    """This thread's Django session ends at a statement: (which, "before" it is done or "behind" it). With none, nothing happens."""
    left = [fault[0] if fault else -1]

    def execute(execute, sql, params, many, context):
        left[0] -= 1
        is_now = left[0] == -1 and fault is not None
        if is_now and fault[1] == "before":
            end_own_session()
        result = execute(sql, params, many, context)
        if is_now and fault[1] == "behind":
            end_own_session()
        return result

    if fault is None:
        yield
        return
    with connection.execute_wrapper(execute):
        yield


def end_own_session():
    pid = connection.connection.info.backend_pid
    other = depot.database.connect("test")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
        depot.until(
            lambda: not cursor.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (pid,)) and not cursor.rowcount
        )
    other.close()


def move(slot, queue, fault):
    """One move, and maybe the end of its session in the middle: then it has happened or not, and both are fine."""
    try:
        with killed(fault):
            queuemap.move(slot, queue)
    except Error:
        assert fault, "the database did not go away"
        connection.close()
    finally:
        if threading.current_thread() is not threading.main_thread():
            connections.close_all()


faults = st.none() | st.tuples(st.integers(0, 4), st.sampled_from(["before", "behind"]))
moving_faults = st.none() | st.tuples(st.integers(0, 4), st.sampled_from(["before", "behind"]))
slots, queues, drainers = st.integers(0, 2), st.sampled_from(sorted(QUEUES)), st.integers(0, 5)
sends = st.tuples(st.just("send"), st.integers(0, 5), st.integers(0, 2), st.integers(1, 6), faults)
drains = st.tuples(st.just("drain"), drainers, faults)
moves = st.tuples(st.just("move"), slots, queues, moving_faults)
while_draining = st.tuples(st.just("move while draining"), slots, queues, drainers, drainers, faults, moving_faults)
changes = st.tuples(st.just("change"), st.integers(0, 2))
steps = st.lists(st.one_of(sends, sends, drains, drains, moves, while_draining, while_draining, changes), max_size=18)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_any_script(stage, script):
    """Three workers (one for each group) and three sweepers (each for one group), which keep their marks through all of it."""
    made = [depot.fragile_drainer(groups=[group]) for group in GROUPS]
    made += [depot.fragile_drainer("sweep", groups=[group], skip_locked=True) for group in GROUPS]
    with speakers(stage) as devices:
        for step in script:
            match step:
                case "send", device, room, count, fault:
                    devices.send(device, room, count, fault)
                case "drain", which, fault:
                    attempt(made[which], fault)
                case "move", slot, queue, fault:
                    move(stage.slots[slot % len(stage.slots)], queue, fault)
                case "move while draining", slot, queue, first, second, fault, moving_fault:
                    work = [(move, stage.slots[slot % len(stage.slots)], queue, moving_fault)]
                    work += [(attempt, made[which], fault) for which in {first, second}]
                    together(*work)
                case "change", who:
                    change_group(stage, stage.people[who])
    for drainer in made:
        drainer.close()
    drain_all(GROUPS)
    stage.ledger.check()


def test_a_storm(stage):
    """Everybody sends, each group has two drains and a sweep, two operators move slots, and sessions are ended all the time."""
    storm = Storm(stage)
    moved = []

    def operate():
        while not storm.over.is_set():
            try:
                moved.append(queuemap.move(random.choice(stage.slots), random.choice(sorted(QUEUES))))
            except Error:
                connection.close()

    def change():
        while not storm.over.wait(0.02):
            try:
                change_group(stage, random.choice(stage.people))
            except Error:
                connection.close()

    with depot.intake() as one, depot.intake() as other:
        work = [(storm.speak, *key, (one, other)[n % 2]) for n, key in enumerate(stage.lanes)]
        work += [(storm.drain, group, how) for group in GROUPS for how in (False, False, True)]
        work += [
            (operate,),
            (operate,),
            (change,),
            (storm.end_sessions, f"{OF_THE_PATH} OR query LIKE '%%delivery_slot%%SET%%'"),
        ]
        storm.rages(STORM_S, work)

    drain_all(GROUPS)
    stage.ledger.check()
    sent = sum(map(len, stage.ledger.sent.values()))
    print(f"{sent} messages, {len(list(filter(None, moved)))} moves")
    assert sent > 100
    assert len(list(filter(None, moved))) > 10
