"""What staff find in their mail."""

from django.test import override_settings

from delivery.alerts.notices import notify_due
from tests.alerts.conftest import goes_on, open_alert


def test_one_mail_goes_to_all_of_them_and_says_what_happened(mail, clock):
    alert = open_alert(count=12)

    notify_due(clock)

    (sent,) = mail.mails
    assert mail.recipients == [["staff@example.org", "duty@example.org"]]
    assert sent["subject"] == f"[Letterlock] Abuse alert {alert.pk}: 12 messages in spite of a block"
    assert sent["message-id"] == f"<abuse_alert_{alert.pk}_12@127.0.0.1>"
    assert (sent["from"], sent["auto-submitted"]) == ("letterlock@localhost", "auto-generated")
    text = sent.get_content()
    for told in (alert.sender_id, alert.device_id, alert.recipient_id, alert.last_message_id, "'wild-client' '6.6.6'"):
        assert str(told) in text
    assert f"http://127.0.0.1:8000/admin/delivery/abusealert/{alert.pk}/change/" in text


def test_many_alerts_go_in_one_mail(mail, clock):
    alerts = [open_alert() for _ in range(30)]

    assert notify_due(clock) == 30

    (sent,) = mail.mails
    assert sent["subject"] == "[Letterlock] 30 abuse alerts: messages in spite of a block"
    assert all(f"Alert {alert.pk}: http" in sent.get_content() for alert in alerts)


def test_ten_thousand_messages_make_one_mail_within_the_hour(mail, clock):
    alert = open_alert(count=4)
    for _ in range(59):
        notify_due(clock)
        goes_on(alert, by=200)
        clock.move(minutes=1)

    assert len(mail.mails) == 1


def test_a_server_that_refuses_is_asked_again(mail, clock):
    mail.answers.append("451 try later, staff@example.org")
    alert = open_alert()

    assert notify_due(clock) == 0
    assert alert.notices.get().last_error == "SMTPDataError 451"
    clock.move(minutes=1)
    assert notify_due(clock) == 1

    assert len(mail.mails) == 1


def test_a_server_that_is_away_is_asked_again(mail, clock):
    alert = open_alert()

    with override_settings(EMAIL_PORT=1):
        assert notify_due(clock) == 0
    assert alert.notices.get().last_error == "ConnectionRefusedError"
    clock.move(minutes=1)

    assert notify_due(clock) == 1


def test_a_client_that_names_itself_oddly_breaks_no_mail(mail, clock):
    open_alert(client_name="x' \\ http://evil.example\u2028 é", client_version="\"1'")

    assert notify_due(clock) == 1
    assert len(mail.mails[0].get_all("subject")) == 1
