"""The queue map: which slots belong to which queue, which queues to which worker group; and how that is changed.

A slot moves in one transaction under the locks of both queues, so no drain of either is under way: what the old queue's
drains delivered is committed, and the new queue's next drain begins with what they left, the slot's oldest row. No pending
row is touched, since rows know slots and not queues. A process that still has the old map merely wakes the wrong group.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from django.db import connection, transaction
from django.db.models import F, Max
from django.db.utils import OperationalError

from delivery import wake
from delivery.backlog import ranges
from delivery.models import Queue, Slot
from delivery.slots import QUEUE_NAMES, SLOTS
from kernel.database import Cursor, number_array

logger = logging.getLogger(__name__)

T = TypeVar("T")

NAMES_OF: Final = 'SELECT name FROM delivery_queue WHERE "group" = ANY(%s::int[]) ORDER BY name'
# Changes of the map come one after the other.
CHANGES: Final = 0x6C657474
# A drain holds its queues for milliseconds, a frozen one until PostgreSQL ends its session after 2 s.
PATIENCE_S: Final = 10.0


class MapRefused(Exception):
    """The map cannot be changed so; the text says why, for people."""


@dataclass(frozen=True)
class QueueLine:
    """One queue of the map."""

    name: str
    group: int
    reserved: bool
    slots: tuple[int, ...]


@dataclass(frozen=True)
class Map:
    """The whole map as it was at one time. `version` is the sum of the slots', which every change raises."""

    version: int
    queues: Mapping[str, QueueLine]

    @property
    def queue_of(self) -> dict[int, str]:
        """Slot → queue."""
        return {slot: line.name for line in self.queues.values() for slot in line.slots}

    def of_group(self, group: int) -> list[QueueLine]:
        """The queues of a group."""
        return [line for line in self.queues.values() if line.group == group]

    @property
    def groups(self) -> list[int]:
        """Every worker group that has a queue."""
        return sorted({line.group for line in self.queues.values()})


@dataclass(frozen=True)
class Moved:
    """A slot that has gone from one queue to another."""

    slot: int
    source: str
    target: str
    group: int


def read_map() -> Map:
    """The map as it is now, in one statement: queues by name, slots sorted."""
    slots: dict[str, list[int]] = {}
    lines: dict[str, tuple[int, bool]] = {}
    version = 0
    rows = Queue.objects.order_by("name", "slots__slot").values_list(
        "name", "group", "reserved", "slots__slot", "slots__version"
    )
    for name, group, reserved, slot, raised in rows:
        lines[name] = (group, reserved)
        if slot is not None:
            slots.setdefault(name, []).append(slot)
            version += raised
    return Map(version, {name: QueueLine(name, *line, tuple(slots.get(name, ()))) for name, line in lines.items()})


def move(slot: int, target: str, *, source: str | None = None) -> Moved | None:
    """Give a slot to another queue; None when it is there already. With `source`: only if it still is in that one.

    Raises `MapRefused`, and `django.db.OperationalError` when the locks cannot be had within `PATIENCE_S`.
    """
    check_slot(slot)
    moved = patiently(lambda: _move(slot, target, source))
    if moved:
        wake.map_changed([moved.group])
    return moved


def add(name: str, group: int) -> QueueLine:
    """Make an empty queue of this worker group. Raises `MapRefused`."""
    check_name(name)
    if not 0 <= group < 2**15:
        raise MapRefused("a worker group is a number from 0 to 32767")
    patiently(lambda: _add(name, group))
    return QueueLine(name, group, False, ())


def remove(name: str) -> QueueLine:
    """Take an empty queue from the map; answers what it was. Raises `MapRefused`, as `move` does else."""
    return patiently(lambda: _remove(name))


def isolate(slot: int) -> Moved | None:
    """Give a slot a queue and a worker group of its own; None when it has them. Raises `MapRefused`, as `move` does else."""
    check_slot(slot)
    moved = patiently(lambda: _isolate(slot))
    if moved:
        wake.map_changed([moved.group])
    return moved


def _move(slot: int, target: str, source: str | None) -> Moved | None:
    with change():
        home = Slot.objects.values_list("queue_id", flat=True).get(slot=slot)
        if source is not None and home != source:
            raise MapRefused(f"slot {slot} has gone from {source} to {home} meanwhile")
        return None if home == target else _hand_over(slot, home, target)


def _add(name: str, group: int) -> None:
    with change():
        if Queue.objects.filter(name=name).exists():
            raise MapRefused(f"{name} is there already")
        Queue.objects.create(name=name, group=group)


def _remove(name: str) -> QueueLine:
    with change():
        line = read_map().queues.get(name)
        if line is None:
            raise MapRefused(f"there is no queue {name}")
        if line.slots:
            raise MapRefused(f"{name} has slots ({ranges(line.slots)}): move them to another queue first")
        Queue.objects.filter(name=name).delete()
        return line


def _isolate(slot: int) -> Moved | None:
    with change():
        found = read_map()
        home = found.queues[found.queue_of[slot]]
        if home.slots == (slot,) and found.of_group(home.group) == [home]:
            Queue.objects.filter(name=home.name).update(reserved=True)
            return None
        return _hand_over(slot, home.name, _spare(found) or _made(found))


def _spare(found: Map) -> str | None:
    """A queue that was reserved once, is empty now, and is alone in its group, whose workers may still run."""
    for line in found.queues.values():
        if line.reserved and not line.slots and found.of_group(line.group) == [line]:
            return line.name
    return None


def _made(found: Map) -> str:
    free = [name for name in QUEUE_NAMES if name not in found.queues]
    if not free:
        raise MapRefused("every name of a queue is taken: move the slot to one of those that are there")
    group = (Queue.objects.aggregate(most=Max("group"))["most"] or 0) + 1
    return str(Queue.objects.create(name=free[0], group=group, reserved=True).name)


def _hand_over(slot: int, source: str, target: str) -> Moved:
    """The move itself, inside `change`: both locks, in the order in which drains take them."""
    locked = {
        queue.name: queue
        for queue in Queue.objects.filter(name__in=[source, target]).order_by("name").select_for_update()
    }
    if target not in locked:
        raise MapRefused(f"there is no queue {target}; `manage.py queues add` makes one")
    Slot.objects.filter(slot=slot).update(queue=target, version=F("version") + 1)
    return Moved(slot, source, target, locked[target].group)


@contextmanager
def change() -> Iterator[None]:
    """The transaction of one change of the map. It waits for the change before it, and for no lock longer than a second."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', '1s', true), pg_advisory_xact_lock(%s)", [CHANGES])
        yield


def patiently(attempt: Callable[[], T]) -> T:
    """Try again what a lock timeout or a deadlock has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except OperationalError as error:
            if time.monotonic() >= deadline or not is_lock(error):
                raise
            logger.info("the queues' locks are tried again: %s", type(error.__cause__).__name__)


def is_lock(error: OperationalError) -> bool:
    """Whether somebody else had the lock (55P03) or a deadlock was broken (40P01)."""
    return getattr(error.__cause__, "pgcode", None) in {"55P03", "40P01"}


def check_slot(slot: int) -> None:
    """Raises `MapRefused` for what is no slot."""
    if not 0 <= slot < SLOTS:
        raise MapRefused(f"a slot is a number from 0 to {SLOTS - 1}")


def check_name(name: str) -> None:
    """Raises `MapRefused` for a name that processes do not know."""
    if name not in QUEUE_NAMES:
        raise MapRefused(
            f"a queue is called {QUEUE_NAMES[0]} to {QUEUE_NAMES[-1]}: these every process knows, and the broker by them"
        )


def names_of(cursor: Cursor, groups: Collection[int]) -> list[str]:
    """The names of these groups' queues, sorted."""
    cursor.execute(NAMES_OF, (number_array(groups),))
    return [name for (name,) in cursor.fetchall()]
