"""Blocks at the drain: what is dropped, what is held, who is told, and when it is an alert."""

import threading
import time
from statistics import median
from uuid import UUID

import orjson
import pytest
from django.db import connection, transaction

from delivery.models import AbuseAlert, Held, SyncReport
from kernel import database, metrics, ports
from kernel.errors import Unavailable
from messages.kinds import Kind
from tests.blocks.conftest import barrier, block, put, reports, unblock
from tests.delivery import depot
from tests.delivery.depot import check_dense, direct_room, drain_all, mailbox, message, pending, person

pytestmark = pytest.mark.usefixtures("depot")


def rejections(who):
    rows = depot.query(
        "SELECT payload FROM message_log_entry WHERE user_id = %s AND kind = %s ORDER BY seq", who.id, Kind.REJECTION
    )
    return [orjson.loads("{" + payload + "}") for (payload,) in rows]


class TestWhatIsDropped:
    def test_nothing_of_the_blocked_one_reaches_the_blocker_in_any_room(self, says, alice, bob, carol, room, circle):
        block(bob, alice)
        direct, grouped = says(alice, message(room), message(circle))
        drain_all()

        assert mailbox(bob.id).messages == []
        assert mailbox(carol.id).messages == [grouped]
        assert mailbox(alice.id).messages == [direct, grouped]
        for who in (alice, bob, carol):
            check_dense(who.id)

    def test_the_blocker_s_own_are_dropped_in_the_direct_room_only(self, says, alice, bob, room, circle):
        block(bob, alice)
        direct, grouped = says(bob, message(room), message(circle))
        drain_all()

        assert mailbox(alice.id).messages == [grouped]
        assert mailbox(bob.id).messages == [direct, grouped]

    def test_what_is_pending_when_a_block_is_answered_is_dropped(self, says, alice, bob, room):
        says(alice, message(room))
        block(bob, alice)
        drain_all()

        assert mailbox(bob.id).messages == []

    def test_once_it_is_lifted_messages_come_again(self, says, alice, bob, room):
        block(bob, alice)
        says(alice, message(room))
        drain_all()
        unblock(bob, alice)
        ids = says(alice, message(room))
        drain_all()

        assert mailbox(bob.id).messages == ids

    def test_a_drain_that_is_under_way_sees_a_block_that_is_just_being_answered(self, says, alice, bob, room):
        """A block takes the blocker's mailbox row first; the drain reads blocks behind that row's lock."""
        says(alice, message(room))
        drain_all()
        says(alice, message(room))
        drain = threading.Thread(target=drain_all)
        with transaction.atomic(), connection.cursor() as cursor:
            ports.blocks.put(cursor, [barrier(bob, alice, everywhere=True, direct=True)])
            drain.start()
            depot.until(lambda: depot.query("SELECT 1 FROM pg_locks WHERE NOT granted"))
        drain.join()

        assert len(mailbox(bob.id).messages) == 1
        assert pending() == 0


class TestWhoIsTold:
    def test_a_device_that_had_not_synced_the_block_gets_a_rejection(self, says, alice, bob, room):
        block(bob, alice, known_by_blocked=7)
        reports(alice.devices[0], 6, seconds_ago=3_600)
        (id,) = says(alice, message(room))
        drain_all()

        assert rejections(alice) == [
            {
                "kind": "rejection", "message": id, "room": room, "sender": alice.id, "device": alice.devices[0],
                "by": bob.id, "reason": "blocked", "status": 403,
            }
        ]  # fmt: skip
        assert rejections(bob) == []
        assert not AbuseAlert.objects.exists()

    def test_where_blocks_are_not_disclosed_nobody_is_told(self, says, alice, bob, room):
        block(bob, alice, known_by_blocked=None)
        reports(alice.devices[0], 100, seconds_ago=3_600)
        (id,) = says(alice, message(room))
        drain_all()

        assert mailbox(alice.id).messages == [id]
        assert rejections(alice) == []
        assert not AbuseAlert.objects.exists()

    def test_in_a_group_nobody_is_told_and_nobody_alerted(self, says, alice, bob, circle):
        """A sender cannot leave one member of a group out."""
        block(bob, alice, known_by_blocked=7)
        reports(alice.devices[0], 7, seconds_ago=3_600)
        says(alice, message(circle))
        drain_all()

        assert mailbox(bob.id).messages == []
        assert rejections(alice) == []
        assert not AbuseAlert.objects.exists()


class TestAlerts:
    def test_a_device_that_had_known_for_half_a_minute_is_alerted(self, says, alice, bob, room):
        block(bob, alice, known_by_blocked=7)
        reports(alice.devices[0], 8, seconds_ago=31)
        ids = says(alice, *(message(room) for _ in range(3)))
        drain_all()

        alert = AbuseAlert.objects.get()
        assert (str(alert.device_id), str(alert.sender_id), str(alert.recipient_id)) == (
            alice.devices[0],
            alice.id,
            bob.id,
        )
        assert (alert.count, alert.state, str(alert.last_message_id)) == (3, "open", ids[-1])
        assert (alert.block_version, alert.reported_version) == (7, 8)
        assert alert.first_at <= alert.last_at
        assert rejections(alice) == []

    def test_less_than_half_a_minute_is_no_alert(self, says, alice, bob, room):
        block(bob, alice, known_by_blocked=7)
        reports(alice.devices[0], 7, seconds_ago=25)
        says(alice, message(room))
        drain_all()

        assert not AbuseAlert.objects.exists()
        assert len(rejections(alice)) == 1

    def test_what_counts_is_when_the_message_was_accepted_and_not_when_it_is_drained(self, says, alice, bob, room):
        block(bob, alice, known_by_blocked=7)
        says(alice, message(room))
        reports(alice.devices[0], 7)
        depot.query("UPDATE delivery_pending SET created_at = created_at - interval '5 minutes'")
        depot.query(
            "UPDATE message_log_message SET accepted_at = accepted_at - interval '5 minutes' WHERE room_id = %s", room
        )
        depot.query("UPDATE delivery_syncreport SET reported_at = reported_at - interval '1 minute'")
        drain_all()

        assert not AbuseAlert.objects.exists()
        assert len(rejections(alice)) == 1

    def test_who_blocks_and_writes_is_alerted_too(self, says, alice, bob, room):
        block(bob, alice, known_by_blocked=None, known_by_blocker=4)
        reports(bob.devices[0], 4, seconds_ago=60)
        says(bob, message(room))
        drain_all()

        assert mailbox(alice.id).messages == []
        assert (AbuseAlert.objects.get().sender_id.hex, AbuseAlert.objects.get().count) == (bob.id.replace("-", ""), 1)

    def test_another_device_of_the_same_user_that_does_not_know_is_told(self, intake, says, alice, bob, room):
        block(alice, bob, known_by_blocked=9)
        reports(bob.devices[0], 9, seconds_ago=60)
        says(bob, message(room))
        (unknowing,) = [depot.Lane(intake, bob.id, bob.devices[1])]
        (answer,) = unknowing.sends(message(room))
        drain_all()

        assert answer.error is None
        assert AbuseAlert.objects.get().count == 1
        assert [each["device"] for each in rejections(bob)] == [bob.devices[1]]

    def test_one_open_alert_per_pair_and_a_new_one_after_it_was_handled(self, says, alice, bob, carol, room):
        other = direct_room(alice, carol)
        block(bob, alice, known_by_blocked=7)
        block(carol, alice, known_by_blocked=8)
        reports(alice.devices[0], 8, seconds_ago=60)
        for _ in range(3):
            says(alice, message(room), message(other))
            drain_all()
        assert sorted(AbuseAlert.objects.values_list("count", flat=True)) == [3, 3]

        AbuseAlert.objects.filter(recipient_id=bob.id).update(state="acknowledged")
        says(alice, message(room))
        drain_all()

        assert sorted(AbuseAlert.objects.filter(recipient_id=bob.id).values_list("state", "count")) == [
            ("acknowledged", 3),
            ("open", 1),
        ]

    def test_metrics_count_what_was_dropped_and_what_was_alerted(self, says, alice, bob, carol, room):
        names = ("deliveries_stopped", "deliveries_held", "abuse_alerts_opened", "abuse_alert_messages")

        def counted():
            return [metrics.REGISTRY.get_sample_value(f"letterlock_{name}_total") or 0 for name in names]

        before = counted()
        block(bob, alice, known_by_blocked=7)
        put(barrier(carol, alice, held=True))
        reports(alice.devices[0], 7, seconds_ago=60)
        says(alice, message(room), message(room), message(direct_room(alice, carol)))
        drain_all()
        says(alice, message(room))
        drain_all()

        assert [after - then for after, then in zip(counted(), before, strict=True)] == [3, 1, 1, 3]

    def test_an_earlier_report_of_as_much_counts(self, alice):
        reports(alice.devices[0], 5, seconds_ago=100)
        reports(alice.devices[0], 5)
        reports(alice.devices[0], 4)

        assert SyncReport.objects.filter(device_id=alice.devices[0]).count() == 1

    def test_old_reports_are_forgotten_when_newer_ones_are_old_enough(self, alice):
        reports(alice.devices[0], 5, seconds_ago=9_000)
        reports(alice.devices[0], 6, seconds_ago=8_000)
        reports(alice.devices[0], 7)

        assert set(SyncReport.objects.filter(device_id=alice.devices[0]).values_list("version", flat=True)) == {6, 7}

    def test_a_flood_makes_one_alert_and_holds_nobody_up(self, intake, says, alice, bob, carol, room):
        """10 000 messages to a blocker: one alert, no entry, and the drain costs about what it would cost without."""
        free = direct_room(alice, carol)
        block(bob, alice, known_by_blocked=7)
        reports(alice.devices[0], 7, seconds_ago=60)

        def flood(where, count):
            for _ in range(count // 500):
                says(alice, *(message(where) for _ in range(500)))
            begun = time.monotonic()
            drain_all()
            return time.monotonic() - begun

        flood(free, 500)
        # In turns, since the tests beside this one take the cores now and then.
        turns = [(flood(room, 2_000), flood(free, 2_000)) for _ in range(5)]
        blocked_s, unblocked_s = (median(seconds) for seconds in zip(*turns, strict=True))

        assert list(AbuseAlert.objects.values_list("count", flat=True)) == [10_000]
        assert mailbox(bob.id).messages == []
        assert len(mailbox(carol.id).messages) == 10_500
        assert blocked_s < 2 * unblocked_s + 0.2, turns


class TestTheRequestBox:
    def test_a_stranger_s_messages_wait_until_they_are_released_and_come_in_order(self, says, alice, bob, carol, room):
        put(barrier(bob, alice, held=True))
        first = says(alice, *(message(room) for _ in range(5)))
        drain_all()
        assert (mailbox(bob.id).messages, mailbox(alice.id).messages) == ([], first)
        assert Held.objects.filter(recipient_id=bob.id).count() == 5

        between = says(carol, message(direct_room(carol, bob)))
        # Written before the request is accepted, and not drained yet: it must not overtake what was held.
        later = says(alice, message(room))
        with transaction.atomic(), connection.cursor() as cursor:
            ports.blocks.put(cursor, [barrier(bob, alice)])
            ports.blocks.release(cursor, recipient=barrier(bob, alice).recipient, sender=barrier(bob, alice).sender)
        last = says(alice, message(room))
        drain_all()

        came = mailbox(bob.id).messages
        assert [id for id in came if id not in between] == [*first, *later, *last]
        assert not Held.objects.exists()
        check_dense(bob.id)

    def test_a_drainer_that_has_its_mark_far_ahead_finds_what_is_released(self, says, alice, bob, carol, room):
        drainer = depot.fragile_drainer()
        put(barrier(bob, alice, held=True))
        held = says(alice, message(room))
        for _ in range(5):
            says(carol, message(direct_room(carol, person("dave"))))
            drainer.drain(seconds=5)
        with transaction.atomic(), connection.cursor() as cursor:
            ports.blocks.put(cursor, [barrier(bob, alice)])
            ports.blocks.release(cursor, recipient=barrier(bob, alice).recipient, sender=barrier(bob, alice).sender)
        drainer.drain(seconds=5)
        drainer.close()

        assert mailbox(bob.id).messages == held

    def test_two_boxes_that_share_an_entry_are_emptied_one_after_the_other(self, says, alice, room):
        """A new key of Alice's is one row for all recipients of a slot: its number can wait for one of them at a time."""
        bob, dave = depot.people_of_one_slot(2)
        for who in (bob, dave):
            put(barrier(who, alice, held=True))
        with transaction.atomic(), connection.cursor() as cursor:
            ports.mailboxes.put(
                cursor, recipients=[bob.id, dave.id], kind=Kind.KEYS, payload={"user": alice.id}, sender_id=alice.id
            )
        drain_all()

        def accepts(who):
            with transaction.atomic(), connection.cursor() as cursor:
                ports.blocks.put(cursor, [barrier(who, alice)])
                ports.blocks.release(cursor, recipient=UUID(who.id), sender=UUID(alice.id))

        accepts(bob)
        with pytest.raises(Unavailable):
            accepts(dave)
        drain_all()
        accepts(dave)
        drain_all()
        for who in (bob, dave):
            assert [kind for _, kind, *_ in mailbox(who.id).entries] == [Kind.KEYS]

    def test_it_holds_direct_messages_only(self, says, alice, bob, circle):
        put(barrier(bob, alice, held=True))
        ids = says(alice, message(circle))
        drain_all()

        assert mailbox(bob.id).messages == ids

    def test_what_was_held_can_be_dropped(self, says, alice, bob, room):
        put(barrier(bob, alice, held=True))
        says(alice, message(room))
        drain_all()
        with transaction.atomic(), connection.cursor() as cursor:
            ports.blocks.put(cursor, [barrier(bob, alice)])
            ports.blocks.forget_held(cursor, recipient=barrier(bob, alice).recipient, sender=barrier(bob, alice).sender)
        ids = says(alice, message(room))
        drain_all()

        assert mailbox(bob.id).messages == ids

    def test_a_drain_that_dies_while_it_holds_loses_nothing(self, says, alice, bob, room):
        put(barrier(bob, alice, held=True))
        for statement in range(4):
            ids = says(alice, message(room))
            drainer = depot.fragile_drainer()
            drainer.session.fail((statement, "behind"))
            try:
                drainer.drain(seconds=5)
            except database.LOST:
                pass
            drainer.close()
            drain_all()
            assert Held.objects.filter(recipient_id=bob.id, message_id=ids[0]).count() == 1
        assert mailbox(bob.id).messages == []
