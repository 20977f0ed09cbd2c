"""What lies overdue is drained without broker, Valkey or beat: a thread of every worker that needs PostgreSQL only.

What it tells Valkey, that nobody need stay asleep (`wake.clear`) and how much was delivered (`load.flush`), it does without
where Valkey is away, after one short time-out.

A queue is overdue when its oldest delivery is older than a second and was the oldest at the last look too: a queue
that is being drained moves on by itself and is left alone. Once it had to drain, it is on duty: as long as there is work
that nobody else takes, it looks more often and does not wait for a second look. It is on duty, too, as soon as another worker
of its groups is gone: what that one was woken for lies there, and nobody else is woken; and as soon as its own worker has lost
the broker, and with it perhaps what it was to be woken for.

It looks at all worker groups. Its own it drains as above; those of others only if none of their workers lives, or what waits
has not moved for longer: a little at each turn, so that a group without workers is late and its messages are not lost.
"""

import logging
import random
import threading
import time
from collections.abc import Collection, Sequence

import psycopg2
from django.conf import settings

from delivery import load, queuemap, wake
from delivery.drain import end_unread, overdue
from delivery.drainer import Drainer, resume
from kernel.database import Cursor, Session
from kernel.pacing import Pace

logger = logging.getLogger(__name__)

INTERVAL_S = 0.5
OVERDUE_MS = 500
UNREAD_S = 4
# As long as what it finds is its own to do, it does not wait for a second look.
DUTY_S = 2.0
DUTY_INTERVAL_S = 0.15
DUTY_OVERDUE_MS = 100
SLICE_S = 5.0
# A look takes at most one part of so many of the time, but the next one never waits for longer than this.
LOOKING_SHARE = 4
LONGEST_PAUSE_S = 2.0
# Of a group of others: how long its oldest delivery must not have moved, and how much of a turn it may take.
STRANGERS_S = 3.0
STRANGERS_SLICE_S = 0.1
ADOPTED_S = 10.0
# How often it looks which queues its groups have.
QUEUES_S = 2.0

# Sessions of sweepers carry this in their names: who asks PostgreSQL knows which groups have workers.
NAME = "sweeper"
SERVED = """
SELECT substring(application_name FROM '^letterlock sweeper ([0-9]+)')::int AS served, count(*) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name ~ '^letterlock sweeper [0-9]'
GROUP BY 1
"""


class Sweeper(threading.Thread):
    """Looks about twice a second; what has not moved between two looks it drains itself, and then stays on duty for a while."""

    def __init__(self, groups: Sequence[int]) -> None:
        super().__init__(name="sweeper", daemon=True)
        self._groups = list(groups)
        self._session = Session(f"{NAME} {self._groups[0]} {settings.PART_NAME}")
        self._drainers: dict[int, Drainer] = {}
        self._stopping = threading.Event()
        # Its worker has lost the broker since the last look.
        self._lost_broker = threading.Event()
        # The oldest overdue delivery of each group, and since when it has been that.
        self._heads: dict[int, tuple[int, int]] = {}
        self._since: dict[int, float] = {}
        self._duty_until = 0.0
        self._pace = Pace(share=LOOKING_SHARE, longest_s=LONGEST_PAUSE_S)
        self._next_look = time.monotonic() + INTERVAL_S
        # How many workers of each of its groups there were when it last asked, itself among them.
        self._peers: dict[int, int] = {}
        # Until when it goes on with a group of others without waiting as long again.
        self._adopted: dict[int, float] = {}
        self._queues: list[str] = []
        self._queues_at = -QUEUES_S

    @property
    def is_on_duty(self) -> bool:
        """Whether it had to drain lately: nobody is woken now."""
        return time.monotonic() < self._duty_until

    @property
    def queues(self) -> list[str]:
        """The queues of its groups, as it saw them last: they may get new ones while it runs."""
        return self._queues

    def run(self) -> None:
        """Sweep until stopped; a database that is away is tried again at the next turn."""
        while not self._stopping.wait(self._interval_s() * random.uniform(0.8, 1.2)):
            try:
                is_called = self.has_lost_a_peer() or self._lost_broker.is_set()
                if not is_called and time.monotonic() < self._next_look:
                    continue
                self._lost_broker.clear()
                self.sweep()
                self.look_for_queues()
                load.flush()
            except psycopg2.Error as error:
                logger.info("the sweeper will try again: %s", type(error).__name__)
                self._session.close()
            except Exception:
                logger.exception("the sweeper met an unexpected error and goes on")
                self._session.close()
            self._next_look = time.monotonic() + self._pace.pause_s(0.0)
            if not self.is_on_duty:
                self._rest()

    def _interval_s(self) -> float:
        return DUTY_INTERVAL_S if self.is_on_duty else INTERVAL_S

    def has_lost_a_peer(self) -> bool:
        """Whether a worker of its groups is gone since it was last asked; then it is on duty. A question that is never dear."""
        with self._session.cursor() as cursor:
            served = served_groups(cursor)
        before, self._peers = self._peers, {group: served.get(group, 0) for group in self._groups}
        fewer = [group for group, count in self._peers.items() if count < before.get(group, 0)]
        for group in fewer:
            self._duty_until = time.monotonic() + DUTY_S
            wake.clear(group)
        return bool(fewer)

    def lose_broker(self) -> None:
        """Look at the next turn, and be on duty. May be called from any thread."""
        self._duty_until = time.monotonic() + DUTY_S
        self._lost_broker.set()

    def sweep(self) -> list[int]:
        """One look; answers the groups that had to be drained."""
        on_duty = self.is_on_duty
        with self._session.cursor() as cursor, self._pace.looking():
            heads = overdue(cursor, age_ms=DUTY_OVERDUE_MS if on_duty else OVERDUE_MS)
        unmoved = [group for group, head in heads.items() if self._heads.get(group) == head]
        now = time.monotonic()
        self._since = {group: self._since[group] if group in unmoved else now for group in heads}
        self._heads = heads
        if unmoved and (ended := self._unjam()):
            logger.warning("%d sessions whose client is frozen were ended", ended)
        own = [group for group in heads if group in self._groups and (on_duty or group in unmoved)]
        strangers = self._left_alone([group for group in heads if group not in self._groups], unmoved)
        for group in own:
            if self._drain(group, SLICE_S):
                self._duty_until = time.monotonic() + DUTY_S
                # Whoever was woken has not come: dead or frozen, and its flag would keep everybody else asleep for seconds.
                wake.clear(group)
        for group in strangers:
            # Its flag stays, and stays for long: each task that is published is for nobody, and would wait in the broker.
            if self._drain(group, STRANGERS_SLICE_S):
                wake.leave_asleep(group)
                self._adopted[group] = time.monotonic() + ADOPTED_S
                logger.info("group %d is delivered by another group's worker", group)
        return own + strangers

    def _left_alone(self, groups: Sequence[int], unmoved: Collection[int]) -> list[int]:
        """Those of other workers' groups that none of them serves: no such worker lives, or it is frozen, since nothing has
        moved for long. What was so lately is taken to be so still, until somebody else moves it."""
        now = time.monotonic()
        adopted = {group for group in groups if now < self._adopted.get(group, 0.0)}
        asked = [group for group in groups if group in unmoved or group in adopted]
        if not asked:
            return []
        with self._session.cursor() as cursor:
            served = served_groups(cursor)
        frozen = {group for group in unmoved if group in adopted or now - self._since[group] >= STRANGERS_S}
        return [group for group in asked if group not in served or group in frozen]

    def look_for_queues(self) -> None:
        """See which queues its groups have now."""
        now = time.monotonic()
        if now - self._queues_at >= QUEUES_S:
            self._queues_at = now
            with self._session.cursor() as cursor:
                self._queues = queuemap.names_of(cursor, self._groups)

    def _drain(self, group: int, seconds: float) -> int:
        """Drain the queues of this group that nobody else is draining; answers how many rows there were."""
        drainer = self._drainers.get(group)
        if drainer is None:
            drainer = self._drainers[group] = Drainer(f"sweep {group} {settings.PART_NAME}", [group], skip_locked=True)
        rows = 0
        until = time.monotonic() + seconds
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


def served_groups(cursor: Cursor) -> dict[int, int]:
    """The worker groups of which a worker lives, and how many. Frozen ones are among them."""
    cursor.execute(SERVED)
    return dict(cursor.fetchall())


_sweeper: Sweeper | None = None


def queues() -> list[str]:
    """The queues that this process should read, as its sweeper saw them last; empty before its first look."""
    return _sweeper.queues if _sweeper is not None else []


def lose_broker() -> None:
    """This process's connection to the broker is gone."""
    if _sweeper is not None:
        _sweeper.lose_broker()


def start(groups: Sequence[int] = (0,)) -> Sweeper:
    """Start this process's sweeper, once."""
    global _sweeper
    if _sweeper is None:
        _sweeper = Sweeper(groups)
        _sweeper.start()
        resume(groups)
    return _sweeper
