"""Telling people of alerts: an outbox of one row per alert and channel (`AlertNotice`), served each minute.

1. Make the rows that are missing for open alerts.
2. Claim what is due: more to tell than was told, nothing told within the hour, no other try under way or put off.
3. Tell it, outside of any transaction, so that a slow server holds no lock.
4. Note what was told; or how often it failed, and when to try again.

A claim is a time before which nobody else tries (`retry_at`). Whoever dies after claiming leaves it to the first run
after that; if it died between telling and noting, the same report is told twice, with the same id. Two runs at once share
what is due. Who acknowledges an alert ends its notices.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Lock, Thread
from typing import Final, Protocol

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from delivery.alerts import mail, webhook
from delivery.alerts.reports import Report, report_of
from delivery.alerts.untold import Untold
from delivery.models import AbuseAlert, AlertNotice

logger = logging.getLogger(__name__)

EVERY: Final = timedelta(hours=1)
# Longer than any try takes: mail and webhook give up after seconds.
CLAIM: Final = timedelta(minutes=2)
FIRST_RETRY: Final = timedelta(minutes=1)
LAST_RETRY: Final = timedelta(minutes=15)
# What is due after that is left to the next run.
RUN_S: Final = 30.0
# Rows made in one run; the next makes more.
MADE: Final = 1_000

Clock = Callable[[], datetime]


class Channel(Protocol):
    """A way to people (the modules `mail` and `webhook`)."""

    AT_ONCE: int

    def is_on(self) -> bool:
        """Whether it is set up."""

    def tell(self, reports: Sequence[Report]) -> None:
        """Tell these, of which there are `AT_ONCE` at most. Raises `Untold`."""


CHANNELS: Final[dict[AlertNotice.Channel, Channel]] = {
    AlertNotice.Channel.MAIL: mail,
    AlertNotice.Channel.WEBHOOK: webhook,
}


def notify_due(clock: Clock = timezone.now) -> int:
    """Tell what is due through every channel that is set up; answers how many notices were given."""
    return sum(_serve(name, channel, clock) for name, channel in CHANNELS.items() if channel.is_on())


def retry_after(failures: int) -> timedelta:
    """How long to wait after so many failures in a row."""
    return min(LAST_RETRY, FIRST_RETRY * 2 ** min(failures - 1, 10))


def _serve(name: AlertNotice.Channel, channel: Channel, clock: Clock) -> int:
    told, until = 0, time.monotonic() + RUN_S
    _make_missing(name)
    while time.monotonic() < until and (claimed := _claim(name, channel.AT_ONCE, clock())):
        try:
            channel.tell([report for _, report in claimed])
        except Untold as failure:
            # The others would most likely fail alike: the next run begins with those that have failed least.
            _note_failure(claimed, clock(), str(failure))
            logger.warning("%d alerts could not be told by %s: %s", len(claimed), name, failure)
            break
        _note_told(claimed, clock())
        told += len(claimed)
    return told


def _make_missing(name: AlertNotice.Channel) -> None:
    there = AlertNotice.objects.filter(alert=OuterRef("pk"), channel=name)
    missing = AbuseAlert.objects.filter(~Exists(there), state=AbuseAlert.State.OPEN).order_by("pk")
    rows = [AlertNotice(alert_id=pk, channel=name) for pk in missing.values_list("pk", flat=True)[:MADE]]
    AlertNotice.objects.bulk_create(rows, ignore_conflicts=True)


def _claim(name: AlertNotice.Channel, most: int, now: datetime) -> list[tuple[AlertNotice, Report]]:
    due = AlertNotice.objects.filter(
        Q(told_at=None) | Q(told_at__lte=now - EVERY),
        Q(retry_at=None) | Q(retry_at__lte=now),
        channel=name,
        alert__state=AbuseAlert.State.OPEN,
        alert__count__gt=F("told_count"),
    )
    with transaction.atomic():
        rows = list(
            due.select_for_update(of=("self",), skip_locked=True)
            .select_related("alert")
            .order_by("failures", "pk")[:most]
        )
        AlertNotice.objects.filter(pk__in=[row.pk for row in rows]).update(retry_at=now + CLAIM)
    return [(row, report_of(row.alert, told_count=row.told_count)) for row in rows]


def _note_told(claimed: Sequence[tuple[AlertNotice, Report]], now: datetime) -> None:
    for row, report in claimed:
        # Never back: another run may have told more since, if this one took longer than its claim.
        AlertNotice.objects.filter(pk=row.pk, told_count__lt=report.count).update(
            told_count=report.count, told_at=now, failures=0, retry_at=None, last_error=""
        )


def _note_failure(claimed: Sequence[tuple[AlertNotice, Report]], now: datetime, why: str) -> None:
    for row, report in claimed:
        failures = row.failures + 1
        AlertNotice.objects.filter(pk=row.pk, told_count__lt=report.count).update(
            failures=failures, retry_at=now + retry_after(failures), last_error=why[:200]
        )


# --- beside the drains -----------------------------------------------------------------------------------------------

_lock = Lock()
_thread: Thread | None = None


def notify_soon() -> None:
    """Tell what is due in a thread of its own: a worker that waited for a mail server would drain nothing."""
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():
            _thread = Thread(target=_notify, name="alert-notices", daemon=True)
            _thread.start()


def _notify() -> None:
    try:
        notify_due()
    except Exception:
        logger.exception("telling of alerts met an unexpected error; the next run goes on")
    finally:
        connection.close()
