"""A site without processes and a load without clients, to look at what the nemesis would notice."""

import time
from bisect import bisect_left

from tests.faults.load import Load
from tests.faults.nemesis import Nemesis
from tests.faults.site import Site

NEAR_AND_FAR = ("web-1", "web-2", "worker-1", "worker-2", "beat", "postgres", "valkey")
OFFERED_S = 30.0


class Idle(Site):
    """Parts that go and come, and are ready at once."""

    def __init__(self, *more: str) -> None:
        super().__init__()
        self._places = dict.fromkeys((*NEAR_AND_FAR, *more))
        self.disk = self.clock = object()

    def down(self, part: str) -> None:
        """Nothing ends."""

    def up(self, part: str) -> None:
        """Nothing starts."""

    def freeze(self, part: str) -> None:
        """Nothing stops."""

    def thaw(self, part: str) -> None:
        """Nothing goes on."""

    def wait_ready(self, part: str, seconds: float) -> None:
        """It is."""


class Steady(Load):
    """A thousand sends a second, from now on for half a minute, accepted at once: but not while it is `shut`."""

    def __init__(self) -> None:
        super().__init__(["http://near", "http://far"], rate=0)
        now = time.monotonic()
        self._composed = [now + number / 1000 for number in range(int(OFFERED_S * 1000))]
        self._accepted = self._composed.copy()

    def shut(self) -> None:
        """From now on nothing is accepted."""
        del self._accepted[bisect_left(self._accepted, time.monotonic()) :]

    def open(self) -> None:
        """From now on everything is."""
        self._accepted += self._composed[bisect_left(self._composed, time.monotonic()) :]


def nemesis(*more: str) -> Nemesis:
    """One for such a site, which has these parts too."""
    return Nemesis(Idle(*more), Steady())
