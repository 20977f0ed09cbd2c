"""Which devices were revoked lately: known in every process within two seconds.

An access token holds for ten minutes without a database being asked, so each process keeps the devices that were
revoked within that time (older tokens have expired by themselves). PostgreSQL has the truth and is polled each
second; Valkey only says "look now". So a revocation holds

- at once in the process that revoked the device (`add`),
- a few milliseconds later in the others, as long as Valkey passes the hint on,
- within about a second when Valkey is away, hangs or was wiped,
- and while PostgreSQL is away, nobody can be revoked, and what is known stays known.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID

import psycopg2
import redis
from django.conf import settings

from kernel import valkey
from kernel.database import Session
from kernel.ids import DeviceId

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
    SELECT id, extract(epoch FROM statement_timestamp() - revoked_at) FROM accounts_device
    WHERE revoked_at IS NOT NULL AND revoked_at > statement_timestamp() - %s * interval '1 second'
"""

Callback = Callable[[DeviceId], None]


class Revocations:
    """The devices revoked lately, and who wants to know. Thread-safe."""

    def __init__(self) -> None:
        # Device → when (monotonic) the last token it can hold has expired. Read without the lock.
        self._until: dict[UUID, float] = {}
        self._callbacks: list[Callback] = []
        self._lock = threading.Lock()
        self._look = threading.Event()
        self._started = False
        self._stopped = False

    def is_revoked(self, device_id: UUID) -> bool:
        """Whether this process knows the device to be revoked."""
        return device_id in self._until

    def subscribe(self, callback: Callback) -> None:
        """Have `callback` called once for each revocation that this process learns of, from whatever thread learns it.

        It must not block. A socket registers first and asks `is_revoked` after, so that nothing slips through between.
        """
        with self._lock:
            self._callbacks.append(callback)

    def add(self, device_id: DeviceId) -> None:
        """Refuse the device here from now on, and have the other processes look. Call after the commit."""
        self.learn(device_id, age_s=0.0)
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
        self._poll(session, KEEP_S)
        threading.Thread(target=self._follow, args=(session,), name="revocations", daemon=True).start()
        threading.Thread(target=self._listen, name="revocation-hints", daemon=True).start()

    def stop(self) -> None:
        """Let the threads end within two seconds or so."""
        self._stopped = True
        self._look.set()

    def _follow(self, session: Session) -> None:
        looked_at = full_look_at = -math.inf
        while not self._stopped:
            self._look.wait(POLL_S)
            self._look.clear()
            now = time.monotonic()
            full = now - full_look_at >= FULL_LOOK_S
            # After an outage, or when this process was frozen, the look reaches back over all of it.
            if self._poll(session, KEEP_S if full else min(KEEP_S, now - looked_at + OVERLAP_S)):
                looked_at = now
                full_look_at = now if full else full_look_at
            self.forget()
            time.sleep(_PAUSE_S)
        session.close()

    def _poll(self, session: Session, seconds: float) -> bool:
        """Read the revocations of the last seconds; False when PostgreSQL did not answer."""
        try:
            with session.cursor() as cursor:
                cursor.execute(_SELECT, (seconds,))
                rows = cursor.fetchall()
        except psycopg2.Error as error:
            logger.warning("cannot read revocations: %s", type(error).__name__)
            session.close()
            return False
        except Exception:
            # This thread must outlive everything: without it no revocation would be learnt again.
            logger.exception("reading revocations met an unexpected error and goes on")
            session.close()
            return False
        for device_id, age_s in rows:
            self.learn(DeviceId(UUID(str(device_id))), age_s=float(age_s))
        return True

    def learn(self, device_id: DeviceId, *, age_s: float) -> None:
        """Take up a revocation of `age_s` seconds ago, and tell the subscribers if it is new here."""
        with self._lock:
            if device_id in self._until:
                return
            self._until[device_id] = time.monotonic() + KEEP_S - age_s
            callbacks = tuple(self._callbacks)
        for callback in callbacks:
            try:
                callback(device_id)
            except Exception:
                # One subscriber's bug must not keep the others' sockets open.
                logger.exception("a subscriber to revocations failed")

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


_revocations = Revocations()
is_revoked = _revocations.is_revoked
subscribe = _revocations.subscribe
add = _revocations.add
start = _revocations.start
stop = _revocations.stop
