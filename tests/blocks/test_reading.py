"""What a block hides from the blocker wherever the mailbox is read, and what the blocked one may still learn."""

from uuid import UUID

import orjson
import pytest

from delivery import blocks
from kernel import database
from kernel.errors import NotFound
from kernel.ids import now_ms
from messages import history, late, receipts
from messages.kinds import Kind
from tests.blocks.conftest import block, unblock
from tests.delivery.depot import drain_all, mailbox, message, until

pytestmark = pytest.mark.usefixtures("depot")


def kinds(page):
    """(seq, kind, message id) of a page's entries."""
    entries = [orjson.loads(orjson.dumps(entry)) for entry in page.entries]
    return [(entry["seq"], entry["kind"], entry.get("id")) for entry in entries]


def on_the_socket(user):
    """The same, as the catch-up of a socket reads it."""
    session = database.connect("test")
    try:
        with session.cursor() as cursor:
            found = blocks.read_page(cursor, user.id, 0, 500)
    finally:
        session.close()
    entries = [orjson.loads("{" + entry.text + "}") for entry in found]
    return [(place.seq, entry["kind"], entry.get("id")) for place, entry in zip(found, entries, strict=True)]


def acknowledged(who, seq, device=0):
    receipts.acknowledge(UUID(who.id), UUID(who.devices[device]), seq)


class TestWhatIsHidden:
    """Accepted and numbered before the block, but on no device of the blocker's: it must not come any more."""

    @pytest.fixture
    def story(self, says, alice, bob, carol, room, circle):
        had = says(alice, message(room))
        drain_all()
        acknowledged(bob, 1)
        lacked = says(alice, message(room), message(circle))
        carols = says(carol, message(circle))
        drain_all()
        block(bob, alice)
        return [(1, "message", had[0]), (2, "hidden", None), (3, "hidden", None), (4, "message", carols[0])], lacked

    def test_history_and_catch_up_and_undelivered_agree(self, story, bob):
        wanted, _ = story

        assert kinds(history.read_mailbox(UUID(bob.id), after=0, limit=100)) == wanted
        assert on_the_socket(bob) == wanted
        page, up_to = history.read_undelivered(UUID(bob.id), UUID(bob.devices[0]), limit=100)
        assert (kinds(page), up_to) == (wanted[1:], 1)
        # The second device has nothing yet: what the first one had is the user's.
        page, up_to = history.read_undelivered(UUID(bob.id), UUID(bob.devices[1]), limit=100)
        assert (kinds(page), up_to) == (wanted, 0)

    def test_a_room_s_history_and_the_received_ones_too(self, story, bob, room, circle):
        wanted, _ = story

        assert kinds(history.read_room(UUID(bob.id), UUID(room), before=100, limit=100)) == [wanted[1], wanted[0]]
        assert kinds(history.read_room(UUID(bob.id), UUID(circle), before=100, limit=100)) == [wanted[3], wanted[2]]
        assert kinds(history.read_mailbox(UUID(bob.id), after=0, limit=100, direction="received")) == wanted

    def test_a_hidden_message_is_not_to_be_had_by_its_id(self, story, bob, alice):
        wanted, lacked = story

        for id in lacked:
            with pytest.raises(NotFound):
                history.get_message(UUID(bob.id), UUID(id))
            assert history.get_message(UUID(alice.id), UUID(id)).entry["id"] == id
        assert history.get_message(UUID(bob.id), UUID(wanted[0][2])).entry["id"] == wanted[0][2]

    def test_once_the_block_is_lifted_they_are_the_user_s(self, story, bob, alice):
        wanted, lacked = story
        unblock(bob, alice)

        assert [id for _, _, id in kinds(history.read_mailbox(UUID(bob.id), after=0, limit=100))] == [
            wanted[0][2], *lacked, wanted[3][2]
        ]  # fmt: skip

    def test_a_change_of_the_block_hides_no_more_and_no_less(self, story, bob, alice):
        wanted, _ = story
        acknowledged(bob, 4)
        block(bob, alice, known_by_blocked=9)

        assert kinds(history.read_mailbox(UUID(bob.id), after=0, limit=100)) == wanted

    def test_the_others_see_what_they_saw(self, story, alice, carol):
        assert {kind for _, kind, _ in kinds(history.read_mailbox(UUID(carol.id), after=0, limit=100))} == {"message"}
        assert {kind for _, kind, _ in kinds(history.read_mailbox(UUID(alice.id), after=0, limit=100))} == {"message"}


class TestWhatTheBlockedOneLearns:
    def test_receipts_are_frozen_where_the_block_found_them(self, says, alice, bob, room, circle):
        ids = says(alice, *(message(room) for _ in range(4)))
        grouped = says(alice, message(circle))
        drain_all()
        acknowledged(bob, 3)
        receipts.read(UUID(bob.id), UUID(bob.devices[0]), UUID(room), 1)
        before = self.told(alice, room, ids), self.told(alice, circle, grouped)

        block(bob, alice)
        acknowledged(bob, 5)
        receipts.read(UUID(bob.id), UUID(bob.devices[0]), UUID(room), 4)
        receipts.read(UUID(bob.id), UUID(bob.devices[0]), UUID(circle), 5)

        assert before[0] == (
            [(True, True), (True, False), (True, False), (False, False)],
            [(bob.id, ids[2], ids[0])],
        )
        assert (self.told(alice, room, ids), self.told(alice, circle, grouped)) == before

        unblock(bob, alice)
        flags, found = self.told(alice, room, ids)
        assert flags == [(True, True)] * 4
        assert found == [(bob.id, ids[3], ids[3])]

    def told(self, who, room, ids):
        """All that REST says of them: in the messages, in their states, in the receipts of the room."""
        page = history.read_room(UUID(who.id), UUID(room), before=10**9, limit=500)
        entries = {
            entry["id"]: entry for entry in (orjson.loads(orjson.dumps(each)) for each in page.entries) if "id" in entry
        }
        flags = [(entries[id]["delivered"], entries[id]["read"]) for id in ids]
        deliveries = [history.get_message(UUID(who.id), UUID(id)).deliveries for id in ids]
        if len(deliveries[0]) == 1:
            assert [(each.delivered, each.read) for (each,) in deliveries] == flags
        found = receipts.receipts_of_room(UUID(who.id), UUID(room))
        return flags, sorted((receipt.user, receipt.delivered, receipt.read) for receipt in found)

    def test_nothing_is_told_live(self, says, intake, alice, bob, carol, circle, monkeypatch):
        from kernel import ports

        told = []
        monkeypatch.setattr(
            ports.hints, "send", lambda users, frame, **_: told.append(([str(u) for u in users], frame["type"]))
        )
        says(alice, message(circle))
        says(carol, message(circle))
        drain_all()
        block(bob, alice)

        acknowledged(bob, 2)
        receipts.read(UUID(bob.id), UUID(bob.devices[0]), UUID(circle), 2)

        assert ([carol.id], "receipts") in told
        assert all(users != [alice.id] for users, _ in told)

    def test_what_a_socket_acknowledges_after_the_block_is_owed_to_the_others_only(
        self, says, intake, alice, bob, carol, circle
    ):
        from kernel.entries import Origin

        (alices,) = says(alice, message(circle))
        (carols,) = says(carol, message(circle))
        drain_all()
        block(bob, alice)
        intake.acks.add(
            user=bob.id, device=bob.devices[0], seq=2,
            origins=[Origin(circle, alice.devices[0], alices, alice.id), Origin(circle, carol.devices[0], carols, carol.id)],
        )  # fmt: skip
        intake.flush_acks()
        until(lambda: intake.owed[bob.id])

        assert [origin.sender for origin in intake.owed[bob.id]] == [carol.id]

    def test_a_late_message_is_refused_without_telling_the_blocked_one(self, says, alice, bob, room):
        now = now_ms()
        (later,) = says(alice, message(room, sent_at=now))
        (older,) = says(alice, message(room, sent_at=now - 1_000))
        drain_all()
        acknowledged(bob, 2)
        block(bob, alice)
        late.reject(UUID(bob.id), UUID(older), UUID(later))
        drain_all()

        assert Kind.REJECTION in [kind for _, kind, _, _ in mailbox(bob.id).entries]
        assert Kind.REJECTION not in [kind for _, kind, _, _ in mailbox(alice.id).entries]

    def test_typing_passes_between_them_in_neither_direction(self, alice, bob, carol):
        block(bob, alice)
        session = database.connect("test")
        with session.cursor() as cursor:
            for direct in (True, False):
                assert blocks.silent(cursor, alice.id, [bob.id, carol.id], in_direct_room=direct) == {bob.id}
                assert blocks.silent(cursor, bob.id, [alice.id, carol.id], in_direct_room=direct) == {alice.id}
                assert blocks.silent(cursor, carol.id, [alice.id, bob.id], in_direct_room=direct) == set()
        session.close()


def test_blocks_are_looked_up_pair_by_pair_whatever_the_plan_was_made_for():
    """The drain's step and the receipts' walk no table, however many blocks there are."""
    session = database.connect("test")
    with session.cursor() as cursor:
        for statement in (blocks.MAILBOXES_AND_BLOCKS, blocks.DEAF_PAIRS):
            first, *rest = statement.split("%s")
            cursor.execute("PREPARE planned AS " + first + "".join(f"${n}{text}" for n, text in enumerate(rest, 1)))
            cursor.execute("EXPLAIN EXECUTE planned(" + ",".join(["'{}'"] * len(rest)) + ")")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            cursor.execute("DEALLOCATE planned")
            assert "Index Cond: ((recipient_id = n." in plan, plan
            assert "Seq Scan on delivery_blockcopy" not in plan and "Seq Scan on message_log" not in plan, plan
    session.close()
