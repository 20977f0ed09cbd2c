"""Accepting: one transaction for all that has arrived, the same answer for the same id, and nothing answered before the commit."""

import json
import sys
import threading
import time
from uuid import UUID

import psycopg2
import pytest
from django.db import connections
from django.utils import timezone

from accounts.models import Device, User
from chat import rooms, sender
from chat.intake import IMPATIENT_S
from chat.models import Membership, Room
from delivery.models import Pending
from kernel import database
from kernel.entries import Origin
from kernel.errors import Unavailable
from kernel.ids import uuid7
from messages.models import Cursor, Message
from tests.delivery import depot
from tests.delivery.depot import FragileSession, Lane, direct_room, group, message, person

pytestmark = pytest.mark.usefixtures("depot")


@pytest.fixture
def session():
    return FragileSession("intake")


@pytest.fixture
def intake(session):
    with depot.intake(session) as made:
        yield made


@pytest.fixture
def alice():
    return person("alice", devices=2)


@pytest.fixture
def bob():
    return person("bob")


@pytest.fixture
def room(alice, bob):
    return direct_room(alice, bob)


@pytest.fixture
def lane(intake, alice):
    return Lane(intake, alice.id, alice.devices[0])


def accepted(answer):
    assert answer.error is None, answer.error
    return json.loads(answer.text)


def ms(moment):
    return round(moment.timestamp() * 1000)


def codes(answers):
    return [answer.error.code if answer.error else "accepted" for answer in answers]


def stored(*ids):
    return Message.objects.filter(id__in=ids).count()


def pending_of(id):
    return {str(user) for row in Pending.objects.filter(message_id=id) for user in row.recipients}


class TestAccepting:
    def test_the_answer_carries_what_the_client_composed(self, lane, alice, bob, room):
        draft = message(room, sender=alice.id, recipient=bob.id, delivered=False, read=False)
        (answer,) = lane.sends(draft)

        found = accepted(answer)
        kept = Message.objects.get(id=draft["id"])
        assert found == {
            "id": draft["id"], "room": room, "sender": alice.id, "recipient": bob.id, "delivered": False, "read": False,
            "accepted_at": ms(kept.accepted_at),
        }  # fmt: skip
        assert bytes(kept.ciphertext) == b"opaque"
        assert (str(kept.device_id), kept.sent_at, kept.alg, kept.epoch) == (
            alice.devices[0],
            draft["sent_at"],
            "opaque.v1",
            0,
        )

    def test_everybody_in_the_room_is_a_recipient_the_sender_too(self, intake):
        alice, *others = [person(name) for name in ("alice", "bob", "carol", "dave")]
        room = group(alice, *others)
        draft = message(room)
        (answer,) = Lane(intake, alice.id, alice.devices[0]).sends(draft)

        assert accepted(answer)["recipient"] is None
        assert pending_of(draft["id"]) == {alice.id, *(who.id for who in others)}

    def test_one_bad_send_is_refused_and_the_others_are_accepted(self, lane, room):
        strange = direct_room(person("carol"), person("dave"))
        drafts = [
            message(room),
            message(strange),
            message(room),
            message(str(uuid7())),
            message(room, epoch=7),
            message(room),
        ]

        answers = lane.sends(*drafts)

        assert codes(answers) == ["accepted", "not_found", "accepted", "not_found", "epoch_stale", "accepted"]
        assert answers[4].error.fields == {"epoch": 0, "stale": False, "reasons": [], "id": drafts[4]["id"]}
        assert stored(*(draft["id"] for draft in drafts)) == 3

    def test_a_claimed_recipient_must_be_the_other_one(self, lane, alice, room):
        carol = person("carol")
        drafts = [message(room, recipient=who) for who in (carol.id, alice.id, None)]

        for answer in lane.sends(*drafts):
            assert (answer.error.code, answer.error.fields["field"]) == ("invalid", "recipient")

    def test_a_group_has_no_recipient(self, lane, alice, bob):
        room = group(alice, bob)

        answers = lane.sends(message(room, recipient=bob.id), message(room, recipient=None))

        assert codes(answers) == ["invalid", "accepted"]

    def test_a_revoked_device_sends_nothing_more(self, lane, alice, room):
        Device.objects.filter(id=alice.devices[0]).update(revoked_at=timezone.now())

        (answer,) = lane.sends(message(room))

        assert (answer.error.code, answer.error.status) == ("unauthenticated", 401)

    def test_a_suspended_user_sends_nothing_more(self, lane, alice, room):
        User.objects.filter(id=alice.id).update(suspended_at=timezone.now())

        (answer,) = lane.sends(message(room))

        assert (answer.error.code, answer.error.status) == ("suspended", 403)

    def test_to_a_suspended_stranger_the_room_does_not_exist(self, lane, alice):
        strange = direct_room(person("carol"), person("dave"))
        User.objects.filter(id=alice.id).update(suspended_at=timezone.now())

        assert codes(lane.sends(message(strange))) == ["not_found"]

    def test_a_device_that_does_not_exist_sends_nothing(self, intake, alice, room):
        assert codes(Lane(intake, alice.id, str(uuid7())).sends(message(room))) == ["unauthenticated"]

    @pytest.mark.parametrize("body", [b"\x00", b"\xff" * 32_768, b'"{},\\NULL'])
    def test_any_bytes_are_kept(self, lane, room, body):
        draft = message(room, body)

        assert codes(lane.sends(draft)) == ["accepted"]
        assert bytes(Message.objects.get(id=draft["id"]).ciphertext) == body

    @pytest.mark.parametrize("alg", ["null", "NULL", "a", "A.b-c_d:e", "0" * 32])
    def test_any_alg_that_is_allowed_is_kept(self, lane, room, alg, settings):
        settings.MESSAGE_ALGS = [alg]
        draft = message(room, alg=alg)

        assert codes(lane.sends(draft)) == ["accepted"]
        assert Message.objects.get(id=draft["id"]).alg == alg

    def test_acknowledgements_are_written_with_the_sends(self, intake, lane, alice, room):
        origin = Origin(room, alice.devices[1], str(uuid7()), alice.id)
        intake.acks.add(user=alice.id, device=alice.devices[0], seq=7, origins=[origin])
        lane.sends(message(room))

        assert Cursor.objects.get(device_id=alice.devices[0]).seq == 7
        assert intake.owed == {alice.id: [origin]}

    def test_and_without_any_when_asked_to(self, intake, alice):
        for seq in (7, 9, 8):
            intake.acks.add(user=alice.id, device=alice.devices[0], seq=seq, origins=[])
            intake.flush_acks()
            depot.until(lambda: intake.acks.is_empty)

        depot.until(lambda: Cursor.objects.filter(device_id=alice.devices[0], seq=9).exists())

    def test_an_old_acknowledgement_does_not_hide_a_newer_one(self, intake, alice):
        intake.acks.add(user=alice.id, device=alice.devices[0], seq=9, origins=[])
        intake.acks.add(user=alice.id, device=alice.devices[0], seq=4, origins=[])
        intake.flush_acks()

        depot.until(lambda: Cursor.objects.filter(device_id=alice.devices[0]).exists())
        assert Cursor.objects.get(device_id=alice.devices[0]).seq == 9


class TestEnding:
    def test_what_comes_after_the_end_is_refused_at_once_and_may_be_repeated_elsewhere(self, intake, lane, room):
        intake.stop()

        (answer,) = lane.sends(message(room))

        assert answer.error.code == Unavailable.code
        assert answer.error.retry_after > 0

    def test_a_post_under_way_when_its_process_begins_to_end_is_refused_not_broken(
        self, intake, alice, room, monkeypatch
    ):
        sender.bind(intake)
        takes = intake.submit

        def submit(submissions):
            # The process is told to end between two messages of one post.
            sender.bind(None)
            answers = takes(submissions)
            intake.stop()
            return answers

        monkeypatch.setattr(intake, "submit", submit)

        first, second = sender.post([message(room), message(room)], user=UUID(alice.id), device=UUID(alice.devices[0]))

        assert first.error is None
        assert second.error.code == Unavailable.code

    def test_a_post_that_waits_holds_nothing_but_what_was_taken(self, intake, alice, room, monkeypatch):
        """A small message that waits for PostgreSQL, and one of six megabytes that was refused at once."""
        sender.bind(intake)
        long, waits, held = "A" * 5_900_000, sender.Post.wait, []
        alone = sys.getrefcount(long)
        forms = [message(room), message(room, ciphertext=long)]
        assert sys.getrefcount(long) > alone

        def wait(lane, seconds):
            held.append(sys.getrefcount(long))
            return waits(lane, seconds)

        monkeypatch.setattr(sender.Post, "wait", wait)

        first, second = sender.post(forms, user=UUID(alice.id), device=UUID(alice.devices[0]))

        assert first.error is None
        assert second.error.code == "too_large"
        assert held == [alone]


class TestTheSameIdAgain:
    def test_it_is_answered_as_the_first_time_and_delivered_once(self, lane, room):
        draft = message(room)
        answers = [lane.sends(draft)[0] for _ in range(3)]

        assert accepted(answers[0]) == accepted(answers[1]) == accepted(answers[2])
        assert Pending.objects.filter(message_id=draft["id"]).count() <= 2
        assert len(pending_of(draft["id"])) == 2

    def test_also_twice_in_one_frame(self, lane, room):
        draft = message(room)
        lane.send(draft, draft)
        first, second = lane.wait(2)

        assert accepted(first) == accepted(second)
        assert stored(draft["id"]) == 1

    def test_also_when_membership_has_changed_since(self, lane, alice, bob):
        room = group(bob, alice)
        draft = message(room)
        first = accepted(lane.sends(draft)[0])

        rooms.remove_member(UUID(bob.id), UUID(room), UUID(alice.id))

        again, new = lane.sends(draft, message(room))
        assert accepted(again) == first
        assert new.error.code == "not_found"

    def test_also_when_the_epoch_has_changed_or_the_user_was_suspended(self, lane, alice, room):
        draft = message(room)
        first = accepted(lane.sends(draft)[0])
        Room.objects.filter(id=room).update(epoch=1)
        User.objects.filter(id=alice.id).update(suspended_at=timezone.now())

        assert accepted(lane.sends(draft)[0]) == first

    def test_also_by_several_processes_at_once(self, session, alice, room):
        drafts = [message(room) for _ in range(20)]
        with depot.intake() as one, depot.intake() as other, depot.intake() as third:
            lanes = [Lane(each, alice.id, alice.devices[0]) for each in (one, other, third)]
            for draft in drafts:
                for lane in lanes:
                    lane.send(draft)
            found = [{answer.id: accepted(answer) for answer in lane.wait(20)} for lane in lanes]

        assert found[0] == found[1] == found[2]
        assert stored(*(draft["id"] for draft in drafts)) == 20
        for draft in drafts:
            assert sum(len(row.recipients) for row in Pending.objects.filter(message_id=draft["id"])) == 2

    @pytest.mark.parametrize("change", [{"ciphertext": "b3RoZXI"}, {"sent_at": 5}, {"alg": "other.v1"}, {"epoch": 1}])
    def test_other_content_is_a_conflict_that_tells_its_owner_when_the_first_was_accepted(
        self, lane, room, change, settings
    ):
        settings.MESSAGE_ALGS = ["opaque.v1", "other.v1"]
        draft = message(room)
        first = accepted(lane.sends(draft)[0])

        (answer,) = lane.sends({**draft, **change})

        assert (answer.error.code, answer.error.status) == ("id_conflict", 409)
        assert answer.error.fields == {"accepted_at": first["accepted_at"], "id": draft["id"]}

    def test_another_room_is_other_content(self, lane, alice, room):
        draft = message(room)
        accepted(lane.sends(draft)[0])

        assert codes(lane.sends({**draft, "room": direct_room(alice, person("carol"))})) == ["id_conflict"]

    def test_somebody_else_s_id_says_nothing(self, intake, lane, alice, bob, room):
        draft = message(room)
        accepted(lane.sends(draft)[0])
        other_device = Lane(intake, alice.id, alice.devices[1])
        mallory = person("mallory")
        mallory_room = group(mallory, bob)

        for where, text in [(other_device, draft), (Lane(intake, bob.id, bob.devices[0]), draft),
                            (Lane(intake, mallory.id, mallory.devices[0]), {**draft, "room": mallory_room})]:  # fmt: skip
            (answer,) = where.sends(text)
            assert answer.error.code == "id_conflict"
            assert answer.error.fields == {"id": draft["id"]}


class TestOrder:
    """After a refusal for the time being, later sends in that room wait for it; other rooms go on."""

    @pytest.fixture
    def locked(self, room):
        """Another session changes the room's membership, and takes its time."""
        other = database.connect("test")
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM chat_room WHERE id = %s FOR UPDATE", (room,))
            yield lambda: cursor.execute("COMMIT") if other.info.transaction_status else None
        other.close()

    def test_only_the_room_that_is_being_changed_waits(self, lane, alice, room, locked):
        elsewhere = group(alice, person("carol"))
        drafts = [message(elsewhere), message(room), message(elsewhere)]

        answers = lane.sends(*drafts)

        assert codes(answers) == ["accepted", "unavailable", "accepted"]
        assert answers[1].error.status == 503
        assert answers[1].error.retry_after > 0

    def test_a_room_that_is_held_for_long_costs_the_others_one_wait(self, lane, alice, room, locked):
        """Its host was frozen or cut off between the change and its commit: PostgreSQL gives it up after seconds only."""
        elsewhere = group(alice, person("carol"))
        began, waits = time.monotonic(), 0
        while time.monotonic() - began < 2.4:
            asked = time.monotonic()
            answers = lane.sends(message(elsewhere), message(room))
            assert codes(answers) in (["accepted", "unavailable"], ["accepted", "earlier_send_refused"])
            waits += time.monotonic() - asked > 0.4
            time.sleep(0.02)
        assert waits == 1

        # PostgreSQL has ended whoever held the room, as it does after some seconds.
        time.sleep(IMPATIENT_S)
        assert codes(lane.sends(message(elsewhere))) == ["accepted"]

    def test_what_was_acknowledged_meanwhile_is_stored(self, intake, lane, alice, room, locked):
        lane.sends(message(room))
        acks = intake._acks
        acks.add(user=alice.id, device=alice.devices[0], seq=1, origins=[])

        lane.sends(message(group(alice, person("carol"))))

        assert acks.is_empty

    def test_later_sends_in_that_room_are_refused_until_the_first_is_repeated(self, lane, room, locked):
        first, second, third = (message(room) for _ in range(3))
        assert codes(lane.sends(first, second)) == ["unavailable", "earlier_send_refused"]
        locked()

        answers = lane.sends(second, third)
        assert codes(answers) == ["earlier_send_refused"] * 2
        assert answers[0].error.fields == {"waits_for": first["id"], "id": second["id"]}
        assert codes(lane.sends(first, second, third)) == ["accepted"] * 3
        order = Pending.objects.filter(message_id__in=[first["id"], second["id"], third["id"]]).order_by("id")
        assert [str(id) for id in dict.fromkeys(order.values_list("message_id", flat=True))] == [
            first["id"], second["id"], third["id"],
        ]  # fmt: skip

    def test_another_socket_and_another_room_do_not_wait(self, intake, lane, alice, room, locked):
        first = message(room)
        assert codes(lane.sends(first)) == ["unavailable"]
        locked()

        other_lane = Lane(intake, alice.id, alice.devices[1])
        assert codes(other_lane.sends(message(room))) == ["accepted"]
        assert codes(lane.sends(message(group(alice, person("carol"))))) == ["accepted"]
        assert codes(lane.sends(message(room))) == ["earlier_send_refused"]

    def test_a_send_that_is_now_refused_for_good_holds_up_nobody(self, lane, alice, bob, room, locked):
        first, second = message(room), message(room)
        assert codes(lane.sends(first)) == ["unavailable"]
        locked()

        assert codes(lane.sends({**first, "epoch": 5}, second)) == ["epoch_stale", "accepted"]

    def test_one_that_was_stored_after_all_holds_up_nobody(self, intake, lane, alice, room, locked):
        first, second = message(room), message(room)
        assert codes(lane.sends(first)) == ["unavailable"]
        locked()
        # By another socket of the same device, say.
        assert codes(Lane(intake, alice.id, alice.devices[0]).sends(first)) == ["accepted"]

        assert codes(lane.sends(first)) == ["accepted"]
        assert codes(lane.sends(second)) == ["accepted"]

    def test_a_full_process_turns_away_and_keeps_the_order(self, intake, lane, alice, room):
        first, second = message(room), message(room)
        intake.is_full = True
        assert codes(lane.sends(first)) == ["overloaded"]
        intake.is_full = False

        (answer,) = lane.sends(second)
        assert (answer.error.code, answer.error.fields["waits_for"]) == ("earlier_send_refused", first["id"])
        assert codes(lane.sends(first, second)) == ["accepted"] * 2

    def test_one_that_was_turned_away_and_then_has_a_wrong_form_holds_up_nobody(self, intake, lane, room):
        first = message(room)
        intake.is_full = True
        lane.sends(first)
        intake.is_full = False

        assert codes(lane.sends({**first, "alg": ""})) == ["invalid"]
        assert codes(lane.sends(message(room))) == ["accepted"]


class TestWhenTheDatabaseGoesAway:
    @pytest.mark.parametrize("when", ["before", "behind"])
    @pytest.mark.parametrize("statement", [0, 1, 2])
    def test_a_session_that_ends_at_any_statement_costs_nothing(self, session, lane, room, statement, when):
        """Statements: rooms checked; messages appended; pending rows and COMMIT. Behind the last, all is committed."""
        lane.sends(message(room))  # so that the room's state is cached
        drafts = [message(room) for _ in range(3)]
        session.fail((statement, when))

        answers = lane.sends(*drafts)

        assert not session.is_unharmed
        assert codes(answers) == ["accepted"] * 3
        for draft in drafts:
            assert len(pending_of(draft["id"])) == 2
            assert sum(len(row.recipients) for row in Pending.objects.filter(message_id=draft["id"])) == 2

    def test_a_commit_whose_answer_is_lost_twice_is_answered_later_as_the_first_time(self, session, lane, room):
        lane.sends(message(room))
        draft = message(room)
        session.fail((2, "behind"), (0, "before"))

        assert codes(lane.sends(draft)) == ["unavailable"]
        first = Message.objects.get(id=draft["id"])

        assert accepted(lane.sends(draft)[0])["accepted_at"] == ms(first.accepted_at)
        assert sum(len(row.recipients) for row in Pending.objects.filter(message_id=draft["id"])) == 2

    def test_while_it_is_away_sends_are_refused_and_kept_in_order(self, session, lane, room):
        drafts = [message(room) for _ in range(3)]
        session.fail((0, "before"), (0, "before"))

        answers = lane.sends(*drafts)

        assert {answer.error.code for answer in answers} <= {"unavailable", "earlier_send_refused"}
        assert all(isinstance(answer.error, Unavailable) and answer.error.retry_after for answer in answers)
        assert codes(lane.sends(*drafts[1:])) == ["earlier_send_refused"] * 2
        assert codes(lane.sends(*drafts)) == ["accepted"] * 3

    def test_acknowledgements_are_written_later(self, session, intake, lane, alice, room):
        intake.acks.add(user=alice.id, device=alice.devices[0], seq=7, origins=[])
        session.fail((0, "before"), (2, "before"))
        assert codes(lane.sends(message(room))) == ["unavailable"]
        lane.turned_away.clear()
        assert not Cursor.objects.filter(device_id=alice.devices[0]).exists()

        intake.flush_acks()

        depot.until(lambda: Cursor.objects.filter(device_id=alice.devices[0], seq=7).exists())

    def test_acknowledgements_survive_a_session_that_goes_while_their_statement_is_prepared(self, intake, alice):
        origin = Origin("room", "device", "message", person("bob").id)
        intake.acks.add(user=alice.id, device=alice.devices[0], seq=7, origins=[origin])
        session = database.connect("test")
        with session.cursor() as cursor:
            depot.terminate(session.info.backend_pid)
            with pytest.raises(psycopg2.Error):
                intake.acks.take_sql(cursor)
        session.close()
        assert not intake.acks.is_empty

        intake.flush_acks()

        depot.until(lambda: Cursor.objects.filter(device_id=alice.devices[0], seq=7).exists())
        depot.until(lambda: intake.owed[alice.id] == [origin])

    def test_sends_are_stored_while_somebody_holds_a_cursor_that_is_to_be_acknowledged(self, intake, lane, alice, room):
        device = alice.devices[0]
        Cursor.objects.create(device_id=device, user_id=alice.id, seq=1)
        holder = database.connect("test", idle_in_transaction_session_timeout="0")
        with holder.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT 1 FROM message_log_cursor WHERE device_id = %s::uuid FOR UPDATE", (device,))
            intake.acks.add(user=alice.id, device=device, seq=7, origins=[])
            assert codes(lane.sends(message(room), message(room))) == ["accepted", "accepted"]
            cursor.execute("COMMIT")
        holder.close()

        intake.flush_acks()

        depot.until(lambda: Cursor.objects.filter(device_id=device, seq=7).exists())

    def test_a_session_that_has_forgotten_its_prepared_statements_is_replaced(self, session, lane, room):
        assert codes(lane.sends(message(room))) == ["accepted"]
        with session.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        assert codes(lane.sends(message(room))) == ["accepted"]

    def test_a_batch_that_waited_for_somebody_s_lock_is_stored_without_the_one_who_waits(self, lane, room, alice):
        """Another process inserts the same id and does not commit: only this id has to wait."""
        drafts = [message(room) for _ in range(5)]
        other = database.connect("test")
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(
                "INSERT INTO message_log_message (id, room_id, sender_id, device_id, sent_at, alg, epoch, ciphertext)"
                " VALUES (%s, %s, %s, %s, 1, 'x', 0, 'x')",
                (drafts[2]["id"], room, alice.id, alice.devices[0]),
            )
            answers = lane.sends(*drafts)
            cursor.execute("ROLLBACK")
        other.close()

        # Those behind it in the same room keep their place behind it.
        assert codes(answers) == ["accepted"] * 2 + ["unavailable"] + ["earlier_send_refused"] * 2
        assert codes(lane.sends(*drafts[2:])) == ["accepted"] * 3


class TestMembership:
    def test_nothing_of_a_removed_member_is_accepted_after_the_removal_was_answered(self, alice, bob):
        """Senders in two processes, as fast as they can, while the member is removed and comes back, many times."""
        room = group(bob, alice)
        stop = threading.Event()
        removed_since = []  # moments in PostgreSQL's clock: (removed, back)
        problems = []

        def send(intake):
            lane = Lane(intake, alice.id, alice.devices[0])
            while not stop.is_set():
                began = clock()
                (answer,) = lane.sends(message(room))
                if answer.error is None:
                    sent.append((began, answer.id))
                elif answer.error.code not in ("not_found", "unavailable", "earlier_send_refused"):
                    problems.append(answer.error)
                lane.refused.clear()
            connections.close_all()

        def clock():
            return depot.query("SELECT clock_timestamp()")[0][0]

        sent = []
        with depot.intake() as one, depot.intake() as other:
            threads = [threading.Thread(target=send, args=(each,)) for each in (one, other)]
            for thread in threads:
                thread.start()
            for _ in range(12):
                rooms.remove_member(UUID(bob.id), UUID(room), UUID(alice.id))
                removed = clock()
                before = len(sent)
                depot.until(lambda: clock() > removed)
                back = clock()
                rooms.add_members(UUID(bob.id), UUID(room), [UUID(alice.id)])
                removed_since.append((removed, back))
                depot.until(lambda: len(sent) > before + 2)
            stop.set()
            for thread in threads:
                thread.join()

        assert not problems
        accepted_at = dict(Message.objects.filter(room_id=room).values_list("id", "accepted_at"))
        assert len(accepted_at) == len(sent)
        for began, id in sent:
            at = accepted_at[UUID(id)]
            assert not [1 for removed, back in removed_since if removed < began and at < back], (began, at)

    def test_a_new_member_gets_what_is_sent_after_joining_and_nothing_before(self, lane, alice, bob):
        carol = person("carol")
        room = group(alice, bob)
        before, after = message(room), message(room)
        lane.sends(before)
        rooms.add_members(UUID(alice.id), UUID(room), [UUID(carol.id)])
        lane.sends(after)

        assert pending_of(before["id"]) == {alice.id, bob.id}
        assert pending_of(after["id"]) == {alice.id, bob.id, carol.id}

    def test_typing_asks_for_the_present_members(self, intake, lane, alice, bob):
        room = group(alice, bob)
        lane.sends(message(room))
        session = database.connect("test")
        with session.cursor() as cursor:
            assert intake.rosters.find(cursor, room).members == {alice.id, bob.id}
            Membership.objects.filter(room=room, user_id=bob.id).delete()
            Room.objects.filter(id=room).update(members_version=2)
            assert intake.rosters.find(cursor, room).members == {alice.id}
            assert intake.rosters.find(cursor, str(uuid7())) is None
        session.close()


def test_a_lost_session_is_told_from_a_refused_statement():
    session = database.connect("test")
    with session.cursor() as cursor:
        for statement in ("SELECT 1/0", "SELECT nothing", "SET lock_timeout = 'x'"):
            with pytest.raises(psycopg2.Error) as found:
                cursor.execute(statement)
            assert not database.is_lost(found.value)
        cursor.execute("SET statement_timeout = 10")
        with pytest.raises(psycopg2.Error) as found:
            cursor.execute("SELECT pg_sleep(5)")
        assert not database.is_lost(found.value)
        cursor.execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 20; BEGIN")
        depot.until(lambda: not depot.query("SELECT 1 FROM pg_stat_activity WHERE pid = %s", session.info.backend_pid))
        with pytest.raises(psycopg2.Error) as found:
            cursor.execute("SELECT 1")
        assert database.is_lost(found.value)
    session.close()
