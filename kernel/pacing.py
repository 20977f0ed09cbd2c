"""How often somebody looks at a table whose looks may become dear: while a snapshot is held open (a backup), each walks all that was
deleted since."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """The pause between looks, which take one part of `share` of the time at most, as long as no pause is over `longest_s` for it."""

    def __init__(self, *, share: int, longest_s: float) -> None:
        self._share, self._longest_s = share, longest_s
        self._took_s = 0.0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Around a look. One that fails counts as well: it may have run into its time-out."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._took_s = time.monotonic() - began

    def pause_s(self, least_s: float) -> float:
        """Seconds until the next look, which is wanted after `least_s`."""
        return max(least_s, min(self._longest_s, self._share * self._took_s))
