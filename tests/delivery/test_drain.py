"""Draining: from pending deliveries to numbered entries, once each, in order, whatever stands in the way."""

import threading
import time
from unittest.mock import Mock
from uuid import UUID

import psycopg2
import pytest
from django.db import connection, transaction
from django.db.models import F

from chat import rooms
from config.celery import MissBroker
from delivery import drain
from delivery import sweeper as sweepers
from delivery.drainer import Drainer
from delivery.models import BlockCopy, Pending, Queue, Slot
from delivery.pending import backlog
from delivery.slots import slot_of
from delivery.sweeper import Sweeper
from kernel import database, ports
from kernel.database import Session
from kernel.ids import uuid7
from messages import log
from messages.kinds import Kind
from messages.models import Entry
from tests.delivery import depot
from tests.delivery.depot import (
    Lane,
    check_dense,
    dead,
    direct_room,
    drain_all,
    group,
    mailbox,
    message,
    pending,
    person,
)

pytestmark = pytest.mark.usefixtures("depot")


@pytest.fixture(scope="module")
def intake(depot):
    from tests.delivery.depot import intake

    with intake() as made:
        yield made


@pytest.fixture(autouse=True)
def _clean(depot):
    """Each test begins with nothing pending and nothing set aside."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE delivery_pending, delivery_dead")


@pytest.fixture
def alice():
    return person("alice")


@pytest.fixture
def bob():
    return person("bob")


@pytest.fixture
def room(alice, bob):
    return direct_room(alice, bob)


@pytest.fixture
def lane(intake, alice):
    return Lane(intake, alice.id, alice.devices[0])


@pytest.fixture
def drainer():
    made = depot.fragile_drainer()
    yield made
    made.close()


def sent(lane, *drafts):
    assert [answer.error for answer in lane.sends(*drafts)] == [None] * len(drafts)
    return [draft["id"] for draft in drafts]


def put_pending(user, **fields):
    """A pending delivery of the test's own for one user; its id."""
    values = {"slot": slot_of(user), "recipients": [user], "kind": Kind.MESSAGE, **fields}
    columns = ", ".join(values)
    marks = ", ".join("%s::uuid[]" if name == "recipients" else "%s" for name in values)
    ((id,),) = depot.query(f"INSERT INTO delivery_pending ({columns}) VALUES ({marks}) RETURNING id", *values.values())
    return id


class TestDelivering:
    def test_sender_and_recipient_get_one_entry_each_in_the_order_of_acceptance(self, lane, alice, bob, room):
        ids = sent(lane, *(message(room) for _ in range(40)))
        drain_all()

        assert pending() == 0
        for who in (alice, bob):
            check_dense(who.id)
            assert mailbox(who.id).messages == ids

    def test_one_look_delivers_more_than_a_batch(self, lane, alice, drainer):
        rooms_ = [direct_room(alice, person(f"peer{n}")) for n in range(10)]
        ids = [id for where in rooms_ for id in sent(lane, *(message(where) for _ in range(20)))]

        assert drainer.drain(seconds=10) is False
        assert mailbox(alice.id).messages == ids

    def test_what_is_to_be_pushed_is_what_was_written(self, lane, alice, bob, room, drainer):
        ids = sent(lane, *(message(room) for _ in range(5)))

        batch = drainer.drain_once()

        for who in (alice, bob):
            pushed = [(seq, batch.origins[index].message) for user, seq, index in batch.to if user == who.id]
            assert pushed == list(enumerate(ids, start=1))
        with depot.raw() as cursor:
            for entry in log.read_after(cursor, bob.id, 0, 500):
                (index,) = [index for user, seq, index in batch.to if (user, seq) == (bob.id, entry.seq)]
                assert (batch.texts[index], batch.origins[index]) == (entry.text, entry.origin)

    def test_room_changes_come_in_order_with_the_messages(self, lane, alice, bob):
        carol = person("carol")
        room = group(alice, bob)
        (first,) = sent(lane, message(room))
        rooms.add_members(UUID(alice.id), UUID(room), [UUID(carol.id)])
        (second,) = sent(lane, message(room))
        rooms.remove_member(UUID(alice.id), UUID(room), UUID(bob.id))
        (third,) = sent(lane, message(room))
        drain_all()

        found = {who: [id or kind for _, kind, id, _ in mailbox(who.id).entries] for who in (alice, bob, carol)}
        assert found[alice] == [first, Kind.ROOM, second, Kind.ROOM, third]
        assert found[bob] == [first, Kind.ROOM, second, Kind.ROOM]
        assert found[carol] == [Kind.ROOM, second, Kind.ROOM, third]

    def test_large_bodies_and_small_entries_keep_their_order(self, intake, drainer):
        """A batch is bounded by bytes. What has no body must not slip past what was left for the next batch."""
        pairs = [(person("alice"), person("bob")) for _ in range(5)]
        talks = [(pair, group(*pair), Lane(intake, pair[0].id, pair[0].devices[0])) for pair in pairs]
        wanted = {pair: [] for pair in pairs}
        for _ in range(3):
            for pair, room, lane in talks:
                wanted[pair] += sent(lane, *(message(room, b"x" * 32_768) for _ in range(6)))
                with transaction.atomic(), connection.cursor() as cursor:
                    payload, users = {"room": room, "change": "role"}, [UUID(who.id) for who in pair]
                    ports.mailboxes.put(cursor, recipients=users, kind=Kind.ROOM, payload=payload)
                wanted[pair].append(Kind.ROOM)

        batches = []
        while pending():
            batches.append(drainer.drain_once())

        assert len(batches) > 2
        assert all(batch.more for batch in batches[:-1])
        for pair in pairs:
            for who in pair:
                check_dense(who.id)
                assert [id or kind for _, kind, id, _ in mailbox(who.id).entries] == wanted[pair]

    def test_a_page_is_bounded_by_bytes_and_has_no_holes(self, lane, alice, bob):
        room = group(alice, bob)
        for _ in range(4):
            sent(lane, *(message(room, b"x" * 32_768) for _ in range(10)))
            put_pending(bob.id, kind=Kind.ROOM, payload='"kind":"room"')
        drain_all()

        with depot.raw() as cursor:
            after, pages = 0, 0
            while page := log.read_after(cursor, bob.id, after, 500):
                assert [entry.seq for entry in page] == list(range(after + 1, after + len(page) + 1))
                after, pages = page[-1].seq, pages + 1
        assert (after, pages) == (44, 11)

    def test_a_large_room_gets_it_once_each(self, lane, alice):
        members = [person("member") for _ in range(150)]
        room = group(alice, *members)
        ids = sent(lane, *(message(room) for _ in range(3)))
        drain_all()

        for who in (alice, *members):
            assert mailbox(who.id).messages == ids
            check_dense(who.id)

    def test_who_blocks_the_sender_gets_nothing_and_loses_no_number(self, lane, intake, alice, bob):
        carol = person("carol")
        room = group(alice, bob, carol)
        first, second = message(room), message(room)
        BlockCopy.objects.create(recipient_id=bob.id, sender_id=alice.id)
        sent(lane, first)
        sent(Lane(intake, carol.id, carol.devices[0]), second)
        drain_all()

        assert mailbox(bob.id).messages == [second["id"]]
        assert mailbox(carol.id).messages == [first["id"], second["id"]]
        check_dense(bob.id)

    def test_a_block_that_was_answered_holds_for_a_drain_that_was_under_way(self, lane, alice, bob, room, drainer):
        """A block locks the blocker's mailbox before it is written; the drain reads blocks behind that lock."""
        ids = sent(lane, message(room))
        drain_all()
        sent(lane, message(room))
        other = database.connect("test")
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM message_log_mailbox WHERE user_id = %s FOR UPDATE", (bob.id,))
            drain = threading.Thread(target=drainer.drain, kwargs={"seconds": 5})
            drain.start()
            depot.until(lambda: depot.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
            cursor.execute(
                "INSERT INTO delivery_blockcopy (recipient_id, sender_id, everywhere, direct, held, frozen_reads, blocked_at)"
                " VALUES (%s, %s, true, true, false, '{}', now())",
                (bob.id, alice.id),
            )
            cursor.execute("COMMIT")
            drain.join()
        other.close()

        assert pending() == 0
        assert mailbox(bob.id).messages == ids
        assert len(mailbox(alice.id).messages) == 2

    def test_a_message_that_everybody_blocks_is_forgotten(self, alice, bob, drainer):
        BlockCopy.objects.create(recipient_id=bob.id, sender_id=alice.id)
        put_pending(bob.id, kind=Kind.ROOM, payload='"kind":"room"', sender_id=alice.id)

        drainer.drain(seconds=5)

        assert (pending(), mailbox(bob.id).entries) == (0, [])

    def test_any_payload_is_kept_as_it_is(self, bob):
        payload = {"text": 'a "quoted" \\ {NULL}, ünïcode ☃ %s', "nothing": None}
        with transaction.atomic(), connection.cursor() as cursor:
            ports.mailboxes.put(cursor, recipients=[UUID(bob.id)], kind=Kind.ROOM, payload=payload)
        put_pending(bob.id, kind=Kind.ROOM, payload='"kind":"room"')
        drain_all()

        import orjson

        first, second = Entry.objects.filter(user_id=bob.id).order_by("seq")
        assert orjson.loads("{" + first.payload + "}") == {"kind": "room", **payload}
        assert second.payload == '"kind":"room"'


class TestRowsThatCannotBeDelivered:
    def test_one_that_names_no_message_is_set_aside_and_the_queue_goes_on(self, lane, alice, bob, room, drainer):
        before = sent(lane, *(message(room) for _ in range(5)))
        nowhere = str(uuid7())
        put_pending(bob.id, message_id=nowhere)
        behind = sent(lane, *(message(room) for _ in range(5)))

        drainer.drain(seconds=10)

        ((message_id, error),) = dead()
        assert message_id == nowhere
        assert "not stored" in error
        assert pending() == 0
        assert mailbox(bob.id).messages == before + behind
        check_dense(bob.id)

    def test_many_of_them_do_not_stop_it(self, lane, bob, room, drainer):
        ids = []
        for _ in range(8):
            put_pending(bob.id, message_id=str(uuid7()))
            ids += sent(lane, message(room))

        drainer.drain(seconds=20)

        assert len(dead()) == 8
        assert mailbox(bob.id).messages == ids

    def test_a_second_delivery_of_the_same_message_is_not_made(self, lane, bob, room, drainer):
        first, second = sent(lane, message(room), message(room))
        put_pending(bob.id, message_id=first)
        (third,) = sent(lane, message(room))

        drainer.drain(seconds=10)

        assert mailbox(bob.id).messages == [first, second, third]
        assert [id for id, _ in dead()] == [first]
        check_dense(bob.id)

    def test_a_mailbox_that_somebody_holds_is_waited_for_and_nothing_is_set_aside(
        self, lane, alice, bob, room, drainer
    ):
        ids = sent(lane, message(room))
        drain_all()
        ids += sent(lane, message(room))
        other = database.connect("test")
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM message_log_mailbox WHERE user_id = %s FOR UPDATE", (bob.id,))
            assert drainer.drain_once() is None
            cursor.execute("COMMIT")
        other.close()

        drainer.drain(seconds=5)

        assert (dead(), pending()) == ([], 0)
        assert mailbox(bob.id).messages == ids

    def test_a_schema_that_is_not_there_is_no_row_s_fault(self, lane, bob, room, drainer):
        ids = sent(lane, message(room))
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE delivery_blockcopy RENAME TO elsewhere")
        try:
            for _ in range(15):
                assert drainer.drain_once() is None
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE elsewhere RENAME TO delivery_blockcopy")

        drainer.drain(seconds=5)

        assert dead() == []
        assert mailbox(bob.id).messages == ids


class TestWhenItDies:
    @pytest.mark.parametrize("when", ["before", "behind"])
    @pytest.mark.parametrize("statement", [0, 1, 2])
    def test_at_any_statement_each_message_is_delivered_once(self, lane, alice, bob, room, drainer, statement, when):
        """Statements: lock and take; mailboxes; write and COMMIT. Behind the last, all is committed."""
        ids = sent(lane, message(room))
        drain_all()  # the mailboxes are there
        ids += sent(lane, *(message(room) for _ in range(5)))
        drainer.session.fail((statement, when))

        with pytest.raises(psycopg2.OperationalError):
            drainer.drain(seconds=5)
        drainer.drain(seconds=5)

        assert (pending(), dead()) == (0, [])
        for who in (alice, bob):
            assert mailbox(who.id).messages == ids
            check_dense(who.id)

    @pytest.mark.parametrize("when", ["before", "behind"])
    @pytest.mark.parametrize("statement", [1, 2, 3])
    def test_also_while_it_makes_mailboxes(self, lane, alice, bob, room, drainer, statement, when):
        ids = sent(lane, *(message(room) for _ in range(5)))
        drainer.session.fail((statement, when))

        with pytest.raises(psycopg2.OperationalError):
            drainer.drain(seconds=5)
        drainer.drain(seconds=5)

        for who in (alice, bob):
            assert mailbox(who.id).messages == ids
            check_dense(who.id)

    @pytest.mark.parametrize("statement", [0, 1, 2, 3, 4, 5])
    def test_also_while_it_sets_a_row_aside(self, lane, bob, room, drainer, statement):
        put_pending(bob.id, message_id=str(uuid7()))
        ids = sent(lane, message(room))
        drainer.session.fail((statement, "behind"))
        for _ in range(3):
            try:
                drainer.drain(seconds=5)
            except psycopg2.OperationalError:
                continue

        assert not drainer.session.is_unharmed
        assert len(dead()) == 1
        assert (pending(), mailbox(bob.id).messages) == (0, ids)


class TestPlans:
    """Plans are kept while tables grow. Those of empty tables must do for full ones."""

    @pytest.mark.parametrize("statement", [drain.FORGET, log.SET_LAST_SEQS])
    def test_what_is_written_is_found_by_its_place_and_not_by_a_walk(self, statement):
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) delivery_pending")
        session = Session("test")
        with session.cursor() as cursor:
            first, *rest = statement.split("%s")
            cursor.execute(
                "PREPARE planned AS " + first + "".join(f"${place}{text}" for place, text in enumerate(rest, 1))
            )
            cursor.execute("EXPLAIN EXECUTE planned(" + ",".join(["'{}'"] * len(rest)) + ")")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        session.close()

        assert "Tid Scan" in plan
        assert "Join" not in plan and "Index Scan" not in plan and "Seq Scan" not in plan

    def test_pending_rows_are_found_by_slot_and_from_the_mark_on(self):
        """Without the second half of the condition a look walks all dead rows below the mark."""
        session = Session("test")
        with session.cursor() as cursor:
            cursor.execute("BEGIN;" + drain.LOCK_QUEUES.format(skip=""), ("{0}",))
            first, *rest = drain.TAKE.split("%s")
            cursor.execute(
                "PREPARE planned AS " + first + "".join(f"${place}{text}" for place, text in enumerate(rest, 1))
            )
            cursor.execute("EXPLAIN EXECUTE planned(64, '{}', 5, 16, 320)")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            cursor.execute("ROLLBACK")
        session.close()

        (condition,) = [line for line in plan.splitlines() if "Index Cond: ((slot = s.slot)" in line]
        assert "id >= " in condition
        assert "Seq Scan on delivery_pending" not in plan and "Seq Scan on message" not in plan


class TestWhatFailsForNoFaultOfItsRow:
    def test_it_is_tried_again_and_again_but_not_at_full_speed(self, lane, alice, bob, room, monkeypatch):
        """As when a table is of another version: nothing is set aside, and PostgreSQL is not kept busy with it."""
        ids = sent(lane, message(room))
        tries = []

        def undefined(*args, **options):
            tries.append(time.monotonic())
            raise psycopg2.errors.UndefinedColumn("no such column")

        drainer = Drainer("drain", [0])
        with monkeypatch.context() as other_version:
            other_version.setattr("delivery.drainer.drain_batch", undefined)
            assert drainer.drain(seconds=1.0)
        # Halved from 320 to 1, then with pauses of 0.05, 0.1, 0.2, … s.
        assert 10 < len(tries) < 20

        drainer.drain(seconds=5)
        drainer.close()
        assert mailbox(bob.id).messages == ids


class TestSeveralAtOnce:
    def test_two_drainers_never_have_the_same_rows(self, lane, alice, bob, room):
        ids = sent(lane, *(message(room) for _ in range(60)))
        problems = []

        def drain():
            drainer = Drainer("drain", [0])
            try:
                while pending_rows():
                    drainer.drain(seconds=5)
            except Exception as error:
                problems.append(error)
            finally:
                drainer.close()

        def pending_rows():
            with depot.raw() as cursor:
                cursor.execute("SELECT count(*) FROM delivery_pending")
                return cursor.fetchone()[0]

        threads = [threading.Thread(target=drain) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert not problems
        for who in (alice, bob):
            assert mailbox(who.id).messages == ids
            check_dense(who.id)

    def test_who_skips_locked_queues_leaves_them_to_who_holds_them(self, lane, alice, bob, room):
        sent(lane, message(room))
        sweeping = Drainer("sweep", [0], skip_locked=True)
        other = database.connect("test")
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM delivery_queue FOR UPDATE")
            assert sweeping.drain_once().rows == 0
            cursor.execute("COMMIT")
        other.close()

        assert sweeping.drain_once().rows > 0
        sweeping.close()

    def test_a_slot_may_move_to_another_queue_while_messages_flow(self, lane, alice, bob, room, drainer):
        slot = Slot.objects.get(slot=slot_of(bob.id))
        first = sent(lane, *(message(room) for _ in range(20)))
        drainer.drain_once()
        Slot.objects.filter(slot=slot.slot).update(
            queue="recipients.07" if slot.queue_id != "recipients.07" else "recipients.00", version=F("version") + 1
        )
        second = sent(lane, *(message(room) for _ in range(20)))
        drainer.drain(seconds=5)
        Slot.objects.filter(slot=slot.slot).update(queue=slot.queue_id, version=F("version") + 1)

        assert mailbox(bob.id).messages == first + second

    def test_a_slot_that_comes_from_another_group_brings_its_older_rows(self, intake, drainer):
        """They lie below the mark that its new drainer has made of its own rows."""
        alice, bob, carol = person("alice"), person("bob"), person("carol")
        while slot_of(bob.id) in {slot_of(alice.id), slot_of(carol.id)}:
            bob = person("bob")
        lane = Lane(intake, alice.id, alice.devices[0])
        to_bob, to_carol = direct_room(alice, bob), direct_room(alice, carol)
        slot = Slot.objects.get(slot=slot_of(bob.id))
        Queue.objects.create(name="recipients.of-another", group=91)
        Slot.objects.filter(slot=slot.slot).update(queue="recipients.of-another", version=F("version") + 1)
        sent(lane, message(to_carol))
        drainer.drain(seconds=5)
        older = sent(lane, message(to_bob))
        for _ in range(5):
            sent(lane, message(to_carol))
            drainer.drain(seconds=5)

        Slot.objects.filter(slot=slot.slot).update(queue=slot.queue_id, version=F("version") + 1)
        Queue.objects.filter(group=91).delete()
        newer = sent(lane, message(to_bob))
        drainer.drain(seconds=5)

        assert mailbox(bob.id).messages == older + newer


class TestTheBacklog:
    def test_it_is_counted_and_its_age_known(self, bob):
        with depot.raw() as cursor:
            assert backlog(cursor, 100) == (0, 0.0)
        for _ in range(5):
            put_pending(bob.id, payload="x", kind=Kind.ROOM)
        with depot.raw() as cursor:
            rows, age = backlog(cursor, 100)
            assert rows == 5
            assert 0 < age < 60

    def test_ids_far_apart_do_not_make_it_full(self, bob):
        """The quick estimate is an upper bound; only beyond the limit it is looked at closely."""
        first = put_pending(bob.id, payload="x", kind=Kind.ROOM)
        put_pending(bob.id, payload="x", kind=Kind.ROOM, id=first + 5_000_000)
        with depot.raw() as cursor:
            assert backlog(cursor, 100)[0] == 2

    def test_beyond_the_limit_it_is_not_counted_to_the_end(self, bob):
        for _ in range(5):
            put_pending(bob.id, payload="x", kind=Kind.ROOM)
        with depot.raw() as cursor:
            assert backlog(cursor, 3)[0] == 4


class TestTheSweeper:
    @pytest.fixture
    def sweeper(self):
        return Sweeper([0])

    def overdue(self):
        with connection.cursor() as cursor:
            cursor.execute("UPDATE delivery_pending SET created_at = created_at - interval '1 minute'")

    def test_what_has_not_moved_between_two_looks_is_drained(self, sweeper, lane, alice, bob, room):
        ids = sent(lane, message(room))
        assert sweeper.sweep() == []
        self.overdue()

        assert sweeper.sweep() == []
        assert sweeper.sweep() == [0]
        assert mailbox(bob.id).messages == ids

    def test_once_it_had_to_drain_it_does_not_wait_for_a_second_look(self, sweeper, lane, bob, room):
        first = sent(lane, message(room))
        self.overdue()
        sweeper.sweep()
        sweeper.sweep()
        second = sent(lane, message(room))
        self.overdue()

        assert sweeper.is_on_duty
        assert sweeper.sweep() == [0]
        assert mailbox(bob.id).messages == first + second

    def test_when_another_worker_is_gone_it_does_not_wait_for_a_second_look_either(self, sweeper, lane, bob, room):
        theirs = database.connect("sweeper 0 worker-7")
        assert not sweeper.has_lost_a_peer()
        ids = sent(lane, message(room))
        self.overdue()
        theirs.close()

        depot.until(sweeper.has_lost_a_peer, "its end to be noticed")
        assert sweeper.is_on_duty
        assert sweeper.sweep() == [0]
        assert mailbox(bob.id).messages == ids
        assert not sweeper.has_lost_a_peer()

    def test_nor_when_the_broker_is_lost_however_dear_looks_are(self, sweeper, lane, bob, room):
        sweeper._next_look = float("inf")
        ids = sent(lane, message(room))
        self.overdue()
        sweeper.start()
        try:
            depot.until(lambda: 0 in sweeper._peers, "its first look at the others")
            assert mailbox(bob.id).messages == []
            sweeper.lose_broker()
            assert sweeper.is_on_duty
            depot.until(lambda: mailbox(bob.id).messages == ids, "the delivery", patience_s=2)
        finally:
            sweeper.stop()
            sweeper.join()

    def test_its_worker_tells_it_that(self, sweeper, monkeypatch):
        monkeypatch.setattr(sweepers, "_sweeper", sweeper)
        consumer = Mock()
        step = MissBroker(consumer)

        step.start(consumer)
        assert not sweeper.is_on_duty
        step.stop(consumer)
        assert sweeper.is_on_duty

    def test_nor_for_its_next_look_however_dear_looks_are(self, sweeper, lane, bob, room):
        """A snapshot is held open: each look walks what was delivered since."""
        sweeper._next_look = float("inf")
        theirs = database.connect("sweeper 0 worker-7")
        ids = sent(lane, message(room))
        self.overdue()
        sweeper.start()
        try:
            depot.until(lambda: sweeper._peers.get(0, 0) > 0, "its first look at the others")
            assert mailbox(bob.id).messages == []
            theirs.close()
            depot.until(lambda: mailbox(bob.id).messages == ids, "the delivery", patience_s=2)
        finally:
            sweeper.stop()
            sweeper.join()

    def test_a_queue_that_moves_is_left_alone(self, sweeper, lane, room, drainer):
        sent(lane, message(room))
        self.overdue()
        sweeper.sweep()
        drainer.drain(seconds=5)
        sent(lane, message(room))
        self.overdue()

        assert sweeper.sweep() == []
        drain_all()

    def test_a_row_whose_id_became_visible_late_is_found(self, sweeper, lane, bob, room, drainer):
        """Ids are given before commit: a lower one may appear after a drain's mark has passed it."""
        ids = sent(lane, message(room))
        low = Pending.objects.order_by("id").first().id
        drainer.drain(seconds=5)
        (late,) = sent(lane, message(room))
        drainer.drain(seconds=5)
        put_pending(bob.id, kind=Kind.ROOM, payload='"kind":"room"', id=low)
        self.overdue()

        sweeper.sweep()
        assert sweeper.sweep() == [0]
        assert [id for _, _, id, _ in mailbox(bob.id).entries] == [*ids, late, None]
