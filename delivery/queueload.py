"""What the queue map carries: what waits, what comes and goes a second, and who holds the locks; measured for a while."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from delivery import backlog, load, queuemap, sweeper
from delivery.queuemap import Map, QueueLine
from kernel.database import Cursor, Session

# How often it is looked who holds the locks: they are held for milliseconds.
SAMPLE_S: Final = 0.05

# Whoever locks a queue's row leaves the number of its transaction in it.
HOLDERS: Final = """
SELECT q.name, regexp_replace(a.application_name, '^letterlock ', ''), host(a.client_addr)
FROM delivery_queue q, LATERAL (SELECT * FROM pg_stat_activity a WHERE a.backend_xid = q.xmax LIMIT 1) a
"""
# For whom the first rows of a slot are: the one most of them are for.
FOR_WHOM: Final = """
SELECT r.user_id, count(*), (SELECT count(*) FROM (SELECT 1 FROM delivery_pending WHERE slot = %s ORDER BY id LIMIT %s) few)
FROM (SELECT recipients FROM delivery_pending WHERE slot = %s ORDER BY id LIMIT %s) few, unnest(few.recipients) AS r (user_id)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
"""
FIRST_ROWS: Final = 200
# Of all new deliveries: a slot with more, of which most are for one recipient, has a hot one. Fewer a second do no harm.
HOT_SHARE: Final = 0.2
HOT_RATE: Final = 20.0


@dataclass(frozen=True)
class Hot:
    """A slot that gets much of all there is, and for whom most of what waits there is: `rows` of `sampled`."""

    slot: int
    comes: float
    share: float
    user: str
    rows: int
    sampled: int


@dataclass(frozen=True)
class SlotLoad:
    """One slot. Rates are deliveries a second; None when Valkey, which counts them, is away. `oldest_s` 0: nothing waits."""

    slot: int
    pending: int
    oldest_s: float
    comes: float | None
    goes: float | None


@dataclass(frozen=True)
class QueueLoad:
    """One queue: its slots, what was set aside of them, and who held its lock for which share of the time."""

    line: QueueLine
    slots: tuple[SlotLoad, ...]
    dead: int
    holder: str | None
    held: float

    @property
    def pending(self) -> int:
        """Deliveries that wait."""
        return sum(slot.pending for slot in self.slots)

    @property
    def oldest_s(self) -> float:
        """Age of the oldest."""
        return max((slot.oldest_s for slot in self.slots), default=0.0)

    @property
    def comes(self) -> float | None:
        """New deliveries a second."""
        return _sum([slot.comes for slot in self.slots])

    @property
    def goes(self) -> float | None:
        """Deliveries made a second."""
        return _sum([slot.goes for slot in self.slots])


@dataclass(frozen=True)
class Measured:
    """All queues over `seconds`; `workers` by group, of those that live."""

    map: Map
    queues: tuple[QueueLoad, ...]
    workers: Mapping[int, int]
    seconds: float
    hot: Hot | None = None

    @property
    def loads(self) -> dict[int, float] | None:
        """Slot → new deliveries a second: what its group has to carry. None when Valkey is away."""
        slots = [slot for queue in self.queues for slot in queue.slots]
        if any(slot.comes is None for slot in slots):
            return None
        return {slot.slot: slot.comes or 0.0 for slot in slots}


@dataclass
class _Look:
    at: float
    waiting: Mapping[int, backlog.SlotFigures]
    sums: Mapping[int, int] | None


@dataclass
class _Holders:
    samples: int = 0
    seen: dict[str, Counter[str]] = field(default_factory=dict)

    def sample(self, cursor: Cursor) -> None:
        self.samples += 1
        cursor.execute(HOLDERS)
        for queue, name, address in cursor.fetchall():
            who = f"{name} at {address}" if address not in (None, "127.0.0.1", "::1") else name
            self.seen.setdefault(queue, Counter())[who] += 1

    def of(self, queue: str) -> tuple[str | None, float]:
        if queue not in self.seen:
            return None, 0.0
        ((who, _),) = self.seen[queue].most_common(1)
        return who, self.seen[queue].total() / self.samples


class Measuring:
    """One measurement, from its making to `finish`; `sample` in between looks who holds the locks. Of a raw cursor."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._holders = _Holders()
        self._first = _look(cursor)

    def sample(self) -> None:
        """See who holds the locks now."""
        self._holders.sample(self._cursor)

    def finish(self) -> Measured:
        """What has come and gone since the beginning, and what is there now."""
        found, first, last = queuemap.read_map(), self._first, _look(self._cursor)
        figures = backlog.figures(self._cursor)
        queues = tuple(
            QueueLoad(
                line,
                tuple(_slot(slot, first, last) for slot in line.slots),
                figures.queues[name].dead if name in figures.queues else 0,
                *self._holders.of(name),
            )
            for name, line in found.queues.items()
        )
        hot = _hot(self._cursor, [slot for queue in queues for slot in queue.slots])
        return Measured(found, queues, sweeper.served_groups(self._cursor), last.at - first.at, hot)


def measure(seconds: float) -> Measured:
    """Look, watch for so long, and look again. Raises `psycopg2.OperationalError` when PostgreSQL is away."""
    session = Session("queues")
    try:
        with session.cursor() as cursor:
            measuring, until = Measuring(cursor), time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                measuring.sample()
                time.sleep(min(SAMPLE_S, left))
            return measuring.finish()
    finally:
        session.close()


def _look(cursor: Cursor) -> _Look:
    return _Look(time.monotonic(), backlog.slot_figures(cursor), load.read())


def _slot(slot: int, first: _Look, last: _Look) -> SlotLoad:
    comes = goes = None
    waiting = last.waiting[slot].pending
    if first.sums is not None and last.sums is not None:
        seconds = max(0.001, last.at - first.at)
        # Below 0 after Valkey was wiped; and a backlog is an estimate once it is large.
        goes = max(0, last.sums.get(slot, 0) - first.sums.get(slot, 0)) / seconds
        comes = max(0.0, goes + (waiting - first.waiting[slot].pending) / seconds)
    return SlotLoad(slot, waiting, last.waiting[slot].oldest_s, comes, goes)


def _hot(cursor: Cursor, slots: list[SlotLoad]) -> Hot | None:
    """The hot recipient, if there is one."""
    rates = {slot.slot: slot.comes or 0.0 for slot in slots}
    slot = max(rates, key=lambda slot: (rates[slot], -slot))
    if rates[slot] < HOT_RATE or rates[slot] < HOT_SHARE * sum(rates.values()):
        return None
    cursor.execute(FOR_WHOM, (slot, FIRST_ROWS, slot, FIRST_ROWS))
    user, rows, sampled = cursor.fetchone() or (None, 0, 0)
    if user is None or 2 * rows < sampled:
        return None
    return Hot(slot, rates[slot], rates[slot] / sum(rates.values()), user, rows, sampled)


def _sum(rates: list[float | None]) -> float | None:
    known = [rate for rate in rates if rate is not None]
    return sum(known) if len(known) == len(rates) else None
