"""The message path in the test's own process: people and rooms in a database of their own, an intake, drains, and faults.

Nothing else works on that database: what a test leaves pending stays so until the test drains it. Everything is real:
PostgreSQL, the commits, the sessions, and their ends. A `FragileSession` loses its server side at a chosen statement.
"""

import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections import defaultdict
from contextlib import contextmanager
from typing import NamedTuple

import psycopg2
from django.db import connection

from accounts.models import Device, User
from chat import sender
from chat.intake import Intake
from chat.models import Membership, Room
from delivery.acks import AckBook
from delivery.drainer import Drainer
from delivery.slots import slot_of
from kernel import database
from kernel.database import Session
from kernel.ids import now_ms, uuid7
from kernel.prepared import PreparedCursor

PATIENCE_S = 10


def until(true, what="", patience_s=PATIENCE_S):
    """Ask until it is so, and return the answer."""
    deadline = time.monotonic() + patience_s
    while not (answer := true()):
        assert time.monotonic() < deadline, f"did not happen in {patience_s} s: {what or true}"
        time.sleep(0.005)
    return answer


def query(statement, *values):
    """Rows, read by the test itself; ids come as UUIDs."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


# --- people and rooms --------------------------------------------------------------------------------------------------


class Person(NamedTuple):
    """A user and the user's devices; all ids are texts."""

    id: str
    devices: tuple[str, ...]


def person(name, devices=1):
    user = User.objects.create(username=f"{name}.{secrets.token_hex(8)}", password="!")
    made = [Device.objects.create(user=user, name=f"{name}'s {n}") for n in range(devices)]
    return Person(str(user.id), tuple(str(device.id) for device in made))


def people_of_one_slot(number):
    """So many people whose deliveries are in the same slot."""
    first, *found = [person("first")]
    while len(found) < number - 1:
        other = person("other")
        if slot_of(other.id) == slot_of(first.id):
            found.append(other)
    return [first, *found]


def direct_room(one, other):
    first, second = sorted((one.id, other.id))
    room = Room.objects.create(kind="direct", first_user=first, second_user=second)
    Membership.objects.bulk_create(Membership(room=room, user_id=who.id) for who in (one, other))
    return str(room.id)


def group(owner, *members):
    room = Room.objects.create(kind="group")
    Membership.objects.create(room=room, user_id=owner.id, role="owner")
    Membership.objects.bulk_create(Membership(room=room, user_id=who.id) for who in members)
    return str(room.id)


def message(room, body=b"opaque", **fields):
    """A message object as a client sends it."""
    ciphertext = urlsafe_b64encode(body).rstrip(b"=").decode()
    return {
        "id": str(uuid7()),
        "room": room,
        "sent_at": now_ms(),
        "alg": "opaque.v1",
        "epoch": 0,
        "ciphertext": ciphertext,
    } | fields


# --- sending -----------------------------------------------------------------------------------------------------------


class Lane:
    """One socket, as the intake sees it; keeps the answers."""

    def __init__(self, intake, user, device):
        self.intake, self.user, self.device = intake, user, device
        self.refused, self.turned_away, self.outdated = {}, {}, {}
        self.answers = []
        self._news = threading.Condition()

    def answered(self, answers):
        with self._news:
            self.answers += answers
            self._news.notify_all()

    def send(self, *messages):
        """Submit without waiting."""
        self.answered(sender.submit(self.intake, messages, user=self.user, device=self.device, lane=self, ref=None))

    def wait(self, count):
        """The first `count` answers, taken out, once they are here."""
        with self._news:
            assert self._news.wait_for(lambda: len(self.answers) >= count, PATIENCE_S), (
                f"{len(self.answers)} of {count} answers"
            )
            taken, self.answers = self.answers[:count], self.answers[count:]
        return taken

    def sends(self, *messages):
        """Send in one frame and wait for the answers, in the messages' order."""
        self.send(*messages)
        by_id = {answer.id: answer for answer in self.wait(len(messages))}
        return [by_id[each["id"]] for each in messages]

    def insists(self, *messages, tries=20):
        """Send as a client's outbox does: what is refused for the time being is repeated, in order."""
        waiting = list(messages)
        for _ in range(tries):
            answers = self.sends(*waiting)
            waiting = [
                each for each, answer in zip(waiting, answers, strict=True) if answer.error and answer.error.retryable
            ]
            if not waiting:
                return
        raise AssertionError(f"{len(waiting)} messages are still refused: {answers[-1].error!r}")


@contextmanager
def intake(session=None):
    """A running intake. `.acks` is its book, `.owed` what receipts it owed."""
    owed = defaultdict(list)
    acks = AckBook()

    def on_acked(found):
        for user, origins in found.items():
            owed[user] += origins

    made = Intake(acks=acks, on_acked=on_acked, session=session)
    made.acks, made.owed = acks, owed
    made.start()
    try:
        yield made
    finally:
        made.stop()


# --- faults ------------------------------------------------------------------------------------------------------------


def terminate(pid):
    """End a session's server side, and wait until it is gone."""
    query("SELECT pg_terminate_backend(%s)", pid)
    until(lambda: not query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid), f"the end of session {pid}")


class FragileCursor(PreparedCursor):
    """Loses its session at the statement that its owner has chosen."""

    owner = None

    def execute(self, statement, values=None):
        fault = self.owner.next_fault()
        if fault == "before":
            terminate(self.connection.info.backend_pid)
        super().execute(statement, values)
        if fault == "behind":
            # The server has done it (a COMMIT too), and the answer is lost.
            terminate(self.connection.info.backend_pid)
            self.connection.close()
            raise psycopg2.OperationalError("server closed the connection unexpectedly")


class FragileSession(Session):
    """A session whose server side ends at statement number `at` from now: "before" it is done, or "behind" it."""

    def __init__(self, name, **settings):
        super().__init__(name, **settings)
        self._faults = []
        self.statements = 0

    def fail(self, *faults):
        """`faults`: (how many statements from now, "before" or "behind"), each counted from the one before it."""
        self._faults = list(faults)

    def next_fault(self):
        self.statements += 1
        if not self._faults:
            return None
        at, when = self._faults[0]
        if at > 0:
            self._faults[0] = at - 1, when
            return None
        self._faults.pop(0)
        return when

    @property
    def is_unharmed(self):
        """Whether a fault is still to come."""
        return bool(self._faults)

    def cursor(self):
        super().cursor().close()
        made = self._connection.cursor(cursor_factory=FragileCursor)
        made.owner = self
        return made


def fragile_drainer(name="drain", groups=(0,), **options):
    """A drainer of these groups whose session can be made to fail: `.session`."""
    session = FragileSession(name)
    drainer = Drainer(name, groups, session=session, **options)
    drainer.session = session
    return drainer


def drain_all(groups=(0,)):
    """Deliver whatever is pending in these groups."""
    drainer = Drainer("drain", groups)
    try:
        while drainer.drain(seconds=PATIENCE_S):
            pass
    finally:
        drainer.close()


@contextmanager
def raw():
    """A raw session as the hot path uses them, in a transaction that is undone."""
    session = database.connect("test")
    try:
        with session.cursor() as cursor:
            cursor.execute("BEGIN")
            yield cursor
            cursor.execute("ROLLBACK")
    finally:
        session.close()


# --- what must be true -------------------------------------------------------------------------------------------------


class Mailbox(NamedTuple):
    """A user's mailbox as it is stored: (seq, kind, message id or None, room) in order, and the row's last number."""

    entries: list
    last_seq: int

    @property
    def messages(self):
        return [id for _, _, id, _ in self.entries if id is not None]


def mailbox(user):
    rows = query(
        "SELECT seq, kind, message_id::text, room_id::text FROM message_log_entry WHERE user_id = %s ORDER BY seq", user
    )
    last = query("SELECT last_seq FROM message_log_mailbox WHERE user_id = %s", user)
    return Mailbox(rows, last[0][0] if last else 0)


def check_dense(user):
    """A mailbox is 1, 2, 3, … n, and n is its last number."""
    entries, last_seq = mailbox(user)
    assert [entry[0] for entry in entries] == list(range(1, len(entries) + 1))
    assert last_seq == len(entries)


def pending():
    """How many deliveries wait."""
    return query("SELECT count(*) FROM delivery_pending")[0][0]


def dead():
    """The deliveries that were set aside: (message id, error)."""
    return query("SELECT message_id::text, error FROM delivery_dead ORDER BY id")
