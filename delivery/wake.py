"""Waking the drains: at most one Celery task per sleeping group of queues, published by a thread of its own.

A flag in Valkey says "a drain of this group is scheduled or running"; only who sets it publishes a task. Who finds it
set leaves a note on a list, at which a drain that has nothing to do lingers for a moment: in a live conversation the
next drain then starts without a task. With Valkey or broker away nothing is published, and the sweepers deliver.
"""

import logging
import threading
from collections.abc import Iterable
from typing import NamedTuple

import redis
from celery import current_app

from kernel import valkey
from kernel.database import Session

logger = logging.getLogger(__name__)

FLAG_MS = 10_000
MAP_KEPT_S = 5.0

# KEYS: flag, note. Answers 1 when the caller has to publish a task.
RAISE = """
if redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 1 end
if redis.call('LLEN', KEYS[2]) == 0 then
    redis.call('LPUSH', KEYS[2], '1')
    redis.call('PEXPIRE', KEYS[2], ARGV[1])
end
return 0
"""

SLOT_MAP = (
    'SELECT s.slot, q."group", q.name FROM delivery_slot s JOIN delivery_queue q ON q.name = s.queue_id ORDER BY 1'
)


class Place(NamedTuple):
    """Where a slot's work is done."""

    group: int
    queue: str


def _flag(group: int) -> str:
    return valkey.key("drain", group)


def _note(group: int) -> str:
    return valkey.key("note", group)


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
        self._work.set()

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

    def _wake(self, slots: set[int], groups: set[int]) -> None:
        if not self._map:
            self._load()
        places = {place.group: place for slot in slots if (place := self._map.get(slot))}
        for group in groups - places.keys():
            places[group] = next(place for place in self._map.values() if place.group == group)
        for place in places.values():
            if valkey.client().eval(RAISE, 2, _flag(place.group), _note(place.group), FLAG_MS):
                try:
                    publish(place)
                except Exception:
                    clear(place.group)
                    raise

    def _load(self) -> None:
        """Read the slot map. An old one only misdirects a wake-up: the pending rows know slots, not queues."""
        try:
            with self._session.cursor() as cursor:
                cursor.execute(SLOT_MAP)
                self._map = {slot: Place(group, queue) for slot, group, queue in cursor.fetchall()}
        except Exception as error:
            logger.info("the slot map could not be read: %s", type(error).__name__)
            self._session.close()


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


def publish(place: Place) -> None:
    """Publish the group's task on this queue; raises what the broker raises."""
    current_app.send_task("delivery.fan_out", kwargs={"group": place.group}, queue=place.queue, retry=False)


def linger(group: int, seconds: float) -> bool:
    """Wait for a note at most this long, keeping the flag alive; True: there is work. Raises `redis.RedisError`."""
    client = valkey.client()
    client.set(_flag(group), "1", px=FLAG_MS)
    return client.blpop([_note(group)], timeout=seconds) is not None


def again(group: int) -> bool:
    """Come back to this group by a new task, the flag staying set; False when that cannot be published now."""
    waker = _the_waker()
    place = next((place for place in waker._map.values() if place.group == group), None)
    try:
        if place is None:
            return False
        valkey.client().set(_flag(group), "1", px=FLAG_MS)
        publish(place)
    except Exception as error:
        logger.info("a drain could not be continued by a task: %s", type(error).__name__)
        return False
    return True


def clear(group: int) -> None:
    """The drain has ended: whoever adds work from now on publishes a task."""
    try:
        valkey.client().delete(_flag(group), _note(group))
    except redis.RedisError:
        logger.debug("the flag could not be cleared; it will expire")
