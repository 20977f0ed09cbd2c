"""What to do when the server hangs up (protocol §4.3)."""

from enum import Enum
from typing import Final

from client.protocol.problems import Problem


class Next(Enum):
    """The next step after a close."""

    RECONNECT = "reconnect"  # with the usual back-off
    REFRESH = "refresh"  # get a new access token first
    LATER = "later"  # the server asked us to slow down
    STOP = "stop"  # reconnecting cannot help


SUSPENDED: Final = 4403
REASONS = {
    1012: ("restart", Next.RECONNECT),
    4400: ("malformed", Next.STOP),
    4401: ("unauthenticated", Next.REFRESH),
    SUSPENDED: ("forbidden", Next.STOP),
    4408: ("hello_timeout", Next.RECONNECT),
    4009: ("too_slow", Next.RECONNECT),
    4429: ("rate_limited", Next.LATER),
}


def problem_of(code: int | None) -> Problem | None:
    """What a request would have been answered instead of this close code, if that says more."""
    return Problem("suspended", 403, "The account is suspended.") if code == SUSPENDED else None


def next_after(code: int | None) -> Next:
    """The next step after a close code; None is a connection that broke without one. Unknown codes reconnect."""
    return REASONS[code][1] if code in REASONS else Next.RECONNECT
