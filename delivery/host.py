"""One web process as a host: its sockets, its receiver on the channel layer, its lease, and its regular look at the truth.

A push is used by a session only if it continues what was sent; so losing, doubling or reordering pushes harms nothing.
Because the last push before a silence can be lost as well, the newest numbers of all connected users are compared with
PostgreSQL every few seconds, and at once when the channel layer comes back.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol
from uuid import UUID

from channels.layers import get_channel_layer

from delivery import measuring
from delivery.push import HOSTS_KEPT_S, group_of
from delivery.registry import Registry, RegistryAway
from kernel import metrics
from kernel.database import Readers
from kernel.entries import Entry, Origin
from messages import log

logger = logging.getLogger(__name__)

BEAT_S = 1.0
SILENT_S = 3.0  # without a beat of our own through the layer: it is down
DEAF_S = 10.0  # the same although publishing works: subscribe anew
COMPARE_S = 4.0
RENEW_S = 2.0
COMPARE_USERS = 5_000


class Socket(Protocol):
    """What the host does with a socket."""

    user: str
    device: str

    def pushed(self, batch: list[Entry]) -> None:
        """Entries came from a drain."""

    def known(self, last_seq: int) -> None:
        """The mailbox's newest number."""

    def ticked(self, now: float) -> None:
        """About once a second."""

    def hint(self, text: str) -> None:
        """A live frame, ready to send."""

    def hang_up(self, code: int) -> None:
        """Close it."""

    async def flush(self) -> None:
        """Send what the calls above have put out."""


class Host:
    """This process's sockets by user, and the tasks that serve them. Everything runs on the event loop."""

    def __init__(self, *, id: str, facts: Mapping[str, object], registry: Registry, readers: Readers) -> None:
        self.id = id
        self._facts = facts
        self._registry = registry
        self._readers = readers
        self._sockets: dict[str, set[Socket]] = {}
        # Users whose route is known to be published; more may be.
        self._routed: set[str] = set()
        self._count = 0
        self._tasks: list[asyncio.Task[None]] = []
        # The loop keeps only weak references to its tasks.
        self._flushes: set[asyncio.Future[None]] = set()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="registry")
        self._beaten = 0.0
        self.layer_is_up = False

    def start(self, on_tick: Callable[[float], None]) -> None:
        """Begin to receive, renew and compare. `on_tick` is called about ten times a second."""
        self._joined = time.monotonic()
        self._receiver = asyncio.create_task(self._receive(), name="the receiver of pushes")
        for name, work in (
            ("the beat", self._beat()),
            ("the tick", self._tick(on_tick)),
            ("the comparison", self._compare()),
            ("the lease's renewal", self._renew()),
        ):
            self._tasks.append(asyncio.create_task(work, name=name))

    async def stop(self, code: int) -> None:
        """Tell every socket to come back elsewhere, and give up the lease."""
        for task in [*self._tasks, self._receiver]:
            task.cancel()
        for socket in list(self._all()):
            socket.hang_up(code)
            await socket.flush()
        try:
            await self._in_thread(self._registry.leave, self.id)
        except RegistryAway:
            logger.debug("the lease will expire by itself")

    @property
    def load(self) -> int:
        """How many sockets there are."""
        return self._count

    async def enter(self, socket: Socket) -> None:
        """Register the socket and its route; to be awaited before the first mailbox read."""
        sockets = self._sockets.setdefault(socket.user, set())
        sockets.add(socket)
        self._count += 1
        metrics.SOCKETS.set(self._count)
        metrics.SOCKETS_OPENED.inc()
        if socket.user not in self._routed:
            try:
                await self._in_thread(lambda: self._registry.route(self.id, add=[socket.user]))
                if socket.user in self._sockets:
                    self._routed.add(socket.user)
            except RegistryAway:
                logger.debug("no route for now; the renewal publishes it")

    def leave(self, socket: Socket) -> None:
        """Forget the socket, and the route with the user's last one."""
        sockets = self._sockets.get(socket.user)
        if sockets is None or socket not in sockets:
            return
        sockets.discard(socket)
        self._count -= 1
        metrics.SOCKETS.set(self._count)
        if not sockets:
            del self._sockets[socket.user]
            self._routed.discard(socket.user)
            self._threads.submit(self._unroute, socket.user)

    def _unroute(self, user: str) -> None:
        # A socket of the user may have come in the meantime: its route was added before, and must stay.
        if user in self._sockets:
            return
        try:
            self._registry.route(self.id, remove=[user])
            if user in self._sockets:
                self._registry.route(self.id, add=[user])
        except RegistryAway:
            logger.debug("a route stays until the lease ends")

    def close_device(self, device: UUID, code: int) -> None:
        """Hang up every socket of this device (it was revoked)."""
        text = str(device)
        self._close([socket for socket in self._all() if socket.device == text], code)

    def close_user(self, user: UUID, code: int) -> None:
        """Hang up every socket of this user (who was suspended)."""
        self._close(list(self._sockets.get(str(user), ())), code)

    def _close(self, sockets: Iterable[Socket], code: int) -> None:
        for socket in sockets:
            socket.hang_up(code)
            self._flushes.add(flush := asyncio.ensure_future(socket.flush()))
            flush.add_done_callback(self._flushes.discard)

    def _all(self) -> Iterable[Socket]:
        return [socket for sockets in self._sockets.values() for socket in sockets]

    async def _in_thread(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn, *args)

    # --- pushes ------------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        """Take what comes through the channel layer, for ever."""
        while True:
            try:
                layer: Any = get_channel_layer()
                channel = await layer.new_channel("host.")
                await layer.group_add(group_of(self.id), channel)
                while True:
                    await self._survive(self._handle(await layer.receive(channel)))
            except asyncio.CancelledError:
                raise
            except Exception as error:
                logger.info("the channel layer is away: %s", type(error).__name__)
                await asyncio.sleep(0.5)

    async def _survive(self, work: Awaitable[None]) -> None:
        """Do it; what is unexpected is logged and ends no task that serves everybody.

        A receiver that began anew would leave its old channel in the layer, which nobody reads and which grows for ever.
        """
        try:
            await work
        except Exception:
            logger.exception("one turn of the host's work failed; it goes on")

    async def _handle(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "push":
                await self._push(message)
            case "hints":
                await self._hints(message)
            case "beat":
                self._beaten = time.monotonic()
                if not self.layer_is_up:
                    self.layer_is_up = True
                    await self._compare_once()

    async def _push(self, message: Mapping[str, Any]) -> None:
        texts = message["texts"]
        origins = [None if origin is None else Origin(*origin) for origin in message["origins"]]
        entries: dict[str, list[Entry]] = {}
        for user, seq, index in message["to"]:
            if user in self._sockets:
                entries.setdefault(user, []).append(Entry(seq, texts[index], origins[index]))
        measuring.received(entries)
        for user, batch in entries.items():
            for socket in tuple(self._sockets.get(user, ())):
                socket.pushed(batch)
                await socket.flush()

    async def _hints(self, message: Mapping[str, Any]) -> None:
        for users, text, exclude in message["hints"]:
            for user in users:
                for socket in tuple(self._sockets.get(user, ())):
                    if socket.device != exclude:
                        socket.hint(text)
                        await socket.flush()

    # --- the regular tasks ---------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Send ourselves a beat through the layer: what does not come back is a layer that is down."""
        while True:
            published = False
            try:
                layer: Any = get_channel_layer()
                async with asyncio.timeout(1.0):
                    await layer.group_send(group_of(self.id), {"type": "beat"})
            except Exception as error:
                logger.debug("no beat: %s", type(error).__name__)
            else:
                published = True
            silent = time.monotonic() - max(self._beaten, self._joined)
            if silent > SILENT_S:
                self.layer_is_up = False
            if published and silent > DEAF_S:
                # What we publish arrives and does not come back: our subscription is a connection that nobody serves.
                await self._survive(self._rejoin())
            await asyncio.sleep(BEAT_S)

    async def _rejoin(self) -> None:
        """Give up the layer's connections and subscribe anew."""
        logger.warning("the channel layer is deaf; subscribing anew")
        self._joined = time.monotonic()
        self._receiver.cancel()
        layer: Any = get_channel_layer()
        await layer.flush()
        self._receiver = asyncio.create_task(self._receive(), name="the receiver of pushes")

    def ended(self) -> list[str]:
        """What should run for ever and does not, for `/readyz`."""
        running = [self._receiver, *self._tasks] if self._tasks else []
        return [f"{task.get_name()} has ended" for task in running if task.done()]

    async def _tick(self, on_tick: Callable[[float], None]) -> None:
        last = 0.0
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            is_second = now - last >= 1.0
            last = now if is_second else last
            await self._survive(self._ticked(on_tick, now, is_second))

    async def _ticked(self, on_tick: Callable[[float], None], now: float, is_second: bool) -> None:
        on_tick(now)
        if is_second:
            for socket in self._all():
                socket.ticked(now)
                await socket.flush()

    async def _compare(self) -> None:
        """Every few seconds, and every second while the layer is down."""
        while True:
            await asyncio.sleep(random.uniform(0.75, 1.25) * (COMPARE_S if self.layer_is_up else 1.0))
            await self._survive(self._compare_once())

    async def _compare_once(self) -> None:
        users = list(self._sockets)
        for start in range(0, len(users), COMPARE_USERS):
            try:
                newest = await self._readers.run(log.last_seqs, users[start : start + COMPARE_USERS])
            except Exception as error:
                logger.info("the newest numbers could not be read: %s", type(error).__name__)
                return
            for user, last_seq in newest.items():
                for socket in tuple(self._sockets.get(user, ())):
                    socket.known(last_seq)
                    await socket.flush()

    async def _renew(self) -> None:
        """Keep the lease; publish the routes that are missing, all of them when it had vanished."""
        while True:
            try:
                if not await self._in_thread(self._registry.renew, self.id, {**self._facts, "load": self._count}):
                    self._routed.clear()
                if missing := self._sockets.keys() - self._routed:
                    await self._in_thread(lambda: self._registry.route(self.id, add=missing))
                    self._routed |= missing & self._sockets.keys()
                    # Pushes of the time without routes went nowhere; workers may not know this host for a moment yet.
                    await self._compare_once()
                    await asyncio.sleep(HOSTS_KEPT_S + 0.2)
                    await self._compare_once()
            except RegistryAway:
                logger.debug("the lease could not be renewed")
            except Exception:
                logger.exception("the lease could not be renewed")
            await asyncio.sleep(RENEW_S)
