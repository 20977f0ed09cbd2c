"""What lies overdue is drained without broker, Valkey or beat: a thread of every worker that knows PostgreSQL only.

A queue is overdue when its oldest delivery is older than a second and was the oldest at the last look too: a queue
that is being drained moves on by itself and is left alone. Once it had to drain, it is on duty: as long as there is work
that nobody else takes, it looks more often and does not wait for a second look.
"""

import logging
import random
import threading
import time
from collections.abc import Sequence

import psycopg2

from delivery import wake
from delivery.drain import end_unread, overdue
from delivery.drainer import Drainer, resume
from kernel.database import Session

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5
OVERDUE_MS = 500
UNREAD_S = 4
# As long as what it finds is its own to do, it does not wait for a second look.
DUTY_S = 2.0
DUTY_INTERVAL_S = 0.15
DUTY_OVERDUE_MS = 100
SLICE_S = 5.0


class Sweeper(threading.Thread):
    """Looks about twice a second; what has not moved between two looks it drains itself, and then stays on duty for a while."""

    def __init__(self, groups: Sequence[int]) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._groups = list(groups)
        self._session = Session("sweeper")
        self._drainers: dict[int, Drainer] = {}
        self._stopping = threading.Event()
        self._heads: dict[int, tuple[int, int]] = {}
        self._duty_until = 0.0

    @property
    def is_on_duty(self) -> bool:
        """Whether it had to drain lately: nobody is woken now."""
        return time.monotonic() < self._duty_until

    def run(self) -> None:
        """Sweep until stopped; a database that is away is tried again at the next turn."""
        while not self._stopping.wait((DUTY_INTERVAL_S if self.is_on_duty else INTERVAL_S) * random.uniform(0.8, 1.2)):
            try:
                self.sweep()
            except psycopg2.Error as error:
                logger.info("the sweeper will try again: %s", type(error).__name__)
                self._session.close()
            except Exception:
                logger.exception("the sweeper met an unexpected error and goes on")
                self._session.close()
            if not self.is_on_duty:
                self._rest()

    def sweep(self) -> list[int]:
        """One look; answers the groups that had to be drained."""
        on_duty = self.is_on_duty
        with self._session.cursor() as cursor:
            heads = overdue(cursor, self._groups, age_ms=DUTY_OVERDUE_MS if on_duty else OVERDUE_MS)
        unmoved = [group for group, head in heads.items() if self._heads.get(group) == head]
        self._heads = heads
        if unmoved and (ended := self._unjam()):
            logger.warning("%d sessions whose client is frozen were ended", ended)
        stuck = list(heads) if on_duty else unmoved
        for group in stuck:
            if self._drain(group):
                self._duty_until = time.monotonic() + DUTY_S
                # Whoever was woken has not come: dead or frozen, and its flag would keep everybody else asleep for seconds.
                wake.clear(group)
        return stuck

    def _drain(self, group: int) -> int:
        """Drain the queues of this group that nobody else is draining; answers how many rows there were."""
        drainer = self._drainers.get(group)
        if drainer is None:
            drainer = self._drainers[group] = Drainer(f"sweep {group}", [group], skip_locked=True)
        rows = 0
        until = time.monotonic() + SLICE_S
        while time.monotonic() < until:
            batch = drainer.drain_once()
            if batch is not None:
                rows += batch.rows
                if not batch.more:
                    break
        return rows

    def _rest(self) -> None:
        """Give the sessions for draining back."""
        while self._drainers:
            self._drainers.popitem()[1].close()

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
