"""What is told of an alert, through whatever channel: ids, times and numbers. Nothing of what was written is known here."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from delivery.models import AbuseAlert


@dataclass(frozen=True, slots=True)
class Report:
    """An alert as it stood when it was told. Equal counts of one alert are equal reports, and have one `name`."""

    alert: int
    is_first: bool
    count: int
    first_at: datetime
    last_at: datetime
    sender: str
    device: str
    recipient: str
    client_name: str
    client_version: str
    last_message: str
    block_version: int
    reported_version: int
    accepted_version: int

    @property
    def name(self) -> str:
        """The idempotency id: the same for a report that is told again, another as soon as there is more to tell."""
        return f"abuse_alert_{self.alert}_{self.count}"

    @property
    def url(self) -> str:
        """The alert's page in the admin."""
        return f"{settings.PUBLIC_URL}/admin/delivery/abusealert/{self.alert}/change/"

    def as_json(self) -> dict[str, Any]:
        """For a machine; times as ISO 8601 in UTC."""
        return {
            "type": "abuse_alert.opened" if self.is_first else "abuse_alert.updated",
            "timestamp": _iso(self.last_at),
            "data": {
                "alert": self.alert,
                "count": self.count,
                "first_at": _iso(self.first_at),
                "last_at": _iso(self.last_at),
                "sender": self.sender,
                "device": self.device,
                "recipient": self.recipient,
                "client": {"name": self.client_name, "version": self.client_version},
                "last_message": self.last_message,
                "versions": {
                    "block": self.block_version,
                    "reported": self.reported_version,
                    "accepted": self.accepted_version,
                },
                "url": self.url,
            },
        }

    def as_text(self) -> str:
        """For people."""
        # The client's name is the device's own word for itself: quoted, lest it looks like ours.
        return f"""\
Alert {self.alert}: {self.url}
  messages      {self.count}, from {_shown(self.first_at)} to {_shown(self.last_at)} UTC
  from user     {self.sender}
  by device     {self.device}, client {self.client_name!r} {self.client_version!r}
  to user       {self.recipient}
  last message  {self.last_message}
  versions      the block has {self.block_version}; the device had reported {self.reported_version} and sent at {self.accepted_version}"""


def report_of(alert: AbuseAlert, *, told_count: int) -> Report:
    """The alert as it stands in this row."""
    return Report(
        alert=alert.pk,
        is_first=told_count == 0,
        count=alert.count,
        first_at=alert.first_at,
        last_at=alert.last_at,
        sender=str(alert.sender_id),
        device=str(alert.device_id),
        recipient=str(alert.recipient_id),
        client_name=alert.client_name,
        client_version=alert.client_version,
        last_message=str(alert.last_message_id),
        block_version=alert.block_version,
        reported_version=alert.reported_version,
        accepted_version=alert.accepted_version,
    )


def name_of(reports: Sequence[Report]) -> str:
    """One idempotency id for several reports that are told together."""
    if len(reports) == 1:
        return reports[0].name
    return "abuse_alerts_" + hashlib.sha256(" ".join(report.name for report in reports).encode()).hexdigest()[:32]


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
