"""Blocks and request boxes at the worst moments, and what somebody hostile could make of them."""

import threading
from uuid import UUID

import pytest
from django.db import connection, connections, transaction

from chat import rooms
from connections import changes
from connections.models import Book, Connection
from connections.rules import Action
from delivery import blocks, drain
from delivery.drain import EVERYTHING
from delivery.models import Held
from kernel import database, limits, ports
from kernel.ids import now_ms
from messages import late, log, receipts
from messages.kinds import Kind
from tests.blocks.conftest import barrier, block, put
from tests.delivery import depot
from tests.delivery.depot import drain_all, mailbox, message, pending, person

pytestmark = pytest.mark.usefixtures("depot")


def change(who, action, peer, base=None):
    """Made by the person's first device, on the version that it has, or on an older one."""
    book = Book.objects.filter(user_id=who.id).first()
    version = (book.version if book else 0) if base is None else base
    request = changes.Request(Action(action), version, user=UUID(peer.id), raw={})
    return changes._change(UUID(who.id), UUID(who.devices[0]), UUID(peer.id), request)


def version_of(who):
    return Book.objects.get(user_id=who.id).version


def state_of(who, peer):
    return Connection.objects.get(owner_id=who.id, peer_id=peer.id).state


@transaction.atomic
def release(recipient, sender):
    with connection.cursor() as cursor:
        ports.blocks.put(cursor, [barrier(recipient, sender)])
        ports.blocks.release(cursor, recipient=UUID(recipient.id), sender=UUID(sender.id))


class TestAtTheDrain:
    def test_what_a_request_box_gives_back_is_not_overtaken_by_a_drain_that_was_under_way(self, says, alice, bob, room):
        """The drain has taken a later message, and then the box is emptied: the drain must look again."""
        put(barrier(bob, alice, held=True))
        first = says(alice, *(message(room) for _ in range(3)))
        drain_all()
        later = says(alice, message(room))
        session = database.connect("drain")
        with session.cursor() as cursor:
            found = drain.take(cursor, groups=[0], since=EVERYTHING, rows=320, skip_locked=False)
            release(bob, alice)
            batch = drain.deliver(cursor, found, full=False)
        session.close()
        assert (batch.rows, batch.more) == (0, True)

        drain_all()
        assert mailbox(bob.id).messages == [*first, *later]

    def test_a_block_and_a_drain_that_makes_a_mailbox_do_not_wait_for_each_other(self, says, alice, bob, carol, room):
        says(alice, message(depot.direct_room(alice, carol)))
        drain_all()  # Alice has a mailbox now, Bob has none
        says(alice, message(room))
        failures = []

        def blocks_her():
            try:
                block(bob, alice)
            except Exception as error:
                failures.append(error)
            finally:
                connections.close_all()

        thread = threading.Thread(target=blocks_her)
        session = database.connect("drain")
        with session.cursor() as cursor:
            found = drain.take(cursor, groups=[0], since=EVERYTHING, rows=320, skip_locked=False)
            cursor.execute(log.lock_mailboxes_sql(cursor, [alice.id, bob.id]))
            thread.start()
            depot.until(lambda: depot.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
            drain.deliver(cursor, found, full=False)
        session.close()
        thread.join()

        assert failures == []
        assert pending() == 0

    def test_a_page_that_was_read_just_before_the_block_is_hidden_all_the_same(
        self, says, alice, bob, room, monkeypatch
    ):
        says(alice, message(room))
        drain_all()
        read = log.read_after

        def read_and_then_be_blocked(*arguments):
            found = read(*arguments)
            block(bob, alice)
            return found

        monkeypatch.setattr(log, "read_after", read_and_then_be_blocked)
        session = database.connect("reader")
        with session.cursor() as cursor:
            page = blocks.read_page(cursor, bob.id, 0, 10)
        session.close()

        assert [(entry.seq, entry.text) for entry in page] == [(1, '"kind":"hidden"')]


class TestTheRequestBox:
    def test_it_is_full_some_time(self, says, alice, bob, room, monkeypatch):
        monkeypatch.setattr(limits, "HELD", 5)
        put(barrier(bob, alice, held=True))
        ids = says(alice, *(message(room) for _ in range(4)))
        drain_all()
        ids += says(alice, *(message(room) for _ in range(4)))
        drain_all()
        assert Held.objects.filter(recipient_id=bob.id).count() == 5

        release(bob, alice)
        drain_all()
        assert mailbox(bob.id).messages == ids[:5]
        assert mailbox(alice.id).messages == ids

    def test_nothing_waits_unseen_behind_a_block_that_was_lifted(self, says, alice, bob):
        Book.objects.create(user_id=bob.id, strangers="requests")
        state, _ = rooms.open_direct(UUID(alice.id), UUID(bob.id))
        change(bob, "block", alice)
        change(bob, "unblock", alice)
        ids = says(alice, message(str(state.id)))
        drain_all()

        assert mailbox(bob.id).messages == ids


class TestSomebodyHostile:
    def test_who_changes_things_all_the_time_keeps_nobody_from_blocking(self, alice, bob):
        change(bob, "add", alice)
        base = version_of(alice)
        change(bob, "remove", alice)
        change(alice, "block", bob, base)

        base = version_of(alice)
        change(bob, "block", alice)
        change(alice, "unblock", bob, base)

    def test_between_two_of_whom_one_blocks_the_other_no_rejection_passes(self, says, alice, bob, room):
        now = now_ms()
        (later,) = says(alice, message(room, sent_at=now))
        (older,) = says(alice, message(room, sent_at=now - 1_000))
        drain_all()
        receipts.acknowledge(UUID(bob.id), UUID(bob.devices[0]), 2)
        block(alice, bob)
        late.reject(UUID(bob.id), UUID(older), UUID(later))
        drain_all()

        assert Kind.REJECTION not in [kind for _, kind, _, _ in mailbox(alice.id).entries]

    def test_a_spammer_whom_thousands_block_costs_no_more_than_others(self, alice, bob):
        depot.query(
            "INSERT INTO delivery_blockcopy (recipient_id, sender_id, everywhere, direct, held, hides_after, frozen_reads, blocked_at)"
            " SELECT gen_random_uuid(), %s, true, true, false, 5, '{}', now() FROM generate_series(1, 2000)",
            alice.id,
        )
        assert ports.blocks.frozen_for(UUID(alice.id), [bob.id]) == {}
        block(bob, alice)
        assert ports.blocks.frozen_for(UUID(alice.id), [bob.id]).keys() == {bob.id}
        assert ports.blocks.is_between(UUID(alice.id), UUID(bob.id))
        assert not ports.blocks.is_between(UUID(alice.id), UUID(person("carol").id))


class TestUndisclosed:
    """Nothing that the blocked one does may look otherwise than without the block."""

    @pytest.fixture(autouse=True)
    def _undisclosed(self, settings):
        settings.DISCLOSE_BLOCKS = False

    def test_opening_a_room_changes_no_state(self, alice, bob):
        Book.objects.create(user_id=bob.id, strangers="requests")
        change(bob, "add", alice)
        change(bob, "block", alice)
        rooms.open_direct(UUID(alice.id), UUID(bob.id))
        assert state_of(alice, bob) == "incoming"

    def test_a_contact_stays_one(self, alice, bob):
        Book.objects.create(user_id=bob.id, strangers="requests", who_may_open="contacts")
        change(bob, "add", alice)
        change(bob, "block", alice)
        change(alice, "accept", bob)
        rooms.open_direct(UUID(alice.id), UUID(bob.id))
        assert state_of(alice, bob) == "contact"
