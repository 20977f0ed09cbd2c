"""Alerts as the drain writes them, somebody who is told, and a clock that tests move."""

import base64
import secrets
from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.test import override_settings

from delivery.models import AbuseAlert
from kernel.ids import uuid7
from tests.alerts.receivers import endpoint, letterbox

SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
ADMINS = [("Staff", "staff@example.org"), ("Staff", "duty@example.org")]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, **duration: float) -> None:
        self.now += timedelta(**duration)


def open_alert(count: int = 1, **fields) -> AbuseAlert:
    """An alert about people who do not exist."""
    now = datetime.now(UTC)
    usual = {
        "device_id": uuid7(),
        "sender_id": uuid7(),
        "recipient_id": uuid7(),
        "client_name": "wild-client",
        "client_version": "6.6.6",
        "count": count,
        "first_at": now - timedelta(minutes=3),
        "last_at": now,
        "last_message_id": uuid7(),
        "block_version": 12,
        "reported_version": 14,
        "accepted_version": 15,
    }
    return AbuseAlert.objects.create(**usual | fields)


def goes_on(alert: AbuseAlert, by: int = 1) -> None:
    """As the drain counts further messages."""
    AbuseAlert.objects.filter(pk=alert.pk).update(
        count=F("count") + by, last_at=F("last_at") + timedelta(seconds=1), last_message_id=uuid7()
    )


@pytest.fixture(autouse=True)
def _nothing_else_is_open():
    """Other tests' alerts are none of ours: the live system tells nobody of them, and neither do we."""
    AbuseAlert.objects.filter(state="open").update(state="acknowledged")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hook():
    """An endpoint that alerts are posted to."""
    with endpoint() as it, override_settings(ABUSE_WEBHOOK_URL=it.url, ABUSE_WEBHOOK_SECRET=SECRET):
        yield it


@pytest.fixture
def mail():
    """A mail server that alerts are sent by, to two members of staff."""
    with (
        letterbox() as it,
        override_settings(
            ADMINS=ADMINS,
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=it.port,
        ),
    ):
        yield it
