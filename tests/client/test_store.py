"""The local store: private, whole, and one client's at a time."""

import sqlite3

import pytest

from client import StoreInUse
from client.protocol.answers import SignedIn, Tokens
from client.protocol.entries import HiddenEntry, OtherEntry, RejectionEntry, RoomEntry
from client.protocol.frames import Receipt
from client.protocol.ids import MessageId
from client.protocol.inbox import Arrival
from client.protocol.problems import Problem
from client.store import Store
from client.store.database import STEPS
from client.store.mailbox import StoredMessage
from tests.client.shapes import ALICE, BOB, GARDEN, KITCHEN, LAPTOP, PHONE, message_entry, outgoing


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "bob.db")
    store.identity.save(SignedIn(BOB, "bob", PHONE, "phone", Tokens("a", 1, "r", 2)))
    yield store
    store.close()


def test_only_its_owner_can_read_it(store, tmp_path):
    store.mailbox.append(Arrival((HiddenEntry(1),)))

    files = list(tmp_path.iterdir())
    assert {file.name for file in files} >= {"bob.db", "bob.db-wal"}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_it_serves_one_client_at_a_time(store, tmp_path):
    with pytest.raises(StoreInUse):
        Store(tmp_path / "bob.db")


def test_what_was_written_is_there_again(store, tmp_path):
    entries = (
        message_entry(1, sent_at=9),
        RoomEntry(2, KITCHEN, "added", ALICE, (BOB,), "member", 3),
        RejectionEntry(3, MessageId("m0"), KITCHEN, ALICE, PHONE, BOB, "late", 422),
        HiddenEntry(4),
        OtherEntry(5, "weather"),
    )
    store.mailbox.append(Arrival(entries))
    store.close()

    again = Store(tmp_path / "bob.db")

    first, *others = again.mailbox.read_after(0, 100)
    assert first == StoredMessage(entries[0], refused=False)
    assert tuple(others) == entries[1:]
    assert again.mailbox.stored() == 5
    assert again.mailbox.marks()[KITCHEN, PHONE].sent_at == 9
    assert again.identity.load() == SignedIn(BOB, "bob", PHONE, "phone", Tokens("a", 1, "r", 2))
    again.close()


def test_a_frame_is_stored_as_a_whole_or_not_at_all(store):
    store.mailbox.append(Arrival((message_entry(1),)))

    with pytest.raises(sqlite3.IntegrityError):
        store.mailbox.append(Arrival((message_entry(2), message_entry(3, id="m1"))))

    assert store.mailbox.stored() == 1
    assert store.mailbox.find(MessageId("m2")) is None


def test_the_marks_of_the_late_rule_only_grow(store):
    for seq, sent_at in enumerate([5, 9, 7], start=1):
        store.mailbox.append(Arrival((message_entry(seq, sent_at=sent_at),)))

    assert store.mailbox.marks()[KITCHEN, PHONE].message == "m2"
    assert (KITCHEN, LAPTOP) not in store.mailbox.marks()


def test_a_late_message_is_kept_marked_until_it_is_told_and_after(store):
    store.mailbox.append(Arrival((message_entry(1, sent_at=9), message_entry(2, sent_at=5)), late={"m2": "m1"}))

    assert [message.refused for message in store.mailbox.messages_of(KITCHEN, 99, 10)] == [True, False]
    assert store.mailbox.refusals() == [("m2", "m1")]
    store.mailbox.refusal_told(MessageId("m2"))
    assert store.mailbox.refusals() == []
    assert store.mailbox.find(MessageId("m2")).refused


def test_what_another_device_of_the_user_refused_counts_as_refused_here(store):
    rejection = RejectionEntry(2, MessageId("m1"), KITCHEN, ALICE, PHONE, BOB, "late", 422)
    store.mailbox.append(Arrival((message_entry(1), rejection)))

    assert store.mailbox.find(MessageId("m1")).refused
    assert store.mailbox.rejected_by(MessageId("m1")) == {BOB: "late"}


def test_what_somebody_else_refused_does_not(store):
    rejection = RejectionEntry(2, MessageId("m1"), KITCHEN, ALICE, PHONE, ALICE, "late", 422)
    store.mailbox.append(Arrival((message_entry(1), rejection)))

    assert not store.mailbox.find(MessageId("m1")).refused


def test_timestamps_only_grow_even_if_the_clock_does_not(store):
    assert [store.identity.next_timestamp(now) for now in (100, 100, 50, 102, 200)] == [100, 101, 102, 103, 200]


class TestDrafts:
    def test_they_wait_in_order(self, store):
        for number in (3, 1, 2):
            store.drafts.add(outgoing(number), b"body")

        assert [draft.message.sent_at for draft in store.drafts.waiting()] == [3, 1, 2]
        store.drafts.remove(outgoing(3).id)
        assert [draft.message.sent_at for draft in store.drafts.waiting()] == [1, 2]

    def test_they_note_what_may_have_left(self, store):
        for number in (1, 2):
            store.drafts.add(outgoing(number), b"body")
        store.drafts.leave(outgoing(1).id)

        assert [draft.was_sent for draft in store.drafts.waiting()] == [True, False]

    def test_one_of_the_version_before_may_have_left(self, tmp_path):
        path = tmp_path / "old.db"
        with sqlite3.connect(path) as old:
            old.executescript("".join(STEPS[:5]) + "PRAGMA user_version = 5;")
            columns = "id, room, sender, sent_at, alg, epoch, body, ciphertext"
            old.execute(f"INSERT INTO drafts ({columns}) VALUES ('m1', 'kitchen', 'alice', 1, 'a', 1, x'00', x'00')")
        old.close()

        store = Store(path)
        assert [draft.was_sent for draft in store.drafts.waiting()] == [True]
        store.close()

    def test_a_failed_one_is_kept_aside_with_its_reason(self, store):
        store.drafts.add(outgoing(1), b"body")
        store.drafts.fail(outgoing(1).id, Problem("not_found", 404, detail="gone", more={"id": "1"}))

        assert store.drafts.waiting() == []
        ((draft, problem),) = store.drafts.failed()
        assert (draft.kept, problem.code, problem.status, problem.detail) == (b"body", "not_found", 404, "gone")


class TestReceipts:
    def test_marks_only_grow(self, store):
        store.mailbox.append(Arrival(tuple(message_entry(seq) for seq in (1, 2, 3))))
        second, first = [Receipt(KITCHEN, ALICE, PHONE, delivered=MessageId(id_)) for id_ in ("m2", "m1")]

        assert store.rooms.apply(second)
        assert not store.rooms.apply(first)
        assert not store.rooms.apply(second)
        assert store.rooms.receipts_of(KITCHEN, PHONE) == [(ALICE, 2, 0)]
        assert store.rooms.apply(Receipt(KITCHEN, ALICE, PHONE, read=MessageId("m1")))
        assert store.rooms.receipts_of(KITCHEN, PHONE) == [(ALICE, 2, 1)]
        assert store.rooms.receipts_of(GARDEN, PHONE) == store.rooms.receipts_of(KITCHEN, LAPTOP) == []

    def test_one_that_overtakes_its_message_counts_as_newest(self, store):
        store.mailbox.append(Arrival((message_entry(1),)))
        store.rooms.apply(Receipt(KITCHEN, ALICE, PHONE, delivered=MessageId("m2")))

        assert not store.rooms.apply(Receipt(KITCHEN, ALICE, PHONE, delivered=MessageId("m1")))
        store.mailbox.append(Arrival((message_entry(2),)))
        assert store.rooms.receipts_of(KITCHEN, PHONE) == [(ALICE, 2, 0)]


def test_read_positions_only_grow_and_are_told(store):
    assert store.rooms.read(KITCHEN, 5, tell=True)
    assert not store.rooms.read(KITCHEN, 4, tell=True)
    assert store.rooms.read_position(KITCHEN) == 5
    assert store.rooms.untold_reads() == [(KITCHEN, 5)]

    told = store.rooms.untold_reads()
    store.rooms.read(KITCHEN, 6, tell=True)  # meanwhile
    store.rooms.reads_told(told)
    assert store.rooms.untold_reads() == [(KITCHEN, 6)]
