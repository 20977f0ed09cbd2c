"""Waking the drains: at most one Celery task per sleeping group of queues, published by a thread of its own.

A flag in Valkey says "a drain of this group is scheduled or running"; only who sets it publishes a task. Who finds it
set leaves a note on a list, at which a drain that has nothing to do lingers for a moment: in a live conversation the
next drain then starts without a task. With Valkey or broker away nothing is published, and the sweepers deliver.
"""

import logging
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

import redis
from celery import current_app
from django.conf import settings

from delivery.publisher import Publisher
from kernel import metrics, valkey
from kernel.database import Session

logger = logging.getLogger(__name__)

FLAG_MS = 10_000
# The flag of a group that no worker serves: its next worker clears it (drainer.resume), and so does its own sweeper.
ASLEEP_MS = 600_000
MAP_KEPT_S = 5.0

# KEYS: flag, note, number of changes of the map. Answers whether the caller has to publish a task, and that number.
RAISE = """
local changes = redis.call('GET', KEYS[3])
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return {1, changes} end
if redis.call('LLEN', KEYS[2]) == 0 then
    redis.call('LPUSH', KEYS[2], '1')
    redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return {0, changes}
"""

SLOT_MAP = (
    'SELECT s.slot, q."group", q.name FROM delivery_slot s JOIN delivery_queue q ON q.name = s.queue_id ORDER BY 1'
)
# Of each group one: whose worker takes a task, drains them all.
QUEUES = 'SELECT "group", min(name) FROM delivery_queue GROUP BY 1'


class Place(NamedTuple):
    """Where a slot's work is done."""

    group: int
    queue: str


def _flag(group: int) -> str:
    return valkey.key("drain", group)


def _note(group: int) -> str:
    return valkey.key("note", group)


def _changes() -> str:
    return valkey.key("map")


class Waker(threading.Thread):
    """Publishes wake-ups. A broker that hangs stops this thread and nobody else."""

    def __init__(self) -> None:
        super().__init__(name="waker", daemon=True)
        self._lock = threading.Lock()
        self._work = threading.Event()
        self._slots: set[int] = set()
        self._groups: set[int] = set()
        self._session = Session("waker")
        self._map: dict[int, Place] = {}
        self._queues: dict[int, str] = {}
        self._loaded = -MAP_KEPT_S
        # How often the map had been changed when it was read, as Valkey knows it; only its being another matters.
        self._changes: object = None
        self._idle = threading.Event()
        self._stopping = False

    def stop(self) -> None:
        """End. What was added and not yet published the sweepers find."""
        self._stopping = True
        self._work.set()
        self.join(2.0)
        self._session.close()

    def add(self, *, slots: Iterable[int] = (), groups: Iterable[int] = ()) -> None:
        """These slots (groups) have work that is committed."""
        with self._lock:
            self._slots.update(slots)
            self._groups.update(groups)
            self._idle.clear()
        self._work.set()

    def flush(self, seconds: float) -> bool:
        """Wait until everything added has been published, or lost; False when that takes longer."""
        return self._idle.wait(seconds)

    def queue_of(self, group: int) -> str | None:
        """A queue of this group, as far as this process knows the map."""
        return self._queues.get(group)

    def run(self) -> None:
        """Wake whatever was added, until stopped."""
        self._load()
        while not self._stopping:
            if not self._work.wait(MAP_KEPT_S):
                self._load()
                continue
            self._work.clear()
            with self._lock:
                slots, self._slots = self._slots, set()
                groups, self._groups = self._groups, set()
            try:
                self._wake(slots, groups)
            except Exception as error:
                # The rows are committed: the sweepers deliver them within about a second.
                logger.info("a wake-up was lost: %s", type(error).__name__)
            with self._lock:
                if not self._slots and not self._groups:
                    self._idle.set()

    def _wake(self, slots: set[int], groups: set[int]) -> None:
        """Wake whoever has to do with these. By an old map, too: it wakes somebody in vain, and then the right ones."""
        if time.monotonic() - self._loaded >= MAP_KEPT_S or groups - self._queues.keys():
            self._load()
        if self._raise_flags(slots, groups) != self._changes:
            self._load()
            self._raise_flags(slots, groups)

    def _raise_flags(self, slots: set[int], groups: set[int]) -> object:
        """Raise the flags of these, publish where that was left to us; answers how often the map has been changed."""
        places = {place.group: place.queue for slot in slots if (place := self._map.get(slot))}
        places |= {group: self._queues[group] for group in groups if group in self._queues}
        changes = self._changes
        for group, queue in places.items():
            is_mine, changes = valkey.client().eval(RAISE, 3, _flag(group), _note(group), _changes(), FLAG_MS)
            if is_mine:
                try:
                    publish(group, queue)
                except Exception:
                    clear(group)
                    raise
        return changes

    def _load(self) -> None:
        """Read the slot map. An old one only misdirects a wake-up: the pending rows know slots, not queues."""
        try:
            # First: should the map change in between, it is read once more for nothing.
            self._changes = valkey.client().get(_changes())
        except redis.RedisError:
            self._changes = None
        try:
            with self._session.cursor() as cursor:
                cursor.execute(SLOT_MAP)
                self._map = {slot: Place(group, queue) for slot, group, queue in cursor.fetchall()}
                cursor.execute(QUEUES)
                self._queues = dict(cursor.fetchall())
                self._loaded = time.monotonic()
        except Exception as error:
            logger.info("the slot map could not be read: %s", type(error).__name__)
            self._session.close()


_publisher = Publisher()
_lock = threading.Lock()
_waker: Waker | None = None


def _the_waker() -> Waker:
    global _waker
    with _lock:
        if _waker is None:
            _waker = Waker()
            _waker.start()
        return _waker


def stop() -> None:
    """Let this process's waker end; another wake-up would start a new one."""
    global _waker
    with _lock:
        waker, _waker = _waker, None
    if waker is not None:
        waker.stop()


def slots(having_work: Iterable[int]) -> None:
    """These slots have committed work. Never blocks, never raises."""
    _the_waker().add(slots=having_work)


def groups(having_work: Iterable[int]) -> None:
    """These groups have committed work. Never blocks, never raises."""
    _the_waker().add(groups=having_work)


def map_changed(groups_to_look: Iterable[int]) -> None:
    """The map has been changed, and committed: every process reads it anew at its next wake-up, and these groups look now.

    With Valkey away they do so within `MAP_KEPT_S`, and sweepers find the work.
    """
    try:
        valkey.client().incr(_changes())
    except redis.RedisError:
        logger.info("nobody could be told that the slot map has changed")
    groups(groups_to_look)


def flush(seconds: float) -> bool:
    """Wait until this process's wake-ups are out: for commands, which end soon. False when they are not."""
    return _the_waker().flush(seconds)


def publish(group: int, queue: str) -> None:
    """Publish the group's task on this queue; raises what the broker raises."""
    if settings.WAKE_UPS_ARE_CONFIRMED:
        _publisher.send("delivery.fan_out", kwargs={"group": group}, queue=queue)
    else:
        current_app.send_task("delivery.fan_out", kwargs={"group": group}, queue=queue, retry=False)
    metrics.WAKE_UPS.inc()


def linger(group: int, seconds: float) -> bool:
    """Wait for a note at most this long, keeping the flag alive; True: there is work. Raises `redis.RedisError`."""
    client = valkey.client()
    client.set(_flag(group), "1", px=FLAG_MS)
    return client.blpop([_note(group)], timeout=seconds) is not None


def again(group: int) -> bool:
    """Come back to this group by a new task, the flag staying set; False when that cannot be published now."""
    queue = _the_waker().queue_of(group)
    try:
        if queue is None:
            return False
        valkey.client().set(_flag(group), "1", px=FLAG_MS)
        publish(group, queue)
    except Exception as error:
        logger.info("a drain could not be continued by a task: %s", type(error).__name__)
        return False
    return True


def leave_asleep(group: int) -> None:
    """Nobody serves this group: no more tasks for it, for the time being."""
    try:
        valkey.client().set(_flag(group), "1", px=ASLEEP_MS)
    except redis.RedisError:
        logger.debug("no flag could be set; a task more is published for nobody")


def clear(group: int) -> None:
    """The drain has ended: whoever adds work from now on publishes a task."""
    try:
        valkey.client().delete(_flag(group), _note(group))
    except redis.RedisError:
        logger.debug("the flag could not be cleared; it will expire")
