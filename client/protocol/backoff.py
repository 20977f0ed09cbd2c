"""When to try again: full jitter, so that clients that failed together do not come back together."""

from dataclasses import dataclass

FIRST_S = 0.5
MOST_S = 30.0
STABLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often it has failed in a row. Each failure doubles the ceiling, from 0.5 s to 30 s."""

    failures: int = 0

    @property
    def ceiling(self) -> float:
        """The longest wait at this point, in seconds."""
        # The exponent is bounded: a client that was offline for a month must not compute 2**100000.
        return float(min(MOST_S, FIRST_S * 2 ** min(self.failures, 10)))

    def failed(self) -> "Backoff":
        """One failure more."""
        return Backoff(self.failures + 1)

    def delay(self, chance: float, retry_after: float | None = None) -> float:
        """Seconds to wait, from a random `chance` in [0, 1); never less than the server asked for.

        The jitter is added to `retry_after`, because the server may have told everybody the same.
        """
        return (retry_after or 0.0) + chance * (FIRST_S if retry_after else self.ceiling)

    def after(self, lasted_s: float) -> "Backoff":
        """Forget the failures once a connection has held for 30 s."""
        return Backoff() if lasted_s >= STABLE_S else self
