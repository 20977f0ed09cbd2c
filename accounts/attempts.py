"""How often somebody may try to sign in, per account and per address.

Kept in PostgreSQL: losing or wiping Valkey opens nothing. An attempt is counted before the password is looked at and
given back when it was right, so that guesses side by side count too. Unknown names are counted like known ones.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F

from accounts.models import SignInAttempt
from kernel.errors import TooManyRequests

WINDOW: Final = timedelta(minutes=15)
PER_ACCOUNT: Final = 10
PER_ADDRESS: Final = 100
_KEPT: Final = timedelta(days=1)
_FORGOTTEN_AT_ONCE: Final = 100


class TooManyAttempts(TooManyRequests):
    """Too many failed sign-ins for this account or from this address; the password was not looked at."""

    title = "Too many sign-in attempts."


def count(*, username: str, address: str, now: datetime) -> None:
    """Count one attempt as failed. Raises `TooManyAttempts` when it is one too many, until the window ends."""
    # An address may stand for many people, or for a test: it is scaled like the other rates. An account never is.
    bounds = {f"address:{address}": max(1, round(PER_ADDRESS * settings.RATE_SCALE)), f"user:{username}": PER_ACCOUNT}
    _forget(now)
    with transaction.atomic():
        rows = _locked(list(bounds), now)
        for row in rows:
            if now - row.window_started_at >= WINDOW:
                row.failures, row.window_started_at = 0, now
            row.failures += 1
        SignInAttempt.objects.bulk_update(rows, ["failures", "window_started_at"])
    waits = [row.window_started_at + WINDOW - now for row in rows if row.failures > bounds[row.subject]]
    if waits:
        raise TooManyAttempts(retry_after=max(1, round(max(waits).total_seconds())))


def forgive(*, username: str, address: str) -> None:
    """The password was right: the account starts afresh, the address gets this one attempt back."""
    SignInAttempt.objects.filter(subject=f"user:{username}").update(failures=0)
    SignInAttempt.objects.filter(subject=f"address:{address}", failures__gt=0).update(failures=F("failures") - 1)


def _locked(subjects: Sequence[str], now: datetime) -> list[SignInAttempt]:
    """The rows of the subjects, made if need be, locked in order until the transaction ends."""
    fresh = [SignInAttempt(subject=subject, failures=0, window_started_at=now) for subject in sorted(subjects)]
    SignInAttempt.objects.bulk_create(fresh, ignore_conflicts=True)
    return list(SignInAttempt.objects.select_for_update(no_key=True).filter(subject__in=subjects).order_by("subject"))


def _forget(now: datetime) -> None:
    """Drop some rows that no longer count; rows in somebody's hands are left for the next time."""
    old = SignInAttempt.objects.filter(window_started_at__lt=now - _KEPT).values("pk")
    with transaction.atomic():
        SignInAttempt.objects.filter(pk__in=old.select_for_update(skip_locked=True)[:_FORGOTTEN_AT_ONCE]).delete()
