"""How much waits in each queue, and for how long: for people to look at. Bounded: no table is counted to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import connection
from django.db.models import Count

from delivery import pending
from delivery.models import Dead, Queue
from kernel.database import Cursor

# Rows of one slot that are counted; more are shown as "at least".
COUNTED: Final = 500
ENDLESS: Final = 2**62

# Ids are given in order: a slot's first row is its oldest, or was begun when the oldest was. ORDER BY keeps the
# planner on the key (slot, id) whatever it believes of the table's size.
WAITING: Final = """
SELECT s.queue_id, s.slot, n.pending, greatest(0, extract(epoch FROM clock_timestamp() - o.created_at))::float
FROM delivery_slot s
CROSS JOIN LATERAL (
    SELECT count(*) AS pending FROM (SELECT 1 FROM delivery_pending p WHERE p.slot = s.slot ORDER BY p.id LIMIT %s) AS few
) n
LEFT JOIN LATERAL (SELECT created_at FROM delivery_pending p WHERE p.slot = s.slot ORDER BY p.id LIMIT 1) o ON true
ORDER BY s.queue_id, s.slot
"""

# The same for machines that ask often. Of a slot with more than a few rows only the first are counted; how many lie behind
# them is estimated from how densely the ids of the first lie.
SAMPLE: Final = 200
FIGURES: Final = """
SELECT s.queue_id, s.slot, n.rows, n.first, n.reached, b.last, greatest(0, extract(epoch FROM clock_timestamp() - o.created_at))::float
FROM delivery_slot s
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, min(id) AS first, max(id) AS reached
    FROM (SELECT id FROM delivery_pending p WHERE p.slot = s.slot ORDER BY id LIMIT %s) few
) n
LEFT JOIN LATERAL (SELECT id AS last FROM delivery_pending p WHERE p.slot = s.slot ORDER BY id DESC LIMIT 1) b ON true
LEFT JOIN LATERAL (SELECT created_at FROM delivery_pending p WHERE p.slot = s.slot ORDER BY id LIMIT 1) o ON true
"""
FEW_DEAD: Final = """
SELECT s.queue_id, count(*) FROM (SELECT slot FROM delivery_dead LIMIT 10000) d JOIN delivery_slot s ON s.slot = d.slot GROUP BY 1
"""
FEW_ALERTS: Final = "SELECT count(*) FROM (SELECT 1 FROM delivery_abusealert WHERE state = 'open' LIMIT 10000) few"


@dataclass
class QueueFigures:
    """One queue in numbers: `pending` is an estimate when it is large, `oldest_s` 0 when nothing waits."""

    pending: int = 0
    oldest_s: float = 0.0
    dead: int = 0


@dataclass(frozen=True)
class SlotFigures:
    """One slot in numbers: `pending` is an estimate when it is large, `oldest_s` 0 when nothing waits."""

    queue: str
    pending: int
    oldest_s: float


@dataclass(frozen=True)
class Figures:
    """All queues in numbers."""

    queues: dict[str, QueueFigures]
    open_alerts: int


@dataclass(frozen=True)
class SlotBacklog:
    """What waits in one slot. `oldest_s` in seconds, None when nothing waits."""

    slot: int
    pending: int
    oldest_s: float | None

    @property
    def oldest(self) -> str:
        """The same for people."""
        return age(self.oldest_s)


@dataclass(frozen=True)
class QueueBacklog:
    """What waits in one queue, and how many of its deliveries were set aside."""

    name: str
    group: int
    slots: Sequence[SlotBacklog]
    dead: int
    # Made for one hot recipient.
    reserved: bool = False

    @property
    def numbers(self) -> str:
        """The slots for people: `0-3 8 16`."""
        return ranges([slot.slot for slot in self.slots])

    @property
    def pending(self) -> int:
        """Deliveries that wait; see `is_more`."""
        return sum(slot.pending for slot in self.slots)

    @property
    def is_more(self) -> bool:
        """Whether `pending` is a lower bound."""
        return any(slot.pending > COUNTED for slot in self.slots)

    @property
    def oldest_s(self) -> float | None:
        """Age of the oldest in seconds, None when nothing waits."""
        return max((slot.oldest_s for slot in self.slots if slot.oldest_s is not None), default=None)

    @property
    def oldest(self) -> str:
        """The same for people."""
        return age(self.oldest_s)


def age(seconds: float | None) -> str:
    """How long ago, for people: seconds as long as they matter."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers for people: `0-3 8 16`; `-` for none."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return " ".join("-".join(map(str, part)) for part in parts) or "-"


def estimate() -> int:
    """About how many deliveries wait in all queues: an upper bound, cheap however many there are."""
    with connection.cursor() as cursor:
        rows, _ = pending.backlog(cursor.cursor, ENDLESS)
    return rows


def figures(cursor: Cursor) -> Figures:
    """Every queue in numbers, within milliseconds however much waits. The cursor is a raw one (kernel/database.py)."""
    cursor.execute("SELECT name FROM delivery_queue ORDER BY name")
    queues = {name: QueueFigures() for (name,) in cursor.fetchall()}
    for slot in slot_figures(cursor).values():
        line = queues.setdefault(slot.queue, QueueFigures())
        line.pending += slot.pending
        line.oldest_s = max(line.oldest_s, slot.oldest_s)
    cursor.execute(FEW_DEAD)
    for queue, dead in cursor.fetchall():
        queues.setdefault(queue, QueueFigures()).dead = dead
    cursor.execute(FEW_ALERTS)
    (open_alerts,) = cursor.fetchone() or (0,)
    return Figures(queues, open_alerts)


def slot_figures(cursor: Cursor) -> dict[int, SlotFigures]:
    """Every slot in numbers, within milliseconds however much waits. The cursor is a raw one (kernel/database.py)."""
    cursor.execute(FIGURES, (SAMPLE,))
    found = {}
    for queue, slot, rows, first, reached, last, oldest_s in cursor.fetchall():
        pending = rows
        if rows >= SAMPLE:
            pending = max(rows, round(rows * (last - first + 1) / (reached - first + 1)))
        found[slot] = SlotFigures(queue, pending, oldest_s or 0.0)
    return found


def read_backlog() -> list[QueueBacklog]:
    """Every queue, by name."""
    dead = dict(Dead.objects.values_list("slot").annotate(Count("id")).order_by())
    by_queue: dict[str, list[SlotBacklog]] = {}
    with connection.cursor() as cursor:
        cursor.execute(WAITING, (COUNTED + 1,))
        for queue, slot, waiting, oldest_s in cursor.fetchall():
            by_queue.setdefault(queue, []).append(SlotBacklog(slot, waiting, oldest_s))
    return [
        QueueBacklog(
            name, group, slots := by_queue.get(name, []), sum(dead.get(slot.slot, 0) for slot in slots), reserved
        )
        for name, group, reserved in Queue.objects.order_by("name").values_list("name", "group", "reserved")
    ]
