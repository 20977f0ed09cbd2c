"""Which devices were revoked and which users suspended lately: known in every process within two seconds.

An access token holds for ten minutes without a database being asked, so each process keeps the devices that were
revoked, and the users who were suspended, within that time (older tokens have expired by themselves). PostgreSQL has
the truth and is polled each second; Valkey only says "look now". So a revocation or suspension holds

- at once in the process that revoked the device (`add`),
- a few milliseconds later in the others, as long as Valkey passes the hint on,
- within about a second when Valkey is away, hangs or was wiped,
- and while PostgreSQL is away, nobody can be revoked or suspended, and what is known stays known.

A revocation is for good: what was learnt is kept until it no longer matters. A suspension can be lifted: each look reads
all the suspended of the last minutes, and whoever is not among them any more is let in again.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, TypeVar
from uuid import UUID

import psycopg2
import redis
from django.conf import settings

from kernel import clock, valkey
from kernel.database import Session
from kernel.ids import DeviceId, UserId

logger = logging.getLogger(__name__)

POLL_S: Final = 1.0
# The life of an access token (600 s), and a minute for clocks that differ and answers under way.
KEEP_S: Final = 660
# A revocation is visible only after its commit, but carries the time of its statement: each look goes back
# this far behind the newest one seen, and now and then over everything that counts.
OVERLAP_S: Final = 10
FULL_LOOK_S: Final = 30
# Hints within this time of a look are answered by one more look.
_PAUSE_S: Final = 0.02

_CHANNEL: Final = "revoked"
_SELECT: Final = """
    SELECT true, id, extract(epoch FROM statement_timestamp() - revoked_at) FROM accounts_device
    WHERE revoked_at IS NOT NULL AND revoked_at > statement_timestamp() - %s * interval '1 second'
    UNION ALL
    SELECT false, id, 0 FROM accounts_user
    WHERE suspended_at IS NOT NULL AND suspended_at > statement_timestamp() - %s * interval '1 second'
"""

_TIME: Final = "SELECT extract(epoch FROM clock_timestamp())::float8"

Id = TypeVar("Id", DeviceId, UserId)
Callback = Callable[[Collection[DeviceId]], None]
UserCallback = Callable[[Collection[UserId]], None]


class Revocations:
    """The devices revoked and the users suspended lately, and who wants to know. Thread-safe."""

    def __init__(self) -> None:
        # Device → when (monotonic) the last token it can hold has expired. Read without the lock.
        self._until: dict[UUID, float] = {}
        self._callbacks: list[Callback] = []
        # As of the last look. Replaced, never changed; read without the lock.
        self._suspended: frozenset[UserId] = frozenset()
        self._user_callbacks: list[UserCallback] = []
        self._lock = threading.Lock()
        self._look = threading.Event()
        self._started = False
        self._stopped = False

    def is_revoked(self, device_id: UUID) -> bool:
        """Whether this process knows the device to be revoked."""
        return device_id in self._until

    def is_suspended(self, user_id: UUID) -> bool:
        """Whether this process knows the user to have been suspended within the life of a token, and not restored."""
        return user_id in self._suspended

    def subscribe(self, callback: Callback) -> None:
        """Have `callback` called with the devices of whose revocation this process learns: each once, all of one look together.

        It is called from whatever thread learns it, and must not block. A socket registers first and asks `is_revoked` after,
        so that nothing slips through between.
        """
        with self._lock:
            self._callbacks.append(callback)

    def subscribe_to_suspensions(self, callback: UserCallback) -> None:
        """The same for suspensions."""
        with self._lock:
            self._user_callbacks.append(callback)

    def add(self, device_id: DeviceId) -> None:
        """Refuse the device here from now on, and have the other processes look. Call after the commit."""
        self.learn({device_id: 0.0})
        self.look()

    def look(self) -> None:
        """Have every process look now, this one too. Call after the commit."""
        self._look.set()
        try:
            valkey.client().publish(valkey.key(_CHANNEL), b"look")
        except redis.RedisError:
            logger.debug("no hint of a revocation: Valkey is away; the others poll")

    def start(self) -> None:
        """Load what was revoked lately, then follow. Called once by each process that checks tokens; returns within seconds."""
        with self._lock:
            if self._started:
                return
            self._started = True
        session = Session("revocations", statement_timeout="2000")
        now = time.monotonic()
        looked_at = now if self._poll(session, KEEP_S) else now - KEEP_S
        threading.Thread(target=self._follow, args=(session, looked_at), name="revocations", daemon=True).start()
        threading.Thread(target=self._listen, name="revocation-hints", daemon=True).start()

    def stop(self) -> None:
        """Let the threads end within two seconds or so."""
        self._stopped = True
        self._look.set()

    def _follow(self, session: Session, looked_at: float) -> None:
        full_look_at = -math.inf
        while not self._stopped:
            self._look.wait(POLL_S)
            self._look.clear()
            now = time.monotonic()
            full = now - full_look_at >= FULL_LOOK_S
            # After an outage, or when this process was frozen, the look reaches back over all of it: tokens have expired by
            # themselves meanwhile, sockets have not.
            missed = now - looked_at + OVERLAP_S
            if self._poll(session, max(KEEP_S, missed) if full else missed):
                looked_at = now
                full_look_at = now if full else full_look_at
            self.forget()
            time.sleep(_PAUSE_S)
        session.close()

    def _poll(self, session: Session, seconds: float) -> bool:
        """Read the revocations of the last seconds, and who is suspended; False when PostgreSQL did not answer."""
        try:
            with session.cursor() as cursor:
                cursor.execute(_SELECT, (seconds, max(KEEP_S, seconds)))
                rows = cursor.fetchall()
                # Who checks tokens must know what time it is for everybody.
                asked = time.monotonic()
                cursor.execute(_TIME)
                (time_s,) = cursor.fetchone() or (0.0,)
                clock.heard(time_s, asked=asked, answered=time.monotonic())
        except psycopg2.Error as error:
            logger.warning("cannot read revocations: %s", type(error).__name__)
            session.close()
            return False
        except Exception:
            # This thread must outlive everything: without it no revocation would be learnt again.
            logger.exception("reading revocations met an unexpected error and goes on")
            session.close()
            return False
        revoked: dict[DeviceId, float] = {}
        suspended: list[UserId] = []
        for is_device, id, age_s in rows:
            if is_device:
                revoked[DeviceId(UUID(str(id)))] = float(age_s)
            else:
                suspended.append(UserId(UUID(str(id))))
        self.learn(revoked)
        self._found_suspended(frozenset(suspended))
        return True

    def learn(self, revoked: Mapping[DeviceId, float]) -> None:
        """Take up revocations of so many seconds ago, and tell the subscribers which are new here."""
        now = time.monotonic()
        with self._lock:
            new = [device_id for device_id in revoked if device_id not in self._until]
            self._until.update((device_id, now + KEEP_S - revoked[device_id]) for device_id in new)
            callbacks = tuple(self._callbacks)
        _tell(callbacks, new)

    def _found_suspended(self, users: frozenset[UserId]) -> None:
        """Take up what a look has found, and tell the subscribers who is new."""
        with self._lock:
            new, self._suspended = users - self._suspended, users
            callbacks = tuple(self._user_callbacks)
        _tell(callbacks, new)

    def forget(self) -> None:
        """Drop the devices whose last token has expired by now."""
        now = time.monotonic()
        with self._lock:
            for device_id in [device_id for device_id, until in self._until.items() if until < now]:
                del self._until[device_id]

    def _listen(self) -> None:
        """Wait for hints; whatever goes wrong with Valkey costs speed only."""
        while not self._stopped:
            try:
                # A connection of its own: a subscriber waits, and the shared client's time-outs are for commands.
                with valkey.connect(settings.VALKEY_URL, timeout=5.0).pubsub(ignore_subscribe_messages=True) as hints:
                    hints.subscribe(valkey.key(_CHANNEL))
                    self._look.set()
                    while not self._stopped:
                        if hints.get_message(timeout=1.0) is not None:
                            self._look.set()
            except (redis.RedisError, OSError, ValueError):
                time.sleep(POLL_S)


def _tell(callbacks: Iterable[Callable[[Collection[Id]], None]], ids: Collection[Id]) -> None:
    if not ids:
        return
    for callback in callbacks:
        try:
            callback(ids)
        except Exception:
            # One subscriber's bug must not keep the others' sockets open.
            logger.exception("a subscriber to revocations failed")


_revocations = Revocations()
is_revoked = _revocations.is_revoked
is_suspended = _revocations.is_suspended
subscribe = _revocations.subscribe
subscribe_to_suspensions = _revocations.subscribe_to_suspensions
add = _revocations.add
look = _revocations.look
start = _revocations.start
stop = _revocations.stop
