"""Any interleaving of sends, drains, sweeps and room changes, with sessions that end at any statement.

At the end: every mailbox is 1, 2, 3, … n; the messages of one device in one room stand in the order in which they were
accepted; everything that was accepted is there once, nothing else is, and nothing is pending.
"""

import time

import psycopg2
import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel import database
from tests.delivery import depot
from tests.delivery.depot import Lane, drain_all, message
from tests.delivery.stage import Stage, attempt, change_group, speakers, together
from tests.delivery.storm import Storm

pytestmark = pytest.mark.usefixtures("depot")

STORM_S = 3.0


@pytest.fixture(scope="module")
def stage(depot):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE delivery_pending, delivery_dead")
    return Stage()


faults = st.none() | st.tuples(st.integers(0, 4), st.sampled_from(["before", "behind"]))
sends = st.tuples(st.just("send"), st.integers(0, 5), st.integers(0, 2), st.integers(1, 6), faults)
drains = st.tuples(st.just("drain"), st.integers(0, 2), faults)
drains_together = st.tuples(st.just("drain together"), faults, faults)
changes = st.tuples(st.just("change"), st.integers(0, 2))
steps = st.lists(st.one_of(sends, sends, drains, drains, drains_together, changes), max_size=14)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_any_script(stage, script):
    drainers = [depot.fragile_drainer(), depot.fragile_drainer(), depot.fragile_drainer("sweep", skip_locked=True)]
    with speakers(stage) as devices:
        for step in script:
            match step:
                case "send", device, room, count, fault:
                    devices.send(device, room, count, fault)
                case "drain", which, fault:
                    attempt(drainers[which], fault)
                case "drain together", *both:
                    together(*((attempt, *pair) for pair in zip(drainers[:2], both, strict=True)))
                case "change", who:
                    change_group(stage, stage.people[who])
    for drainer in drainers:
        drainer.close()
    drain_all()
    stage.ledger.check()


def test_a_storm(stage):
    """Everybody sends at once through two processes, three drains run, and sessions are ended at random all the time."""
    storm = Storm(stage)
    with depot.intake() as one, depot.intake() as other:
        work = [(storm.speak, *key, (one, other)[n % 2]) for n, key in enumerate(stage.lanes)]
        work += [(storm.drain, 0, False), (storm.drain, 0, False), (storm.drain, 0, True), (storm.end_sessions,)]
        storm.rages(STORM_S, work)

    drain_all()
    stage.ledger.check()
    assert sum(map(len, stage.ledger.sent.values())) > 100


def test_a_frozen_drain_is_put_aside_by_the_database(stage):
    """A process that was stopped in the middle of a batch loses its session after 2 s, and others deliver."""
    who, device = stage.lanes[0]
    with depot.intake() as intake:
        (room, *_) = stage.rooms_of(who)
        draft = message(room)
        Lane(intake, who.id, device).insists(draft)
        stage.ledger.sent[device, room].append(draft["id"])
    frozen = database.connect("drain")
    with frozen.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1 FROM delivery_queue FOR UPDATE")
        began = time.monotonic()
        drainer = depot.Drainer("drain", [0])
        while depot.pending():
            drainer.drain(seconds=0.5)
        assert time.monotonic() - began < 5
        drainer.close()
        with pytest.raises(psycopg2.Error):
            cursor.execute("COMMIT")
    frozen.close()
    stage.ledger.check()
