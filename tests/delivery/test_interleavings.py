"""Any interleaving of sends, drains, sweeps and room changes, with sessions that end at any statement.

At the end: every mailbox is 1, 2, 3, … n; the messages of one device in one room stand in the order in which they were
accepted; everything that was accepted is there once, nothing else is, and nothing is pending.
"""

import random
import threading
import time
from collections import defaultdict
from uuid import UUID

import psycopg2
import pytest
from django.db import connection, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat import rooms
from kernel import database
from tests.delivery import depot
from tests.delivery.depot import FragileSession, Lane, direct_room, drain_all, group, mailbox, message, person

pytestmark = pytest.mark.usefixtures("depot")

STORM_S = 3.0


class Ledger:
    """What each device was told is accepted, per room, in the order in which it sent; and who is in the rooms."""

    def __init__(self, people, rooms_):
        self.people, self.rooms = people, rooms_
        self.sent = defaultdict(list)
        self.checked = {who.id: 0 for who in people}

    def check(self):
        """Everything above, for what came since the last check."""
        assert depot.pending() == 0
        assert depot.dead() == []
        for who in self.people:
            entries, last_seq = mailbox(who.id)
            assert [entry[0] for entry in entries] == list(range(1, last_seq + 1))
            got = defaultdict(list)
            for _, _, id, room in entries:
                if id is not None:
                    got[room].append(id)
            for room, members in self.rooms.items():
                by_device = {key: ids for key, ids in self.sent.items() if key[1] == room and who.id in members}
                wanted = {id for ids in by_device.values() for id in ids}
                assert len(got[room]) == len(set(got[room])), "a message was doubled"
                assert set(got[room]) == wanted, "a message was lost, or came from nowhere"
                place = {id: n for n, id in enumerate(got[room])}
                for ids in by_device.values():
                    places = [place[id] for id in ids]
                    assert places == sorted(places), "the order of a device in a room was lost"


class Stage:
    """Three people with two devices each, three rooms, two intakes (two processes), two drainers and a sweeper."""

    def __init__(self):
        self.people = [person(name, devices=2) for name in ("alice", "bob", "carol")]
        alice, bob, carol = self.people
        members = {
            direct_room(alice, bob): (alice, bob),
            direct_room(bob, carol): (bob, carol),
            group(*self.people): self.people,
        }
        self.ledger = Ledger(self.people, {room: {who.id for who in present} for room, present in members.items()})
        self.members = members
        self.lanes = [(who, device) for who in self.people for device in who.devices]

    def rooms_of(self, who):
        return [room for room, present in self.members.items() if who in present]


@pytest.fixture(scope="module")
def stage(depot):
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE delivery_pending, delivery_dead")
    return Stage()


faults = st.none() | st.tuples(st.integers(0, 4), st.sampled_from(["before", "behind"]))
sends = st.tuples(st.just("send"), st.integers(0, 5), st.integers(0, 2), st.integers(1, 6), faults)
drains = st.tuples(st.just("drain"), st.integers(0, 2), faults)
together = st.tuples(st.just("drain together"), faults, faults)
changes = st.tuples(st.just("change"), st.integers(0, 2))
steps = st.lists(st.one_of(sends, sends, drains, drains, together, changes), max_size=14)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=steps)
def test_any_script(stage, script):
    sessions = [FragileSession("intake"), FragileSession("intake")]
    drainers = [depot.fragile_drainer(), depot.fragile_drainer(), depot.fragile_drainer("sweep", skip_locked=True)]
    with depot.intake(sessions[0]) as one, depot.intake(sessions[1]) as other:
        lanes = {key: Lane((one, other)[n % 2], key[0].id, key[1]) for n, key in enumerate(stage.lanes)}
        for step in script:
            match step:
                case "send", device, room, count, fault:
                    who, device_id = stage.lanes[device]
                    theirs = stage.rooms_of(who)
                    where = theirs[room % len(theirs)]
                    if fault:
                        sessions[device % 2].fail(fault)
                    drafts = [message(where) for _ in range(count)]
                    lanes[who, device_id].insists(*drafts)
                    sessions[device % 2].fail()
                    stage.ledger.sent[device_id, where] += [draft["id"] for draft in drafts]
                case "drain", which, fault:
                    attempt(drainers[which], fault)
                case "drain together", *both:
                    threads = [
                        threading.Thread(target=attempt, args=pair) for pair in zip(drainers[:2], both, strict=True)
                    ]
                    for thread in threads:
                        thread.start()
                    for thread in threads:
                        thread.join()
                case "change", who:
                    change_group(stage, stage.people[who])
    for drainer in drainers:
        drainer.close()
    drain_all()
    stage.ledger.check()


def attempt(drainer, fault):
    """One batch, and maybe the end of the session in the middle of it."""
    drainer.session.fail(*([fault] if fault else []))
    try:
        drainer.drain_once()
    except psycopg2.OperationalError:
        assert fault, "the database did not go away"
    drainer.session.fail()
    connections.close_all() if threading.current_thread() is not threading.main_thread() else None


def change_group(stage, who):
    """A change that everybody in the group is told of, in order with the messages; members stay the same."""
    room = next(room for room, present in stage.members.items() if len(present) == 3)
    owner, *others = stage.people
    if who is not owner:
        role = random.choice(["admin", "member"])
        rooms.set_role(UUID(owner.id), UUID(room), UUID(who.id), role)


def test_a_storm(stage):
    """Everybody sends at once through two processes, three drains run, and sessions are ended at random all the time."""
    over = threading.Event()
    problems = []

    def guarded(act, *args):
        try:
            act(*args)
        except Exception as error:
            problems.append(error)
            over.set()
        finally:
            connections.close_all()

    def speak(who, device, intake):
        lane = Lane(intake, who.id, device)
        theirs = stage.rooms_of(who)
        while not over.is_set():
            where = random.choice(theirs)
            drafts = [message(where) for _ in range(random.randint(1, 20))]
            lane.insists(*drafts, tries=500)
            stage.ledger.sent[device, where] += [draft["id"] for draft in drafts]

    def drain(skip_locked):
        drainer = depot.Drainer("drain", [0], skip_locked=skip_locked)
        while not over.is_set():
            try:
                drainer.drain(seconds=0.2)
            except psycopg2.OperationalError:
                continue
        drainer.close()

    def end_sessions():
        while not over.wait(random.uniform(0.02, 0.1)):
            for (pid,) in depot.query(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name IN ('letterlock intake', 'letterlock drain') ORDER BY random() LIMIT 1"
            ):
                depot.query("SELECT pg_terminate_backend(%s)", pid)

    with depot.intake() as one, depot.intake() as other:
        work = [(speak, *key, (one, other)[n % 2]) for n, key in enumerate(stage.lanes)]
        work += [(drain, False), (drain, False), (drain, True), (end_sessions,)]
        threads = [threading.Thread(target=guarded, args=each) for each in work]
        for thread in threads:
            thread.start()
        over.wait(STORM_S)
        over.set()
        for thread in threads:
            thread.join()

    assert not problems
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
