"""Drains until nothing is left: retries, poison, the low-water mark, and the linger that keeps a live conversation fast.

A `Drainer` owns one raw session and belongs to one thread. Two of them may work on the same groups at once, in one
process or in several: the queues' locks keep them apart.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence

import psycopg2
import redis

from delivery import alerts, measuring, push, wake
from delivery.drain import BATCH_ROWS, EVERYTHING, Batch, Look, Poison, Since, drain_batch, set_aside
from delivery.webpush import due
from kernel import metrics
from kernel.database import TRANSIENT, Session, is_lost

logger = logging.getLogger(__name__)

# Should a transaction stay open for long, the mark trails by this much instead. What adds deliveries ends its statements after
# seconds (kernel/database.py), but nothing bounds how long a COMMIT waits for the disk, or for a standby.
MARK_TRAILS_S = 60.0
FULL_LOOK_S = 30.0
# After a full look that took long (a snapshot held open keeps what was delivered) the next comes after so many times as long.
FULL_LOOK_SHARE = 50
# Between tries of one row that fails through no fault of its own.
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
LINGER_S = 0.05
SLICE_S = 1.0


class Mark:
    """The low-water mark: below it nothing is pending any more. Without it every look would walk the dead rows.

    Ids are given before commit, so a row may appear below one that was seen before. Whoever adds a delivery has its
    transaction id before the row's id; so when every transaction that had begun at a look has ended by a later look, all
    rows below the earlier look's oldest are there to be seen, or gone. Then, what the later look does not see below its own
    oldest will never be. A mark is of one version of the slot map and of the queues that were locked: with others, the look
    begins at 0 (drain.TAKE).
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[float, Look]] = deque()
        self._since = EVERYTHING
        self._full = -FULL_LOOK_S
        self._every_s = FULL_LOOK_S

    def since(self, now: float) -> Since:
        """Where to look from at `now` (monotonic seconds). Now and then at everything, should this reasoning miss a case."""
        if now - self._full >= self._every_s:
            self._full = now
            return EVERYTHING
        return self._since

    def took(self, seconds: float) -> None:
        """A batch that looked at everything took so long, whatever came of it."""
        self._every_s = max(FULL_LOOK_S, FULL_LOOK_SHARE * seconds)

    def looked(self, look: Look, now: float) -> None:
        """A batch was taken and committed after this look."""
        if (look.map_version, look.queues) != self._since[:2]:
            self._looks.clear()
            self._since = Since(look.map_version, look.queues, 0)
        proved = 0
        while self._looks and (look.xmin >= self._looks[0][1].xmax or now - self._looks[0][0] >= MARK_TRAILS_S):
            proved = self._looks.popleft()[1].lowest
        if proved:
            self._since = self._since._replace(id=max(self._since.id, min(proved, look.lowest)))
        if not self._looks or look.xmax > self._looks[-1][1].xmax:
            self._looks.append((now, look))


class Drainer:
    """Delivers what is pending for some worker groups and pushes it."""

    def __init__(
        self, name: str, groups: Sequence[int], *, skip_locked: bool = False, session: Session | None = None
    ) -> None:
        self.groups = list(groups)
        self._session = session or Session(name)
        self._skip_locked = skip_locked
        self._mark = Mark()
        self._rows = BATCH_ROWS
        self._pause_s = FIRST_PAUSE_S

    def drain(self, *, seconds: float = SLICE_S) -> bool:
        """Drain until nothing is left or the time is up; answers whether more may be left. Never raises for a bad row.

        Raises `psycopg2.OperationalError` when the database is away: what is pending stays so.
        """
        until = time.monotonic() + seconds
        while True:
            batch = self.drain_once()
            if batch is not None and not batch.more:
                return False
            if time.monotonic() >= until:
                return True

    def drain_once(self) -> Batch | None:
        """One batch, pushed after its commit. None: it failed and was made smaller, or set a row aside."""
        now = time.monotonic()
        since = EVERYTHING if self._skip_locked else self._mark.since(now)
        try:
            with self._session.cursor() as cursor:
                batch = drain_batch(
                    cursor,
                    groups=self.groups,
                    since=since,
                    rows=self._rows,
                    skip_locked=self._skip_locked,
                )
        except Poison as poison:
            self._session.rollback()
            self._set_aside(poison)
            return None
        except Exception as error:
            self._session.rollback()
            if isinstance(error, psycopg2.Error) and is_lost(error):
                self._session.close()
                raise
            logger.warning("a batch of up to %d deliveries failed: %s", self._rows, type(error).__name__)
            metrics.DRAIN_FAILURES.inc()
            if self._rows == 1 and not isinstance(error, TRANSIENT):
                # A schema or a right that does not fit: trying at full speed would help nobody.
                time.sleep(self._pause_s)
                self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
            self._rows = max(1, self._rows // 2)
            return None
        finally:
            if since == EVERYTHING:
                self._mark.took(time.monotonic() - now)
        self._pause_s = FIRST_PAUSE_S
        if batch.look:
            self._mark.looked(batch.look, now)
            push.entries(batch)
            due.drained(batch)
            measuring.drained(batch, by="sweeper" if self._skip_locked else "worker", seconds=time.monotonic() - now)
            if batch.told:
                wake.slots(batch.told)
            if batch.alerts:
                alerts.log_raised(batch.alerts)
        self._rows = min(BATCH_ROWS, self._rows * 2)
        return batch

    def _set_aside(self, poison: Poison) -> None:
        logger.error("delivery set aside: pending row %d of slot %d", poison.id, poison.slot)
        with self._session.cursor() as cursor:
            set_aside(cursor, slot=poison.slot, id=poison.id, error=poison.reason)
        metrics.SET_ASIDE.inc()

    def close(self) -> None:
        """Give the session back."""
        self._session.close()


def serve(drainer: Drainer, *, seconds: float = SLICE_S, linger: float = LINGER_S) -> None:
    """What one wake-up of the drainer's first group does: drain, linger for more, and go to sleep without missing any.

    The end, in this order: COMMIT (the locks go) → clear the flag → look at the table once more. A wake-up that came
    before the flag was cleared found the flag set and published nothing, but its rows were committed by then, so the
    last look sees them; one that comes after publishes a task of its own.
    """
    (group, *_) = drainer.groups
    try:
        if _drain_and_linger(drainer, group, seconds, linger) and wake.again(group):
            return  # busy: other tasks of this worker get their turn, and the flag stays set
    except psycopg2.Error as error:
        # The rows are still pending: the sweepers try again, and so does the next wake-up.
        logger.warning("a drain of group %d ended early: %s", group, type(error).__name__)
        wake.clear(group)
        return
    wake.clear(group)
    try:
        if drainer.drain(seconds=0.0):
            wake.groups([group])
    except psycopg2.Error as error:
        logger.warning("a drain of group %d ended early: %s", group, type(error).__name__)


def _drain_and_linger(drainer: Drainer, group: int, seconds: float, linger: float) -> bool:
    """Drain as long as there is work or it keeps coming; True when the time was up first."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        drainer.drain(seconds=until - time.monotonic())
        try:
            if not wake.linger(group, linger):
                return False
        except redis.RedisError:
            return False
    return True


def resume(groups: Sequence[int]) -> None:
    """A worker has started: whoever drained these groups before may have died with the flag set."""
    for group in groups:
        wake.clear(group)
    wake.groups(groups)
