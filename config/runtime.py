"""What runs in a web process beside Daphne: the intake, the host with its sockets, the watch over the backlog.

`start` is called on the event loop once it runs, `stop` on it before it ends.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg2
from django.conf import settings

from accounts import devices, revocations, tokens, users
from chat import sender
from chat.intake import Answer, Intake
from delivery import blocks, consumers, pending, registry
from delivery.acks import AckBook, Receipts
from delivery.frames import CloseCode
from delivery.host import Host
from delivery.lane import Lane
from delivery.registry import Facts
from delivery.services import Surroundings
from kernel import metrics, ports
from kernel.database import Cursor, Readers, Session
from kernel.errors import NotFound
from kernel.kept import with_kept_connection
from kernel.limits import PENDING_AGE_S, RECEIPTS_MS
from kernel.pacing import Pace
from messages import late, receipts

logger = logging.getLogger(__name__)

READERS = 3
# Who comes does not wait behind what those who are there have read.
HELLO_THREADS = 2
ORM_THREADS = 2
WATCH_S = 1.0
# A look takes at most one part of so many of the time, but the next one never waits for longer than this.
LOOKING_SHARE = 10
LONGEST_WATCH_S = 5.0
ACKS_S = 0.1


class Services:
    """What sockets need of the apps upstream (delivery.services.Services)."""

    def __init__(self, intake: Intake, readers: Readers, loop: asyncio.AbstractEventLoop) -> None:
        self._intake = intake
        self._readers = readers
        self._loop = loop
        self._hellos = ThreadPoolExecutor(HELLO_THREADS, thread_name_prefix="hello")
        self._orm = ThreadPoolExecutor(ORM_THREADS, thread_name_prefix="orm")
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def verify(self, token: str) -> tuple[UUID, UUID]:
        """See `services.Services.verify`."""
        principal = tokens.verify(token)
        return principal.user_id, principal.device_id

    async def welcome(self, *, user: UUID, device: UUID, client_name: str, client_version: str) -> None:
        """See `services.Services.welcome`."""
        await self._in(self._hellos, _welcome, user, device, client_name, client_version)

    def submit(self, messages: Sequence[Any], *, user: str, device: str, lane: Lane, ref: str | None) -> list[Answer]:
        """See `services.Services.submit`."""
        return sender.submit(self._intake, messages, user=user, device=device, lane=lane, ref=ref)

    async def read(self, *, user: UUID, device: UUID, room: UUID, seq: int) -> None:
        """See `services.Services.read`."""
        await self._in(self._orm, receipts.read, user, device, room, seq)

    async def reject(self, *, user: UUID, message: UUID, later: UUID) -> str:
        """See `services.Services.reject`."""
        rejection = await self._in(self._orm, late.reject, user, message, later)
        return str(rejection.reason)

    async def members(self, *, user: str, room: str) -> list[str]:
        """See `services.Services.members`."""
        return await self._readers.run(self._members, user, room)

    def _members(self, cursor: Cursor, user: str, room: str) -> list[str]:
        roster = self._intake.rosters.find(cursor, room)
        if roster is None or user not in roster.members:
            raise NotFound
        others = roster.members - {user}
        return sorted(others - blocks.silent(cursor, user, others, in_direct_room=roster.is_direct))

    def hint(self, users: Sequence[str], frame: dict[str, Any], *, exclude_device: UUID) -> None:
        """See `services.Services.hint`."""
        ports.hints.send([UUID(user) for user in users], frame, exclude_device=exclude_device)

    def call_soon(self, callback: Callable[[], None]) -> None:
        """See `services.Services.call_soon`: callbacks that come close together wake the loop once."""
        with self._lock:
            self._callbacks.append(callback)
            if len(self._callbacks) > 1:
                return
        self._loop.call_soon_threadsafe(self._call)

    def _call(self) -> None:
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            try:
                callback()
            except Exception:
                logger.exception("a socket's answers were lost; the others go on")

    async def _in(self, threads: ThreadPoolExecutor, fn: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(threads, with_kept_connection, fn, *args)

    def close(self) -> None:
        """Let the threads end."""
        for threads in (self._hellos, self._orm):
            threads.shutdown(wait=False, cancel_futures=True)


def _welcome(user: UUID, device: UUID, client_name: str, client_version: str) -> None:
    devices.seen(device, client_name, client_version)
    users.check_not_suspended(user)


class Watch(threading.Thread):
    """Looks about once a second whether the bound on pending deliveries is reached."""

    def __init__(self, intake: Intake) -> None:
        super().__init__(name="watch", daemon=True)
        self._intake = intake
        self._session = Session("watch")
        self._pace = Pace(share=LOOKING_SHARE, longest_s=LONGEST_WATCH_S)
        self._stopping = threading.Event()

    def run(self) -> None:
        """Watch until stopped."""
        while not self._stopping.wait(self._pace.pause_s(WATCH_S)):
            try:
                with self._pace.looking(), self._session.cursor() as cursor:
                    rows, age = pending.backlog(cursor, settings.MOST_PENDING)
                    self._intake.is_full = rows > settings.MOST_PENDING or age > PENDING_AGE_S
            except psycopg2.Error as error:
                logger.info("the backlog could not be counted: %s", type(error).__name__)
                self._session.close()
            except Exception:
                logger.exception("the watch over the backlog met an unexpected error and goes on")
                self._session.close()

    def stop(self) -> None:
        """End."""
        self._stopping.set()


class Runtime:
    """Everything of one web process, put together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.acks = AckBook()
        self.receipts = Receipts(ports.hints)
        self.intake = Intake(acks=self.acks, on_acked=self.receipts.owe)
        self.readers = Readers(READERS)
        self.services = Services(self.intake, self.readers, loop)
        self.host = Host(
            id=f"{settings.HOST_NAME}.{os.getpid()}",
            facts=Facts(url=settings.HOST_URL, capacity=settings.HOST_CAPACITY),
            registry=registry.current(),
            readers=self.readers,
        )
        self.watch = Watch(self.intake)
        self._loop = loop
        self._flushed = 0.0
        self._acked = 0.0

    def start(self) -> None:
        """Take sends and sockets from now on."""
        revocations.start()
        revocations.subscribe(self._revoked)
        revocations.subscribe_to_suspensions(self._suspended)
        self.intake.start()
        self.watch.start()
        self.host.start(self._tick)
        sender.bind(self.intake)
        consumers.bind(Surroundings(self.host, self.readers, self.acks, self.services))

    async def stop(self) -> None:
        """Move the users to other hosts, take nothing more, commit what came, hang up whoever is left."""
        await self.host.evacuate(settings.DRAIN_SECONDS)
        consumers.bind(None)
        sender.bind(None)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.intake.stop, 3.0)
        await self.host.stop(CloseCode.RESTART)
        self.watch.stop()
        self.services.close()
        self.readers.close()

    def _revoked(self, devices: Collection[UUID]) -> None:
        self._loop.call_soon_threadsafe(self.host.connected.close_devices, devices, CloseCode.UNAUTHENTICATED)

    def _suspended(self, users: Collection[UUID]) -> None:
        self._loop.call_soon_threadsafe(self.host.connected.close_users, users, CloseCode.FORBIDDEN)

    def _tick(self, now: float) -> None:
        """About ten times a second: how many sends wait is told; acks that no send has carried along are written, gathered receipts go out."""
        metrics.WAITING.set(self.intake.backlog)
        if now - self._acked >= ACKS_S and not self.acks.is_empty:
            self._acked = now
            self.intake.flush_acks()
        if now - self._flushed >= RECEIPTS_MS / 1000:
            self._flushed = now
            self.receipts.flush()


_runtime: Runtime | None = None


def start() -> None:
    """Start this process's runtime; called on the event loop."""
    global _runtime
    if _runtime is None:
        _runtime = Runtime(asyncio.get_running_loop())
        _runtime.start()


async def stop() -> None:
    """Stop it; called on the event loop."""
    global _runtime
    runtime, _runtime = _runtime, None
    if runtime is not None:
        await runtime.stop()


def problems() -> list[str]:
    """What this process lacks to do its work, for `/readyz`; empty when nothing."""
    if _runtime is None:
        return ["the runtime has not started"]
    found = []
    if not _runtime.intake.is_alive:
        found.append("the committer has ended")
    if not _runtime.watch.is_alive():
        found.append("the watch over the backlog has ended")
    found += _runtime.host.ended()
    if _runtime.intake.is_full:
        found.append("too many deliveries are pending")
    return found
