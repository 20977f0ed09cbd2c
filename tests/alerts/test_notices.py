"""People are told of each alert, at least once and at most once an hour, whatever fails."""

import threading

import pytest
from django.db import connection
from django.test import override_settings

from delivery.alerts import notices, webhook
from delivery.alerts.notices import CLAIM, LAST_RETRY, notify_due, retry_after
from delivery.models import AbuseAlert, AlertNotice
from tests.alerts.conftest import goes_on, open_alert
from tests.alerts.receivers import DROP
from tests.delivery.depot import until


def notice(alert, channel="webhook") -> AlertNotice:
    return AlertNotice.objects.get(alert=alert, channel=channel)


def test_with_no_channel_set_up_nothing_happens(clock):
    open_alert()

    assert notify_due(clock) == 0
    assert not AlertNotice.objects.filter(alert__state="open").exists()


def test_each_channel_is_told_of_a_new_alert_once(hook, mail, clock):
    alert = open_alert(count=3)

    assert [notify_due(clock) for _ in range(3)] == [2, 0, 0]

    assert [call.data["alert"] for call in hook.calls] == [alert.pk]
    assert len(mail.mails) == 1
    assert {(row.channel, row.told_count, row.retry_at) for row in alert.notices.all()} == {
        ("mail", 3, None),
        ("webhook", 3, None),
    }


def test_a_flood_makes_one_notice_an_hour(hook, mail, clock):
    alert = open_alert()
    for minute in range(120):
        notify_due(clock)
        goes_on(alert, by=10_000 // 120)
        clock.move(minutes=1)

    assert len(mail.mails) == len(hook.calls) == 2
    assert [call.data["count"] for call in hook.calls] == [1, 1 + 60 * 83]
    # After the flood, the rest of it is told as well.
    clock.move(hours=1)
    notify_due(clock)
    assert hook.calls[-1].data["count"] == 1 + 120 * 83


def test_when_nothing_is_new_nothing_is_told(hook, mail, clock):
    open_alert(count=7)
    for _ in range(5):
        notify_due(clock)
        clock.move(hours=2)

    assert len(mail.mails) == len(hook.calls) == 1


def test_who_acknowledges_ends_it_and_a_further_message_opens_another(hook, clock):
    alert = open_alert()
    notify_due(clock)
    goes_on(alert)
    AbuseAlert.objects.filter(pk=alert.pk).update(state="acknowledged")
    clock.move(hours=2)
    assert notify_due(clock) == 0

    another = open_alert(device_id=alert.device_id, recipient_id=alert.recipient_id)
    notify_due(clock)

    assert [call.data["alert"] for call in hook.calls] == [alert.pk, another.pk]


@pytest.mark.parametrize("answer", [DROP, 500, 404, 302])
def test_what_fails_is_tried_again_later_under_the_same_id(hook, clock, answer):
    hook.answers.extend([answer, answer])
    hook.headers = {"location": hook.url} if answer == 302 else {}
    alert = open_alert()

    assert notify_due(clock) == 0
    failed = notice(alert)
    assert (failed.failures, failed.told_count, failed.retry_at) == (1, 0, clock.now + retry_after(1))
    assert notify_due(clock) == 0  # not yet
    clock.move(minutes=1)
    assert notify_due(clock) == 0
    assert notice(alert).retry_at == clock.now + retry_after(2)
    clock.move(minutes=2)
    assert notify_due(clock) == 1

    assert [call.id for call in hook.calls] == [f"abuse_alert_{alert.pk}_1"] * 3
    assert len({call.body for call in hook.calls}) == 1
    told = notice(alert)
    assert (told.failures, told.told_count, told.last_error, told.retry_at) == (0, 1, "", None)


def test_one_channel_that_fails_does_not_hold_up_the_other(hook, mail, clock):
    hook.answers.append(503)
    alert = open_alert()

    assert notify_due(clock) == 1

    assert len(mail.mails) == 1
    assert notice(alert, "webhook").last_error == "answered 503"


def test_an_alert_that_always_fails_holds_up_no_other(hook, clock):
    hook.answers.append(500)
    first = open_alert()
    notify_due(clock)
    clock.move(minutes=1)
    second = open_alert()
    hook.answers.extend([204, 500])

    notify_due(clock)

    assert [call.data["alert"] for call in hook.calls] == [first.pk, second.pk, first.pk]
    assert (notice(second).told_count, notice(first).failures) == (1, 2)


def test_it_never_gives_up_nor_waits_for_long(hook, clock):
    alert = open_alert()
    for failures in range(1, 30):
        hook.answers.append(500)
        notify_due(clock)
        assert notice(alert).failures == failures
        clock.move(seconds=LAST_RETRY.total_seconds())

    assert notify_due(clock) == 1
    assert [retry_after(n).total_seconds() for n in (1, 2, 3, 4, 5, 6, 1_000)] == [60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize("told_before_it_died", [False, True])
def test_who_dies_in_the_middle_leaves_it_to_a_later_run(hook, clock, told_before_it_died, monkeypatch):
    """Died after claiming, or after telling and before noting it: then the receiver knows by the id that it had it."""
    alert = open_alert(count=5)

    class Killed(BaseException):
        pass

    class Dying:
        AT_ONCE = 1

        def is_on(self):
            return True

        def tell(self, reports):
            if told_before_it_died:
                webhook.tell(reports)
            raise Killed

    monkeypatch.setitem(notices.CHANNELS, AlertNotice.Channel.WEBHOOK, Dying())
    with pytest.raises(Killed):
        notify_due(clock)
    monkeypatch.setitem(notices.CHANNELS, AlertNotice.Channel.WEBHOOK, webhook)

    assert notify_due(clock) == 0  # it may be at it still
    clock.move(seconds=CLAIM.total_seconds())
    assert notify_due(clock) == 1
    assert {call.id for call in hook.calls} == {f"abuse_alert_{alert.pk}_5"}
    assert len(hook.calls) == 1 + told_before_it_died
    assert notice(alert).told_count == 5


def test_two_runs_at_once_tell_each_alert_once(hook, mail, clock):
    alerts = [open_alert() for _ in range(40)]
    start = threading.Barrier(4)
    counts = []

    def run():
        try:
            start.wait()
            counts.append(notify_due(clock))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 80
    assert sorted(call.data["alert"] for call in hook.calls) == [alert.pk for alert in alerts]
    told = "".join(mail.get_content() for mail in mail.mails)
    assert all(told.count(f"/abusealert/{alert.pk}/") == 1 for alert in alerts)


def test_a_run_that_is_still_waiting_is_not_joined_by_another(hook, clock):
    hook.holding.set()
    alert = open_alert()
    slow = threading.Thread(target=lambda: (notify_due(clock), connection.close()))
    slow.start()
    try:
        until(lambda: hook.calls)
        assert notify_due(clock) == 0
        assert notice(alert).retry_at == clock.now + CLAIM
        with connection.cursor() as cursor:
            # No row is locked while somebody is being told.
            cursor.execute("SELECT id FROM delivery_alertnotice WHERE alert_id = %s FOR UPDATE NOWAIT", [alert.pk])
    finally:
        hook.let_go.set()
        slow.join()

    assert len(hook.calls) == 1
    assert notice(alert).told_count == 1


def test_a_channel_that_is_set_up_later_learns_of_what_is_open(hook, clock):
    with override_settings(ABUSE_WEBHOOK_URL=""):
        alert = open_alert()
        notify_due(clock)
        assert not hook.calls

    notify_due(clock)

    assert [call.data["alert"] for call in hook.calls] == [alert.pk]


def test_an_endpoint_that_is_not_there_is_no_error_of_ours(hook, clock, caplog):
    alert = open_alert()

    with override_settings(ABUSE_WEBHOOK_URL="http://127.0.0.1:1/"):
        assert notify_due(clock) == 0

    assert notice(alert).last_error == "ConnectError"
    assert "1 alerts could not be told by webhook: ConnectError" in caplog.text
