"""How long a client of the fault test waits before it tries again (docs/protocol.md §4.4)."""

import random

FIRST_BACK_OFF_S, LONGEST_BACK_OFF_S = 0.5, 30.0


class Tries:
    """Full-jitter back-off: how long to wait after one more failure."""

    def __init__(self) -> None:
        self.failures = 0

    def failed(self, least: float = 0.0) -> float:
        longest = min(LONGEST_BACK_OFF_S, FIRST_BACK_OFF_S * 2**self.failures)
        self.failures += 1
        return max(least, random.uniform(0, longest))

    def worked(self) -> None:
        self.failures = 0
