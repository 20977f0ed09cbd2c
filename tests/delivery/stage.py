"""Who takes part in the interleavings, and what must be true at their end: one script is more than one test's."""

import random
import threading
from collections import defaultdict
from contextlib import contextmanager
from uuid import UUID

import psycopg2
from django.db import connections

from chat import rooms
from tests.delivery import depot
from tests.delivery.depot import FragileSession, Lane, direct_room, group, mailbox, message, person


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
        told = set()
        for who in self.people:
            entries, last_seq = mailbox(who.id)
            told.add(sum(id is None for _, _, id, _ in entries))
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
        assert len(told) == 1, "one was told of changes in the group that others were not told of"


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


class Speakers:
    """Every device of a stage with a socket, by turns on two intakes (two processes); `sessions` are what those commit in."""

    def __init__(self, stage, intakes, sessions):
        self._stage, self._sessions = stage, sessions
        self._lanes = [Lane(intakes[n % 2], who.id, device) for n, (who, device) in enumerate(stage.lanes)]

    def send(self, device, room, count, fault):
        """So many messages, insisted on, and maybe the end of the session at one of its statements."""
        who, device_id = self._stage.lanes[device]
        theirs = self._stage.rooms_of(who)
        where = theirs[room % len(theirs)]
        session = self._sessions[device % 2]
        session.fail(*([fault] if fault else []))
        drafts = [message(where) for _ in range(count)]
        self._lanes[device].insists(*drafts)
        session.fail()
        self._stage.ledger.sent[device_id, where] += [draft["id"] for draft in drafts]


@contextmanager
def speakers(stage):
    sessions = [FragileSession("intake"), FragileSession("intake")]
    with depot.intake(sessions[0]) as one, depot.intake(sessions[1]) as other:
        yield Speakers(stage, [one, other], sessions)


def together(*acts):
    """Each act (a function and what it is called with) in a thread of its own, until all are done."""
    threads = [threading.Thread(target=act, args=args) for act, *args in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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
