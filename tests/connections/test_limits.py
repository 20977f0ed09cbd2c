"""Bounds: how many connections somebody has, what others can make there, how often; and that no room slips past a block."""

import threading
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.test import override_settings

from chat import rooms
from connections import book, changes
from connections.changes import Request
from connections.models import Connection
from connections.policy import NotReachable
from connections.rules import Action, Blocked
from kernel import limits, rates
from kernel.errors import TooLarge, TooManyRequests
from kernel.limits import Rate
from tests.delivery.depot import group, person, query, until

pytestmark = pytest.mark.usefixtures("depot")


def change(who, action, peer):
    user = UUID(who.id)
    request = Request(action, book.get(user).version, user=UUID(peer.id))
    return changes.change(user, UUID(who.devices[0]), request)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(limits, "CONNECTIONS", 2)


def people(*names):
    return [person(name) for name in names]


def test_a_user_makes_so_many_and_no_more(few):
    alice, bob, carol, mallory = people("alice", "bob", "carol", "mallory")
    change(alice, Action.ADD, bob)
    change(alice, Action.BLOCK, carol)
    for action in (Action.ADD, Action.BLOCK):
        with pytest.raises(TooLarge):
            change(alice, action, mallory)
    # What is there can be changed all the same.
    change(alice, Action.REMOVE, bob)
    change(alice, Action.BLOCK, bob)
    # And nothing was written for whoever was refused.
    assert not Connection.objects.filter(owner_id=UUID(mallory.id)).exists()


def test_what_others_make_takes_nothing_of_the_user_s_own(few):
    alice, bob, carol, mallory, dave = people("alice", "bob", "carol", "mallory", "dave")
    for who in (bob, carol):
        change(who, Action.ADD, alice)
    with pytest.raises(TooLarge):
        change(mallory, Action.ADD, alice)
    change(alice, Action.BLOCK, mallory)
    change(alice, Action.ACCEPT, bob)
    # A block is told however full the other side is.
    change(dave, Action.BLOCK, alice)
    assert Connection.objects.get(owner_id=UUID(alice.id), peer_id=UUID(dave.id)).blocked_by


@override_settings(RATE_SCALE=1)
def test_a_user_makes_so_many_a_second(monkeypatch):
    alice, bob = people("alice", "bob")
    monkeypatch.setitem(rates.RATES, "connection", Rate(burst=2, per_second=0.001))
    change(alice, Action.BLOCK, bob)
    change(alice, Action.UNBLOCK, bob)
    with pytest.raises(TooManyRequests) as refused:
        change(alice, Action.BLOCK, bob)
    assert refused.value.retry_after
    # Each user by themselves.
    change(bob, Action.BLOCK, alice)


class UnderWay(threading.Thread):
    """A change that has done everything but commit."""

    def __init__(self, who, action, peer):
        super().__init__()
        self.asked = who, action, peer
        self.is_done, self.may_commit = threading.Event(), threading.Event()

    def run(self):
        try:
            with transaction.atomic():
                change(*self.asked)
                self.is_done.set()
                self.may_commit.wait(30)
        finally:
            connection.close()


class Attempt(threading.Thread):
    """Something that waits for it, and its refusal."""

    refusal = None

    def __init__(self, attempt):
        super().__init__()
        self.attempt = attempt

    def run(self):
        try:
            self.attempt()
        except (Blocked, NotReachable) as refusal:
            self.refusal = refusal
        finally:
            connection.close()


@pytest.mark.parametrize("way", ["opens", "is opened to", "founds", "adds", "is added"])
def test_whatever_is_under_way_when_a_block_is_answered_comes_too_late(way):
    alice, mallory, carol = people("alice", "mallory", "carol")
    circle, hers = group(mallory, carol), group(alice, carol)
    a, m, c = (UUID(who.id) for who in (alice, mallory, carol))
    attempt = Attempt({
        "opens": lambda: rooms.open_direct(m, a),
        "is opened to": lambda: rooms.open_direct(a, m),
        "founds": lambda: rooms.create_group(m, [c, a]),
        "adds": lambda: rooms.add_members(m, UUID(circle), [a]),
        "is added": lambda: rooms.add_members(a, UUID(hers), [m]),
    }[way])  # fmt: skip
    block = UnderWay(alice, Action.BLOCK, mallory)
    block.start()
    assert block.is_done.wait(10)
    attempt.start()
    until(lambda: query("SELECT 1 FROM pg_locks WHERE NOT granted"), "the attempt waits")
    block.may_commit.set()
    block.join()
    attempt.join()

    assert isinstance(attempt.refusal, Blocked)
    assert not set(rooms.shared_rooms(a, m))
