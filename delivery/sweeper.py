"""What lies overdue is drained without broker, Valkey or beat: a thread of every worker that knows PostgreSQL only.

A queue is overdue when its oldest delivery is older than a second and was the oldest at the last look too: a queue
that is being drained moves on by itself and is left alone.
"""

import logging
import random
import threading
from collections.abc import Sequence

import psycopg2

from delivery import wake
from delivery.drain import end_unread, overdue
from delivery.drainer import PLANNER, Drainer, resume
from kernel.database import Session

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5
OVERDUE_MS = 500
UNREAD_S = 4


class Sweeper(threading.Thread):
    """Looks about twice a second; what has not moved between two looks it drains itself."""

    def __init__(self, groups: Sequence[int]) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._groups = list(groups)
        self._session = Session("sweeper", **PLANNER)
        self._stopping = threading.Event()
        self._heads: dict[int, tuple[int, int]] = {}

    def run(self) -> None:
        """Sweep until stopped; a database that is away is tried again at the next turn."""
        while not self._stopping.wait(INTERVAL_S * random.uniform(0.8, 1.2)):
            try:
                self.sweep()
            except psycopg2.Error as error:
                logger.info("the sweeper will try again: %s", type(error).__name__)
                self._session.close()
            except Exception:
                logger.exception("the sweeper met an unexpected error and goes on")
                self._session.close()

    def sweep(self) -> list[int]:
        """One look; answers the groups that had to be drained."""
        with self._session.cursor() as cursor:
            heads = overdue(cursor, self._groups, age_ms=OVERDUE_MS)
        stuck = [group for group, head in heads.items() if self._heads.get(group) == head]
        self._heads = heads
        if stuck and (ended := self._unjam()):
            logger.warning("%d sessions whose client is frozen were ended", ended)
        for group in stuck:
            drainer = Drainer(f"sweep {group}", [group], skip_locked=True)
            try:
                drainer.drain(seconds=5.0)
            finally:
                drainer.close()
            # Whoever was woken has not come: dead or frozen, and its flag would keep everybody else asleep for seconds.
            wake.clear(group)
        return stuck

    def _unjam(self) -> int:
        with self._session.cursor() as cursor:
            return end_unread(cursor, seconds=UNREAD_S)

    def stop(self) -> None:
        """End after the current look."""
        self._stopping.set()


_sweeper: Sweeper | None = None


def start(groups: Sequence[int] = (0,)) -> Sweeper:
    """Start this process's sweeper, once."""
    global _sweeper
    if _sweeper is None:
        _sweeper = Sweeper(groups)
        _sweeper.start()
        resume(groups)
    return _sweeper
