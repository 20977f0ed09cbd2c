"""The queue map and its changes, one at a time: what they do, what they refuse, who learns of them."""

import threading

import psycopg2
import pytest
from django.db import connection

from delivery import queuemap, wake
from delivery.drainer import Drainer, resume
from delivery.models import Queue
from delivery.queuemap import MapRefused
from delivery.slots import QUEUE_NAMES, SLOTS, slot_of
from delivery.sweeper import Sweeper
from kernel import database, valkey
from tests.delivery import depot
from tests.delivery.depot import Lane, check_dense, direct_room, drain_all, mailbox, message, person

pytestmark = pytest.mark.usefixtures("own_map")


@pytest.fixture(scope="module")
def intake(depot):
    from tests.delivery.depot import intake

    with intake() as made:
        yield made


@pytest.fixture
def talk(intake):
    """Alice writes to Bob, whose slots are not the same."""
    alice, bob = person("alice"), person("bob")
    while slot_of(bob.id) == slot_of(alice.id):
        bob = person("bob")
    return Talk(intake, alice, bob)


class Talk:
    def __init__(self, intake, alice, bob):
        self.alice, self.bob = alice, bob
        self.room = direct_room(alice, bob)
        self.lane = Lane(intake, alice.id, alice.devices[0])
        self.slot = slot_of(bob.id)

    def says(self, count=1):
        drafts = [message(self.room) for _ in range(count)]
        self.lane.insists(*drafts)
        return [draft["id"] for draft in drafts]


def moved_elsewhere(slot, queue):
    """Move it, in a thread of its own."""
    queuemap.move(slot, queue)
    connection.close()


class TestMoving:
    def test_the_slot_is_in_the_other_queue_and_the_map_s_version_is_higher(self):
        before = queuemap.read_map()
        moved = queuemap.move(21, "recipients.00")

        after = queuemap.read_map()
        assert (moved.slot, moved.source, moved.target, moved.group) == (21, "recipients.05", "recipients.00", 0)
        assert after.queue_of == {**before.queue_of, 21: "recipients.00"}
        assert after.version == before.version + 1

    def test_to_where_it_is_it_does_not_move(self):
        before = queuemap.read_map()

        assert queuemap.move(21, "recipients.05") is None
        assert queuemap.read_map() == before

    @pytest.mark.parametrize(
        ("slot", "queue", "source"),
        [
            (-1, "recipients.00", None),
            (SLOTS, "recipients.00", None),
            (21, "recipients.63", None),
            (21, "nowhere", None),
            (21, "recipients.00", "recipients.01"),
        ],
    )
    def test_what_is_not_there_is_refused_and_nothing_changes(self, slot, queue, source):
        before = queuemap.read_map()

        with pytest.raises(MapRefused):
            queuemap.move(slot, queue, source=source)
        assert queuemap.read_map() == before

    def test_it_waits_for_a_drain_of_either_queue_and_none_begins_meanwhile(self, talk):
        """Whoever holds one of the two locks is a drain in the middle of a batch."""
        talk.says()
        home, other = f"recipients.{talk.slot % 8:02d}", f"recipients.{(talk.slot + 1) % 8:02d}"
        for held in (home, other):
            session = database.connect("drain")
            with session.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute("SELECT 1 FROM delivery_queue WHERE name = %s FOR UPDATE", (held,))
                mover = threading.Thread(target=moved_elsewhere, args=(talk.slot, other))
                mover.start()
                depot.until(lambda: depot.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
                assert queuemap.read_map().queue_of[talk.slot] == home
                cursor.execute("COMMIT")
            session.close()
            mover.join()
            assert queuemap.read_map().queue_of[talk.slot] == other
            queuemap.move(talk.slot, home)
        drain_all()

    def test_it_outlasts_a_frozen_drain(self, talk):
        """PostgreSQL ends a session that is idle in its transaction for 2 s; the move tries until then."""
        frozen = database.connect("drain")
        with frozen.cursor() as cursor:
            cursor.execute("BEGIN; SELECT 1 FROM delivery_queue FOR UPDATE")
            assert queuemap.move(21, "recipients.00").target == "recipients.00"
            with pytest.raises(psycopg2.Error):
                cursor.execute("COMMIT")
        frozen.close()

    def test_no_pending_row_is_touched(self, talk):
        talk.says(5)
        rows = depot.query("SELECT ctid::text, xmin::text, * FROM delivery_pending ORDER BY slot, id")

        queuemap.add("recipients.08", 1)
        queuemap.move(talk.slot, "recipients.08")

        assert depot.query("SELECT ctid::text, xmin::text, * FROM delivery_pending ORDER BY slot, id") == rows
        drain_all([0, 1])

    def test_the_new_group_delivers_and_the_old_one_does_not(self, talk):
        first = talk.says(3)
        queuemap.add("recipients.08", 1)
        queuemap.move(talk.slot, "recipients.08")
        second = talk.says(3)

        drain_all([0])
        assert mailbox(talk.bob.id).messages == []
        assert mailbox(talk.alice.id).messages == first + second
        drain_all([1])
        assert mailbox(talk.bob.id).messages == first + second
        check_dense(talk.bob.id)


class TestAddingAndIsolating:
    def test_a_new_queue_is_empty_and_of_its_group(self):
        queuemap.add("recipients.08", 3)

        line = queuemap.read_map().queues["recipients.08"]
        assert (line.group, line.slots, line.reserved) == (3, (), False)

    def test_an_empty_queue_can_be_removed_and_added_again(self):
        before = queuemap.read_map()
        queuemap.add("recipients.08", 3)

        assert queuemap.remove("recipients.08").group == 3
        assert queuemap.read_map() == before
        queuemap.add("recipients.08", 4)

    def test_a_queue_that_has_slots_or_is_not_there_is_not_removed(self):
        before = queuemap.read_map()

        with pytest.raises(MapRefused, match=r"has slots \(5 13 21"):
            queuemap.remove("recipients.05")
        with pytest.raises(MapRefused, match="no queue"):
            queuemap.remove("recipients.08")
        assert queuemap.read_map() == before

    def test_whoever_drains_a_queue_that_is_removed_goes_on_with_the_others(self, talk):
        """A drainer of the group knows the queue by its list; the list of the next drain is another one."""
        queuemap.add("recipients.08", 0)
        drainer = Drainer("drain", [0])
        first = talk.says(3)
        drainer.drain(seconds=5)
        queuemap.remove("recipients.08")
        second = talk.says(3)
        drainer.drain(seconds=5)
        drainer.close()
        assert mailbox(talk.bob.id).messages == first + second

    def test_a_drain_of_a_group_that_has_no_queue_any_more_finds_nothing(self, talk):
        queuemap.add("recipients.08", 7)
        queuemap.remove("recipients.08")
        talk.says(1)

        drain_all([7])
        assert mailbox(talk.bob.id).messages == []
        drain_all([0])

    @pytest.mark.parametrize(
        ("name", "group"), [("recipients.00", 1), ("recipients.64", 1), ("hot", 1), ("recipients.08", -1)]
    )
    def test_names_that_are_taken_or_that_no_process_declares_are_refused(self, name, group):
        with pytest.raises(MapRefused):
            queuemap.add(name, group)

    def test_an_isolated_slot_is_alone_in_a_group_of_its_own(self):
        moved = queuemap.isolate(21)

        found = queuemap.read_map()
        assert found.queues[moved.target].slots == (21,)
        assert found.of_group(moved.group) == [found.queues[moved.target]]
        assert found.queues[moved.target].reserved

    def test_twice_is_once(self):
        queuemap.isolate(21)
        before = queuemap.read_map()

        assert queuemap.isolate(21) is None
        assert queuemap.read_map() == before

    def test_each_gets_its_own_and_what_was_left_empty_is_used_again(self):
        first, second = queuemap.isolate(21), queuemap.isolate(22)
        assert first.group != second.group

        queuemap.move(21, "recipients.00")
        assert queuemap.isolate(23).target == first.target

    def test_when_every_name_is_taken_it_says_so(self):
        for name in QUEUE_NAMES[8:]:
            queuemap.add(name, 0)

        with pytest.raises(MapRefused, match="taken"):
            queuemap.isolate(21)

    def test_two_at_once_get_two_groups(self):
        def isolate(slot):
            queuemap.isolate(slot)
            connection.close()

        threads = [threading.Thread(target=isolate, args=(slot,)) for slot in (21, 22, 23)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        found = queuemap.read_map()
        assert len({found.queues[found.queue_of[slot]].group for slot in (21, 22, 23)}) == 3


class TestAQueueThatComesWhileADrainLocks:
    def test_its_slots_are_left_to_who_has_its_lock(self, talk):
        """A drain's list of queues is as old as its first lock. What came to the group since it has not locked: were it to
        take its slots all the same, two drains would have them at once, and a mark made then would look past older rows."""
        queuemap.add("recipients.08", 1)
        queuemap.move(talk.slot, "recipients.08")
        first = talk.says(3)
        holder, other = database.connect("drain"), database.connect("drain")
        drainer = Drainer("drain", [0])
        with holder.cursor() as held, other.cursor() as new:
            held.execute("BEGIN; SELECT 1 FROM delivery_queue WHERE name = 'recipients.00' FOR UPDATE")
            late = threading.Thread(target=drainer.drain_once)
            late.start()
            depot.until(lambda: depot.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
            queuemap.add("recipients.09", 0)
            queuemap.move(talk.slot, "recipients.09")
            new.execute("BEGIN; SELECT 1 FROM delivery_queue WHERE name = 'recipients.09' FOR UPDATE")
            held.execute("COMMIT")
            late.join()
            assert mailbox(talk.bob.id).messages == []
            new.execute("COMMIT")
        holder.close(), other.close()

        # The same drainer, with whatever mark it has made: the older rows come first.
        second = talk.says(3)
        drainer.drain(seconds=5)
        drainer.close()
        assert mailbox(talk.bob.id).messages == first + second
        check_dense(talk.bob.id)


class TestWhoLearnsOfIt:
    """Wake-ups go by a map that may be old; the flags in Valkey say who was woken."""

    @pytest.fixture
    def waker(self):
        made = wake.Waker()
        made.start()
        depot.until(lambda: made.queue_of(0), "the map to be read")
        yield made
        made.stop()

    @pytest.fixture(autouse=True)
    def _asleep(self):
        yield
        valkey.client().delete(*(wake._flag(group) for group in (0, 91)))

    def is_woken(self, group):
        return bool(valkey.client().exists(wake._flag(group)))

    def away(self, slot):
        """Somebody moves the slot to a group that has no worker, and tells nobody."""
        Queue.objects.create(name="recipients.08", group=91)
        depot.query("UPDATE delivery_slot SET queue_id = 'recipients.08', version = version + 1 WHERE slot = %s", slot)

    def test_an_old_map_wakes_the_wrong_group(self, waker):
        self.away(21)
        waker.add(slots=[21])

        assert waker.flush(5)
        assert not self.is_woken(91)

    def test_whoever_is_told_reads_the_map_anew_with_the_next_wake_up(self, waker):
        self.away(21)
        wake.map_changed([])
        waker.add(slots=[21])

        depot.until(lambda: self.is_woken(91))

    def test_a_move_wakes_the_group_that_gets_the_slot(self, waker):
        queuemap.add("recipients.08", 91)
        queuemap.move(21, "recipients.08")

        depot.until(lambda: self.is_woken(91))

    def test_a_group_that_is_not_on_the_map_does_not_keep_others_asleep(self, waker):
        valkey.client().delete(wake._flag(0))
        waker.add(slots=[20], groups=[77])

        depot.until(lambda: self.is_woken(0))


class TestAGroupWithoutWorkers:
    """Its messages are late, and not lost: the sweepers of all workers look at all groups."""

    @pytest.fixture
    def overdue(self, talk):
        queuemap.add("recipients.08", 91)
        queuemap.move(talk.slot, "recipients.08")
        ids = talk.says(3)
        drain_all([0])
        depot.query("UPDATE delivery_pending SET created_at = created_at - interval '1 minute'")
        return ids

    @pytest.fixture
    def sweeper(self):
        return Sweeper([0])

    def test_a_sweeper_of_another_group_delivers_what_has_not_moved(self, sweeper, talk, overdue):
        assert sweeper.sweep() == []
        assert sweeper.sweep() == [91]
        assert mailbox(talk.bob.id).messages == overdue

    def test_it_lets_hardly_any_task_be_published_for_nobody(self, sweeper, talk, overdue):
        """They would gather in the broker until the first worker of the group comes."""
        wake.clear(91)
        while sweeper.sweep() != [91]:
            pass

        assert valkey.client().pttl(valkey.key("drain", 91)) > 60_000
        resume([91])
        assert valkey.client().pttl(valkey.key("drain", 91)) < 60_000

    def test_a_group_that_has_a_worker_is_left_to_it(self, sweeper, talk, overdue):
        theirs = database.connect("sweeper 91 worker-7")
        assert [sweeper.sweep() for _ in range(3)] == [[], [], []]
        theirs.close()

        depot.until(lambda: sweeper.sweep() == [91], "the end of its worker to be noticed")
        assert mailbox(talk.bob.id).messages == overdue

    def test_unless_that_has_not_moved_anything_for_seconds(self, sweeper, talk, overdue):
        theirs = database.connect("sweeper 91 worker-7")
        depot.until(lambda: sweeper.sweep() == [91], "a frozen worker to be noticed")
        assert mailbox(talk.bob.id).messages == overdue

        # And it does not wait for seconds again.
        more = talk.says(3)
        depot.query("UPDATE delivery_pending SET created_at = created_at - interval '1 minute'")
        assert [91 in sweeper.sweep() for _ in range(2)] == [False, True]
        assert mailbox(talk.bob.id).messages == overdue + more
        theirs.close()
