"""The time of day that all processes agree on: PostgreSQL's, as far as this process has heard it (docs/adr/0057).

    now()       seconds since 1970
    utc()       the same for Django
    heard(…)    PostgreSQL has said what time it is

Between two looks it goes on by the monotonic clock: a clock of this machine that is wrong, or is set while we run, moves nothing.
Before the first look, and where nobody looks, it is the machine's own.
"""

import time
from datetime import UTC, datetime
from typing import NamedTuple

# Less than this between what was expected and what was heard is the way of the answer, not a clock.
TOLERANCE_S = 0.1


class _Heard(NamedTuple):
    """It was `time_s` (since 1970) when the monotonic clock showed `at`."""

    time_s: float
    at: float


_heard: _Heard | None = None


def now() -> float:
    """Seconds since 1970."""
    heard = _heard
    return time.time() if heard is None else heard.time_s + time.monotonic() - heard.at


def utc() -> datetime:
    """The same, as Django wants it."""
    return datetime.fromtimestamp(now(), UTC)


def heard(time_s: float, *, asked: float, answered: float) -> None:
    """PostgreSQL said that it is `time_s`, some time between these two moments of the monotonic clock."""
    global _heard
    at = (asked + answered) / 2
    expected = None if _heard is None else _heard.time_s + at - _heard.at
    if expected is None or abs(expected - time_s) > (answered - asked) / 2 + TOLERANCE_S:
        _heard = _Heard(time_s, at)
