"""`manage.py queues` as an operator uses it."""

import json
import re
import threading
from contextlib import contextmanager
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from delivery import load, queueload, queuemap, wake
from delivery.backlog import ranges
from delivery.slots import slot_of
from kernel import database, valkey
from kernel.database import Session
from tests.delivery import depot
from tests.delivery.depot import Lane, direct_room, drain_all, message, person

pytestmark = pytest.mark.usefixtures("own_map")


@pytest.fixture
def queues(capsys):
    """Runs the command; answers what it printed."""

    def run(*arguments):
        out = StringIO()
        call_command("queues", *arguments, stdout=out)
        return out.getvalue() + capsys.readouterr().out

    return run


@pytest.fixture
def bob():
    return person("bob")


@pytest.fixture
def waiting(bob):
    """Five messages to Bob that nobody delivers."""
    alice = person("alice")
    room = direct_room(alice, bob)
    with depot.intake() as intake:
        Lane(intake, alice.id, alice.devices[0]).insists(*(message(room) for _ in range(5)))
    yield
    drain_all([0, 1])


def test_it_shows_every_queue_with_what_waits(queues, bob, waiting):
    shown = queues("--interval", "0.2")

    (line,) = [line for line in shown.splitlines() if f"recipients.{slot_of(bob.id) % 8:02d}" in line]
    assert " 5 " in line or " 10 " in line
    assert "recipients.07" in shown
    assert "Group 0 has no worker" in shown


def test_programs_get_json(queues, bob, waiting):
    found = json.loads(queues("--interval", "0.2", "--json"))

    slots = {slot["slot"]: slot for queue in found["queues"] for slot in queue["slots"]}
    assert slots.keys() == set(range(64))
    assert slots[slot_of(bob.id)]["pending"] >= 5
    assert slots[slot_of(bob.id)]["oldest_s"] > 0
    assert found["version"] == queuemap.read_map().version


def test_rates_are_what_came_and_went_while_it_looked(bob):
    """Coming is going and what waits more: a backlog that grows is load, too."""
    alice = person("alice")
    while slot_of(alice.id) == slot_of(bob.id):
        alice = person("alice")
    room = direct_room(alice, bob)
    load.flush()
    valkey.client().delete(load._key())
    session = Session("queues")
    with depot.intake() as intake, session.cursor() as cursor:
        measuring = queueload.Measuring(cursor)
        lane = Lane(intake, alice.id, alice.devices[0])
        lane.insists(*(message(room) for _ in range(40)))
        drain_all()
        load.flush()
        lane.insists(*(message(room) for _ in range(20)))
        found = measuring.finish()
    session.close()

    slots = {slot.slot: slot for queue in found.queues for slot in queue.slots}
    theirs = slots[slot_of(bob.id)]
    assert round(theirs.goes * found.seconds) == 40
    assert round(theirs.comes * found.seconds) == 60
    assert theirs.pending == 20
    assert found.loads[slot_of(bob.id)] == theirs.comes
    drain_all()


def test_who_is_flooded_is_named(bob, queues):
    alice = person("alice")
    while slot_of(alice.id) == slot_of(bob.id):
        alice = person("alice")
    room = direct_room(alice, bob)
    load.flush()
    session = Session("queues")
    with depot.intake() as intake, session.cursor() as cursor:
        Lane(intake, alice.id, alice.devices[0]).insists(message(room))
        drain_all()
        load.flush()
        measuring = queueload.Measuring(cursor)
        while (found := measuring.finish()).hot is None and found.seconds < depot.PATIENCE_S:
            # Only Bob's: as if she wrote to him from many devices.
            load.drained({slot_of(bob.id): 500})
            load.flush()
            Lane(intake, alice.id, alice.devices[0]).insists(message(room))
    session.close()

    assert (found.hot.slot, found.hot.user) == (slot_of(bob.id), bob.id)
    assert found.hot.rows == found.hot.sampled > 0
    drain_all()


def test_who_holds_a_lock_is_named():
    holder = database.connect("drain 0 worker-7")
    with holder.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1 FROM delivery_queue WHERE name = 'recipients.03' FOR UPDATE")
        found = queueload.measure(0.3)
    holder.close()

    (held,) = [queue for queue in found.queues if queue.holder]
    assert held.line.name == "recipients.03"
    assert held.holder == "drain 0 worker-7"
    assert held.held > 0.9


def test_a_slot_is_moved(queues):
    assert "moved from recipients.05 to recipients.00 (group 0)" in queues("move", "21", "recipients.00")
    assert "already" in queues("move", "21", "recipients.00")
    assert queuemap.read_map().queue_of[21] == "recipients.00"


@pytest.mark.parametrize(
    "arguments",
    [
        ("move", "64", "recipients.00"),
        ("move", "21", "elsewhere"),
        ("add", "elsewhere", "--group", "1"),
        ("add", "recipients.00", "--group", "1"),
        ("remove", "recipients.00"),
        ("remove", "recipients.08"),
        ("isolate", "nobody.at.all"),
        ("isolate", "01a2180f-440b-73c0-83e4-1b6391ab5ec4"),
    ],
)
def test_what_cannot_be_done_is_said(queues, arguments):
    with pytest.raises(CommandError):
        queues(*arguments)


def test_an_isolated_recipient_goes_back_and_nothing_is_left_of_it(queues, bob):
    before = queuemap.read_map()
    home = before.queue_of[slot_of(bob.id)]
    queues("isolate", bob.id)

    queues("move", str(slot_of(bob.id)), home)
    said = queues("remove", "recipients.08")

    assert "recipients.08 is gone" in said
    assert "Group 1 has no queue any more" in said
    assert queuemap.read_map().queues == before.queues


def test_the_workers_of_a_group_that_keeps_a_queue_are_left_alone(queues):
    queues("add", "recipients.08", "--group", "0")
    assert "worker" not in queues("remove", "recipients.08")


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_hot_recipient_is_isolated(queues, bob, by):
    said = queues("isolate", bob.id if by == "id" else User.objects.get(pk=bob.id).username)

    assert "alone in group 1" in said
    assert queuemap.read_map().queue_of[slot_of(bob.id)] == "recipients.08"
    assert "already" in queues("isolate", bob.id)


@contextmanager
def two_groups_one_full(queues):
    """A new group with a worker and nothing to do, beside one that drains all slots."""
    queues("add", "recipients.08", "--group", "1")
    theirs = [database.connect(f"sweeper {group} worker-{group}") for group in (0, 1)]
    over = threading.Event()

    def drains():
        # As the workers of group 0 would report them.
        while not over.wait(0.05):
            load.drained(dict.fromkeys(range(64), 5))
            load.flush()

    thread = threading.Thread(target=drains)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        for session in theirs:
            session.close()


def test_rebalancing_explains_itself_and_moves_what_was_measured(queues):
    with two_groups_one_full(queues):
        before = queuemap.read_map()
        said = queues("rebalance", "--dry-run", "--over", "0.6")
        assert "-> recipients.08" in said
        assert "on average" in said
        assert queuemap.read_map() == before

        said = queues("rebalance", "--over", "0.6")

    moved = queuemap.read_map().queues["recipients.08"].slots
    assert len(moved) in range(26, 36)
    assert f"{len(moved)} of {len(moved)} slots have moved" in said


def test_rebalancing_that_cannot_go_on_says_how_far_it_came_and_wakes_who_has_new_slots(queues, capsys, monkeypatch):
    moves, woken = queuemap.move, []

    def move(slot, target, **source):
        if len(queuemap.read_map().queues[target].slots) == 2:
            raise queuemap.MapRefused("slot has gone meanwhile")
        return moves(slot, target, **source)

    monkeypatch.setattr(queuemap, "move", move)
    monkeypatch.setattr(wake, "flush", woken.append)
    with two_groups_one_full(queues), pytest.raises(CommandError, match="gone meanwhile"):
        queues("rebalance", "--over", "0.6")

    assert re.search(r"^2 of \d+ slots have moved", capsys.readouterr().out, re.MULTILINE)
    assert woken


def test_with_one_group_it_says_what_would_help(queues):
    assert "queues add" in queues("rebalance", "--over", "0.2")


def test_slots_are_written_as_people_do():
    assert ranges((0, 1, 2, 5, 7, 8)) == "0-2 5 7-8"
    assert ranges(()) == "-"
