"""A receiver can prove that an alert comes from us, is recent, and is not one it has had."""

import base64
import hmac
import logging
import time

import orjson
import pytest
from django.core.checks import Tags, run_checks
from django.test import override_settings

from delivery.alerts import webhook
from delivery.alerts.notices import notify_due
from tests.alerts.conftest import SECRET, open_alert


def is_ours(call, secret=SECRET) -> bool:
    """As a receiver checks it, by the specification and nothing of ours."""
    signed = b".".join([call.headers["webhook-id"].encode(), call.headers["webhook-timestamp"].encode(), call.body])
    digest = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    return any(
        hmac.compare_digest(given, "v1," + base64.b64encode(digest).decode())
        for given in call.headers["webhook-signature"].split(" ")
    )


def test_the_signature_is_that_of_the_specification(hook, clock):
    open_alert()

    notify_due(clock)

    (call,) = hook.calls
    assert is_ours(call)
    assert not is_ours(call._replace(body=call.body.replace(b'"count":1', b'"count":2')))
    assert not is_ours(call, "whsec_" + base64.b64encode(b"another secret, as long as it").decode())
    assert abs(time.time() - int(call.headers["webhook-timestamp"])) < 30
    assert call.headers["content-type"] == "application/json"


def test_no_log_learns_where_it_goes(hook, clock, caplog, settings):
    """Many receivers' addresses are their secret."""
    caplog.set_level(logging.DEBUG)
    open_alert()

    notify_due(clock)

    assert hook.calls
    assert settings.ABUSE_WEBHOOK_URL and settings.ABUSE_WEBHOOK_URL not in caplog.text


def test_it_agrees_with_a_signature_computed_elsewhere():
    """The example of the Standard Webhooks reference libraries."""
    given = webhook.signature(
        webhook.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )

    assert given == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_says_who_what_when_and_which_versions(hook, clock):
    alert = open_alert(count=41)

    notify_due(clock)

    (call,) = hook.calls
    body = orjson.loads(call.body)
    assert (body["type"], set(body)) == ("abuse_alert.opened", {"type", "timestamp", "data"})
    assert body["data"] == {
        "alert": alert.pk,
        "count": 41,
        "first_at": alert.first_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "last_at": alert.last_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "sender": str(alert.sender_id),
        "device": str(alert.device_id),
        "recipient": str(alert.recipient_id),
        "client": {"name": "wild-client", "version": "6.6.6"},
        "last_message": str(alert.last_message_id),
        "versions": {"block": 12, "reported": 14, "accepted": 15},
        "url": f"http://127.0.0.1:8000/admin/delivery/abusealert/{alert.pk}/change/",
    }


def test_a_redirect_is_not_followed(hook, clock):
    hook.answers.append(307)
    hook.headers = {"location": f"{hook.url}/elsewhere"}
    open_alert()

    assert notify_due(clock) == 0
    assert len(hook.calls) == 1


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_without_a_proper_secret_nothing_is_sent(hook, clock, secret):
    alert = open_alert()

    with override_settings(ABUSE_WEBHOOK_SECRET=secret):
        assert notify_due(clock) == 0

    assert not hook.calls
    assert alert.notices.get().last_error.startswith("ABUSE_WEBHOOK_SECRET")


@pytest.mark.parametrize(
    ("settings", "complaints"),
    [
        ({}, []),
        ({"ABUSE_WEBHOOK_URL": "https://alerts.example.org/in", "ABUSE_WEBHOOK_SECRET": SECRET}, []),
        ({"ABUSE_WEBHOOK_URL": "http://127.0.0.1:9/in", "ABUSE_WEBHOOK_SECRET": SECRET}, []),
        ({"ABUSE_WEBHOOK_URL": "http://alerts.example.org/in", "ABUSE_WEBHOOK_SECRET": SECRET}, ["E021"]),
        ({"ABUSE_WEBHOOK_URL": "ftp://alerts.example.org/in", "ABUSE_WEBHOOK_SECRET": SECRET}, ["E020"]),
        ({"ABUSE_WEBHOOK_URL": "https://me:pw@alerts.example.org/in", "ABUSE_WEBHOOK_SECRET": SECRET}, ["E020"]),
        ({"ABUSE_WEBHOOK_URL": "https://alerts.example.org/in"}, ["E022"]),
        ({"ABUSE_WEBHOOK_URL": "https://alerts.example.org/in", "ABUSE_WEBHOOK_SECRET": "12345"}, ["E022"]),
        ({"ABUSE_WEBHOOK_SECRET": SECRET}, ["E022"]),
        ({"EMAIL_URL": "smtps://u:p@mail.example.org", "ADMINS": [("Staff", "staff@example.org")]}, []),
        ({"EMAIL_URL": "smtp://127.0.0.1:25", "ADMINS": [("Staff", "staff@example.org")]}, []),
        ({"EMAIL_URL": "smtp://mail.example.org"}, ["W025"]),
        ({"EMAIL_URL": "mail.example.org"}, ["E023"]),
        ({"EMAIL_URL": "smtps://m.example.org", "ADMINS": [("Staff", "nobody")]}, ["E024"]),
        ({"EMAIL_URL": "smtps://m.example.org", "SERVER_EMAIL": "me\nBcc: you@example.org"}, ["E024"]),
        ({"ADMINS": [("Staff", "staff@example.org")]}, ["E024"]),
    ],
)
def test_what_cannot_work_is_refused(settings, complaints):
    usual = {"ABUSE_WEBHOOK_URL": "", "ABUSE_WEBHOOK_SECRET": "", "EMAIL_URL": "", "ADMINS": []}
    with override_settings(**usual | settings):
        found = [message.id for message in run_checks(tags=[Tags.security])]

    numbers = {"E020", "E021", "E022", "E023", "E024", "W025"}
    assert [id.partition(".")[2] for id in found if id.partition(".")[2] in numbers] == complaints
