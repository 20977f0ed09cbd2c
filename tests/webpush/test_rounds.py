"""A round: who is due is claimed, decided on, told, and noted, each for itself. In the test's own process and database."""

import os
import subprocess
import sys
import threading
from datetime import timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from accounts import suspension
from accounts.models import Device
from delivery.webpush import due, ringing, subscriptions
from delivery.webpush.models import Subscription
from delivery.webpush.ringing import GIVE_UP, Decision
from delivery.webpush.sending import Outcome
from kernel.ids import now_ms, uuid7
from messages.kinds import Kind
from messages.models import Entry, Mailbox, Message
from tests.delivery import depot
from tests.faults.machines import Clock, Unable
from tests.push_service import PATIENCE_S, unb64

pytestmark = pytest.mark.usefixtures("depot")

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _clean(depot):
    """Nobody but the test's own people has subscribed."""
    Subscription.objects.all().delete()


@pytest.fixture
def alice():
    return depot.person("alice")


class Bob:
    """Somebody with one device, which is a browser, and `messages` of Alice's in his mailbox."""

    def __init__(self, service, alice, messages=1, **fields):
        self.id, (self.device,) = depot.person("bob")
        self.room, self.alice, self.messages = depot.direct_room(alice, self), alice, 0
        self.browser = service.browser()
        told = self.browser.subscription
        given = {"endpoint": told["endpoint"], "p256dh": unb64(told["p256dh"]), "auth": unb64(told["auth"])}
        Subscription.objects.create(device_id=self.device, user_id=self.id, **given | fields)
        for _ in range(messages):
            self.gets_a_message()

    @property
    def devices(self):
        return (self.device,)

    def gets_a_message(self):
        self.messages += 1
        sent = {"room_id": self.room, "sender_id": self.alice.id, "device_id": self.alice.devices[0], "epoch": 0}
        one = Message.objects.create(
            id=uuid7(), sent_at=now_ms(), accepted_at=Now(), alg="opaque.v1", ciphertext=b"opaque", **sent
        )
        Entry.objects.create(
            user_id=self.id, seq=self.messages, kind=Kind.MESSAGE, message_id=one.id, room_id=self.room
        )
        Mailbox.objects.update_or_create(user_id=self.id, defaults={"last_seq": self.messages})

    def is_due(self, **fields):
        """Since a second ago; the earlier ones of a test come first."""
        self.becomes(due_at=Now() - timedelta(seconds=1), **fields)
        return self

    def becomes(self, **fields):
        Subscription.objects.filter(pk=self.device).update(**fields)

    @property
    def row(self):
        return Subscription.objects.filter(pk=self.device).annotate(now=Now()).first()


@pytest.fixture
def bobs(service, alice):
    return lambda count, **fields: [Bob(service, alice, **fields).is_due() for _ in range(count)]


@pytest.fixture
def bob(bobs):
    return bobs(1)[0]


# --- each for itself ---------------------------------------------------------------------------------------------------


def test_one_that_cannot_be_told_takes_nothing_from_the_others(bobs):
    first, damaged, last = bobs(3)
    damaged.becomes(p256dh=b"damaged")

    assert ringing.ring_due() == 2

    for each in (first, last):
        assert len(each.browser.pushes) == 1
        assert (each.row.due_at, each.row.claimed_until, each.row.rung_seq) == (None, None, 1)
    assert (damaged.row.failures, damaged.row.claimed_until) == (1, None)
    assert MINUTE - timedelta(seconds=5) < damaged.row.due_at - damaged.row.now <= MINUTE


def test_each_is_noted_as_soon_as_it_is_told(bobs):
    """While another push service has not answered yet."""
    slow, quick = bobs(2)
    slow.browser.answers_now.clear()
    told = threading.Thread(target=closing(ringing.ring_due))
    told.start()
    depot.until(lambda: quick.row.rung_seq == 1)
    assert slow.row.claimed_until > slow.row.now
    slow.browser.answers_now.set()
    told.join(PATIENCE_S)
    assert (slow.row.rung_seq, slow.row.claimed_until, slow.browser.tries) == (1, None, 1)


def closing(fn):
    """For a thread of its own."""

    def call():
        try:
            fn()
        finally:
            connection.close()

    return call


def test_what_is_claimed_is_not_claimed_again_before_its_round_is_over():
    turns = ringing.ROUND_S + ringing.PUSH_S + ringing.SPARE_S
    assert timedelta(seconds=turns) < ringing.CLAIM


def test_whose_turn_does_not_come_in_a_round_is_due_again_at_once(bob, monkeypatch):
    monkeypatch.setattr(ringing, "ROUND_S", 0.0)
    (row,) = ringing._claim()
    ((each, outcome),) = ringing._send_all([row])
    assert outcome is None and bob.browser.tries == 0
    ringing._note(each, Decision.RING, 1, outcome)
    assert (bob.row.failures, bob.row.claimed_until, bob.row.looked_seq) == (0, None, 0)
    assert bob.row.due_at <= bob.row.now
    # Nobody was asked, and nobody has failed.
    monkeypatch.undo()
    assert ringing.ring_due() == 1


def test_what_no_deadline_ends_is_not_waited_for_either(bobs, monkeypatch):
    rows = [each.row for each in bobs(3)]
    let_go = threading.Event()
    monkeypatch.setattr(ringing, "send", lambda _: let_go.wait(PATIENCE_S) and Outcome(is_sent=True))
    monkeypatch.setattr(ringing, "SENDERS", 2)
    for name in ("ROUND_S", "PUSH_S", "SPARE_S"):
        monkeypatch.setattr(ringing, name, 0.1)
    outcomes = [outcome for _, outcome in ringing._send_all(rows)]
    let_go.set()
    assert sorted(outcomes, key=bool) == [None, *[Outcome(why="has no end")] * 2]


def test_what_cannot_be_noted_has_no_more_sent(bobs):
    told = bobs(3 * ringing.SENDERS)
    for each in told:
        each.browser.answers_now.clear()
    outcomes = ringing._send_all([each.row for each in told])
    told[0].browser.answers_now.set()
    assert next(outcomes)[1].is_sent
    outcomes.close()
    for each in told:
        each.browser.answers_now.set()
    depot.until(lambda: not [thread for thread in threading.enumerate() if thread.name == "web-push-sender"])
    assert sum(each.browser.tries for each in told) <= ringing.SENDERS + 1


# --- giving up ---------------------------------------------------------------------------------------------------------


def test_after_many_failures_in_a_row_nobody_is_there_any_more(bob):
    bob.becomes(failures=GIVE_UP - 2)
    for left in (GIVE_UP - 1, None):
        bob.browser.will_answer(500)
        bob.is_due()
        ringing.ring_due()
        assert (bob.row and bob.row.failures) == left


def test_a_push_that_is_taken_ends_the_row_of_failures(bob):
    for failures in (GIVE_UP - 1, GIVE_UP):
        bob.gets_a_message()
        bob.is_due(failures=failures, quiet_until=None)
        assert ringing.ring_due() == 1
        assert bob.row.failures == 0


def test_nobody_is_given_up_who_was_not_asked(bob):
    bob.is_due(failures=GIVE_UP, looked_seq=1)
    ringing.ring_due()
    assert (bob.row.due_at, bob.row.failures, bob.browser.tries) == (None, GIVE_UP, 0)


def test_who_subscribes_anew_meanwhile_is_not_given_up(bob):
    """With the same as before: clients do so at each start."""
    bob.becomes(failures=GIVE_UP - 1)
    bob.browser.answers_now.clear()
    bob.browser.will_answer(500)
    (row,) = ringing._claim()
    told = bob.browser.subscription
    outcomes = ringing._send_all([row])
    subscriptions.put(UUID(bob.id), UUID(bob.device), **told)
    bob.browser.answers_now.set()
    for each, outcome in outcomes:
        ringing._note(each, Decision.RING, 1, outcome)
    assert bob.browser.tries == 1
    assert bob.row.failures == 0
    # Once the claim is over, it is asked again.
    bob.becomes(claimed_until=Now())
    assert ringing.ring_due() == 1


@pytest.mark.parametrize("status", [201, 410, 500])
def test_what_came_of_an_old_subscription_says_nothing_of_the_new_one(bob, service, status):
    bob.becomes(failures=GIVE_UP - 1)
    bob.browser.will_answer(status)
    (row,) = ringing._claim()
    new = service.browser().subscription | {"endpoint": bob.browser.subscription["endpoint"]}
    ((each, outcome),) = ringing._send_all([row])
    subscriptions.put(UUID(bob.id), UUID(bob.device), **new)
    ringing._note(each, Decision.RING, 1, outcome)
    assert (bob.row.failures, bob.row.rung_seq, bytes(bob.row.auth)) == (0, 0, unb64(new["auth"]))


# --- who may be told ---------------------------------------------------------------------------------------------------


def test_a_suspension_puts_off_and_forgets_nothing(bob):
    suspension.suspend(UUID(bob.id))
    for _ in range(2):
        bob.gets_a_message()
        bob.is_due()
        assert ringing.ring_due() == 0
        assert (bob.row.due_at, bob.row.claimed_until, bob.row.looked_seq, bob.browser.tries) == (None, None, 0, 0)

    suspension.restore(UUID(bob.id))
    assert due.find_missed() == 1
    assert ringing.ring_due() == 1
    assert len(bob.browser.pushes) == 1


def test_a_revoked_device_of_somebody_suspended_is_forgotten(bob):
    suspension.suspend(UUID(bob.id))
    Device.objects.filter(pk=bob.device).update(revoked_at=Now())
    ringing.ring_due()
    assert bob.row is None and bob.browser.tries == 0


# --- clocks ------------------------------------------------------------------------------------------------------------


RINGS = "import django; django.setup(); from delivery.webpush import ringing; print(ringing.ring_due())"


@pytest.fixture
def rings_by(tmp_path):
    """How many are told by a process whose clock is off by so many seconds."""
    try:
        clock = Clock(tmp_path)
    except Unable as why:
        pytest.skip(str(why))
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    environment = os.environ | clock.environment | {"DATABASE_URL": urlunsplit(url)}

    def ring(seconds):
        clock.set(seconds)
        done = subprocess.run(
            [sys.executable, "-c", RINGS], env=environment, timeout=PATIENCE_S, check=True, stdout=subprocess.PIPE
        )
        return int(done.stdout)

    return ring


@pytest.mark.parametrize("seconds", [-600, 0, 600])
def test_a_device_is_left_alone_for_as_long_as_it_is_and_no_longer(bob, rings_by, seconds):
    """Whatever this process's clock shows: PostgreSQL has noted until when, and says what time it is."""
    bob.gets_a_message()
    bob.is_due(looked_seq=1, rung_seq=1, quiet_until=Now() + 5 * MINUTE)
    assert rings_by(seconds) == 0
    assert bob.row.due_at == bob.row.quiet_until
    assert (bob.row.claimed_until, bob.browser.tries) == (None, 0)

    bob.is_due(quiet_until=Now() - timedelta(seconds=1))
    assert rings_by(seconds) == 1
    assert len(bob.browser.pushes) == 1
    assert 9 * MINUTE < bob.row.quiet_until - bob.row.now <= 10 * MINUTE


def test_what_is_put_off_is_put_off(bob):
    """By a second at least: a decision that is made once more from the same rows is the same."""
    bob.becomes(quiet_until=Now() - MINUTE)
    (row,) = ringing._claim()
    ringing._note(row, Decision.LATER, 1, None)
    assert timedelta() < bob.row.due_at - bob.row.now <= timedelta(seconds=1)


def test_a_mark_that_comes_meanwhile_stays(bob):
    bob.becomes(quiet_until=Now() + MINUTE)
    (row,) = ringing._claim()
    bob.becomes(due_at=F("due_at") + timedelta(milliseconds=500))
    ringing._note(row, Decision.LATER, 1, None)
    assert bob.row.due_at == row.due_at + timedelta(milliseconds=500)
