"""How much waits in each queue, and for how long: for people to look at. Bounded: no table is counted to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count
from django.utils import timezone

from delivery.models import Dead, Pending, Queue, Slot

# Rows of one slot that are counted; more are shown as "at least".
COUNTED: Final = 2_000


@dataclass(frozen=True)
class SlotBacklog:
    """What waits in one slot. `oldest_s` in seconds, None when nothing waits."""

    slot: int
    pending: int
    oldest_s: float | None


@dataclass(frozen=True)
class QueueBacklog:
    """What waits in one queue, and how many of its deliveries were set aside."""

    name: str
    group: int
    slots: Sequence[SlotBacklog]
    dead: int

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


def read_backlog() -> list[QueueBacklog]:
    """Every queue, by name."""
    now = timezone.now()
    dead = dict(Dead.objects.values_list("slot").annotate(Count("id")).order_by())
    by_queue: dict[str, list[int]] = {}
    for slot, queue in Slot.objects.order_by("slot").values_list("slot", "queue_id"):
        by_queue.setdefault(queue, []).append(slot)
    return [
        QueueBacklog(
            name,
            group,
            [_of_slot(slot, now) for slot in by_queue.get(name, [])],
            sum(dead.get(slot, 0) for slot in by_queue.get(name, [])),
        )
        for name, group in Queue.objects.order_by("name").values_list("name", "group")
    ]


def _of_slot(slot: int, now: datetime) -> SlotBacklog:
    rows = Pending.objects.filter(slot=slot).order_by("id")
    oldest = rows.values_list("created_at", flat=True).first()
    if oldest is None:
        return SlotBacklog(slot, 0, None)
    # Ids are given in order: the first row is the oldest, or was begun when the oldest was.
    return SlotBacklog(slot, rows[: COUNTED + 1].count(), max(0.0, (now - oldest).total_seconds()))
