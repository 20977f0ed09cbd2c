"""What can be done to the system, and how it went: the data of the nemesis."""

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

# So many threads for each core want to run when the system starts parts under this load and has two cores to itself.
OWN_CROWD = 2.0
# With so many it is the other programs that decide how long anything takes: then times are told, and not judged.
OVERRUN_CROWD = 4.0
# Whoever tries so long after the end of what lasted is not refused any more.
REFUSED_S = 10.0


@dataclass(frozen=True)
class Strike:
    """What can be done to the system: its kind, as the report prints it, what is promised, which parts must be ready after it.

    `act` does it and answers when recovery began to count (monotonic).
    """

    what: str
    within: float
    parts: Sequence[str]
    act: Callable[[], Awaitable[float]]


@dataclass(slots=True)
class Recovery:
    """One strike; times on the monotonic clock.

    In seconds: `recovery`; `refused` until a send was refused for the last time; `ready` until the parts said so themselves;
    `held_up`, the longest that this process, with all clients in it, did nothing.
    """

    what: str
    within: float
    struck: float
    recovered: float = math.inf
    recovery: float = math.inf
    refused: float = 0.0
    slowest: float = 0.0
    held_up: float = 0.0
    crowd: float = 0.0
    accepted: int = 0
    ready: float | None = None
    # When something was last too old, and what everybody still waited for when the promised time was over.
    stale_at: float = -math.inf
    waited_for: str = ""

    @property
    def is_judged(self) -> bool:
        """Whether the time says something about us, and not about what else this machine had to do."""
        return self.crowd <= OVERRUN_CROWD

    @property
    def is_in_time(self) -> bool:
        """Within what is promised; within more, in proportion, when other programs took a share of the cores."""
        overrun = max(1.0, self.crowd / OWN_CROWD)
        is_soon = self.recovery <= self.within * overrun and self.refused <= min(self.within, REFUSED_S) * overrun
        return is_soon or not self.is_judged


def spans(recoveries: Sequence[Recovery]) -> list[tuple[float, float]]:
    """When something was struck or recovering (monotonic), each moment once: some strike while another one lasts."""
    found: list[tuple[float, float]] = []
    for since, until in sorted((recovery.struck, recovery.recovered) for recovery in recoveries):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found
