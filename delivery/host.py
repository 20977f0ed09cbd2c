"""One web process as a host: its sockets, its receiver on the channel layer, its lease, and its regular look at the truth.

A push is used by a session only if it continues what was sent; so losing, doubling or reordering pushes harms nothing.
Because the last push before a silence can be lost as well, the newest numbers of all connected users are compared with
PostgreSQL every few seconds, and at once when the channel layer comes back.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

from channels.layers import get_channel_layer

from delivery import frames, measuring
from delivery.evacuation import Evacuation
from delivery.push import HOSTS_KEPT_S, group_of
from delivery.registry import Facts, NoHost, Registry, RegistryAway
from delivery.routes import Routes
from delivery.sockets import AT_ONCE, Socket, Sockets
from kernel import clock, metrics
from kernel.database import Readers
from kernel.entries import Entry, origin
from messages import log

logger = logging.getLogger(__name__)

BEAT_S = 1.0
SILENT_S = 3.0  # without a beat of our own through the layer: it is down
DEAF_S = 10.0  # the same although publishing works: subscribe anew
COMPARE_S = 4.0
RENEW_S = 1.0
# What a socket that is hung up because the process ends is told to wait, so that all do not come back at once.
AWAY_MS = 2_000
# A push that took longer (a frozen worker, a frozen host) may have been overtaken by a block that was answered meanwhile.
LATE_S = 2.0
COMPARE_USERS = 5_000
COMPARE_STEP = 100


class Host:
    """This process's sockets by user, and the tasks that serve them. Everything runs on the event loop."""

    def __init__(self, *, id: str, facts: Facts, registry: Registry, readers: Readers) -> None:
        self.id = id
        self._facts = facts
        self._registry = registry
        self._evacuation: Evacuation | None = None
        self._readers = readers
        self.connected = Sockets()
        self._tasks: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="registry")
        self._routes = Routes(host=id, registry=registry, threads=self._threads, here=self.connected.by_user.keys())
        self._beaten = 0.0
        # Somebody wants to know the newest numbers now.
        self._to_compare = asyncio.Event()
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
        self._end_evacuation()
        for task in [*self._tasks, self._receiver]:
            task.cancel()
        # Whoever is still here was not told where to go: not at once, that is all we know.
        hint = frames.reconnect(url=None, after_ms=AWAY_MS)
        for socket in self.connected.all():
            socket.hint(hint)
            socket.hang_up(code)
            await socket.flush()
        try:
            await self._in_thread(self._registry.leave, self.id)
        except RegistryAway:
            logger.debug("the lease will expire by itself")

    @property
    def load(self) -> int:
        """How many sockets there are."""
        return self.connected.count

    @property
    def is_draining(self) -> bool:
        """Whether the users are being moved away."""
        return self._evacuation is not None

    def sockets(self) -> Mapping[str, Iterable[Socket]]:
        """The sockets by user; do not keep it."""
        return self.connected.by_user

    async def place_of(self, user: str) -> str | None:
        """The URL of the host where this user should go, None when there is none. Raises `RegistryAway`."""
        try:
            place = await self._in_thread(self._registry.assign, user)
        except NoHost:
            return None
        return None if place.host == self.id else place.url

    # --- being emptied ---------------------------------------------------------------------------------------------------

    async def evacuate(self, seconds: float) -> None:
        """Take nobody more and move everybody away within these seconds, wherever to; before the process ends."""
        self._end_evacuation()
        self._evacuation = Evacuation(self, seconds, is_last=True)
        try:
            await self._in_thread(self._registry.renew, self.id, self._facts_now())
        except RegistryAway:
            logger.debug("nobody can be told that this host goes; sockets are told one by one")
        await self._evacuation.done()

    def _drain(self, seconds: float | None) -> None:
        """What the registry says: empty yourself, or go on taking users."""
        if seconds is None:
            if self._evacuation is not None and not self._evacuation.is_last:
                logger.warning("this host takes users again")
                self._end_evacuation()
        elif (before := self._evacuation) is None or (not before.is_last and before.seconds != seconds):
            logger.warning("this host is emptied within %.0f s", seconds)
            self._end_evacuation()
            self._evacuation = Evacuation(self, seconds, before=before)

    def _end_evacuation(self) -> None:
        if self._evacuation is not None:
            self._evacuation.cancel()
            self._evacuation = None

    def _facts_now(self) -> Facts:
        ordered = None if self._evacuation is None or self._evacuation.is_last else self._evacuation.seconds
        return replace(self._facts, sockets=self.load, draining=self.is_draining, drain_s=ordered)

    async def enter(self, socket: Socket) -> None:
        """Register the socket and its route; to be awaited before the first mailbox read."""
        self.connected.add(socket)
        metrics.SOCKETS.set(self.load)
        metrics.SOCKETS_OPENED.inc()
        if socket.user not in self._routes:
            await self._routes.came({socket.user})

    def leave(self, socket: Socket) -> None:
        """Forget the socket, and the route with the user's last one."""
        is_users_last = self.connected.remove(socket)
        metrics.SOCKETS.set(self.load)
        if is_users_last:
            self._routes.left(socket.user)

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
                    # What has come meanwhile is there at once; what was given to sockets must go first.
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                logger.info("the channel layer is away: %s", type(error).__name__)
                await self._survive(self._forget_channels())
                await asyncio.sleep(0.5)

    async def _forget_channels(self) -> None:
        """What the layer has begun to gather for us would be read by nobody, and grow for ever."""
        layer: Any = get_channel_layer()
        with suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await layer.flush()

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
                    self._to_compare.set()

    async def _push(self, message: Mapping[str, Any]) -> None:
        texts = message["texts"]
        origins = [None if given is None else origin(*given) for given in message["origins"]]
        entries: dict[str, list[Entry]] = {}
        for user, seq, index in message["to"]:
            if user in self.connected.by_user:
                entries.setdefault(user, []).append(Entry(seq, texts[index], origins[index]))
        measuring.received(entries)
        # Its mailbox is asked instead, which reads blocks. Workers of the version before say no time.
        is_late = clock.now() - message.get("taken_at", math.inf) > LATE_S
        served = 0
        for user, batch in entries.items():
            for socket in tuple(self.connected.by_user.get(user, ())):
                if is_late:
                    socket.known(batch[-1].seq)
                else:
                    socket.pushed(batch)
                await socket.flush()
                served += 1
                if served % AT_ONCE == 0:
                    # Nothing above waits for anything: without a turn for the network, a batch would lie here once for each socket.
                    await asyncio.sleep(0)

    async def _hints(self, message: Mapping[str, Any]) -> None:
        for users, text, exclude in message["hints"]:
            for user in users:
                for socket in tuple(self.connected.by_user.get(user, ())):
                    if socket.device != exclude:
                        socket.hint(text)
                        await socket.flush()

    # --- the regular tasks ---------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        """Send ourselves a beat through the layer: what does not come back is a layer that is down."""
        published = False
        while True:
            # What was published just now cannot have come back yet.
            silent, had_published = time.monotonic() - max(self._beaten, self._joined), published
            published = False
            try:
                layer: Any = get_channel_layer()
                async with asyncio.timeout(1.0):
                    await layer.group_send(group_of(self.id), {"type": "beat"})
            except Exception as error:
                logger.debug("no beat: %s", type(error).__name__)
            else:
                published = True
            if silent > SILENT_S and self.layer_is_up:
                self.layer_is_up = False
                # Pushes are lost since, and the comparison under way would wait for seconds yet.
                self._to_compare.set()
            if published and had_published and silent > DEAF_S:
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
        """Tick ten times a second. A tenth of the sockets has its turn each time, so that no message waits for all of them."""
        waiting: list[Socket] = []
        share, began = 0, 0.0
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            if not waiting and now - began >= 1.0:
                waiting, began = self.connected.all(), now
                share = -(-len(waiting) // 10)
            turn, waiting = waiting[:share], waiting[share:]
            await self._survive(self._ticked(on_tick, now, turn))

    async def _ticked(self, on_tick: Callable[[float], None], now: float, turn: Iterable[Socket]) -> None:
        on_tick(now)
        for socket in turn:
            socket.ticked(now)
            await socket.flush()

    async def _compare(self) -> None:
        """Every few seconds, every second while the layer is down, and when it is asked for.

        A task of its own: neither pushes nor the lease may wait for PostgreSQL.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.75, 1.25) * (COMPARE_S if self.layer_is_up else 1.0)):
                    await self._to_compare.wait()
            self._to_compare.clear()
            await self._survive(self._compare_once())

    async def _compare_once(self) -> None:
        users = list(self.connected.by_user)
        for start in range(0, len(users), COMPARE_USERS):
            try:
                newest = await self._readers.run(log.last_seqs, users[start : start + COMPARE_USERS])
            except Exception as error:
                logger.info("the newest numbers could not be read: %s", type(error).__name__)
                return
            for number, (user, last_seq) in enumerate(newest.items()):
                for socket in tuple(self.connected.by_user.get(user, ())):
                    socket.known(last_seq)
                    await socket.flush()
                if number % COMPARE_STEP == 0:
                    await asyncio.sleep(0)  # what has just come goes first

    async def _renew(self) -> None:
        """Keep the lease; publish the routes that are missing, all of them when it had vanished."""
        has_begun, was_answered = False, True
        while True:
            try:
                if not has_begun:
                    # What an earlier process of this name and number has left: in a container each has the same.
                    await self._in_thread(self._registry.leave, self.id)
                    has_begun = True
                is_known, drain_s = await self._in_thread(self._registry.renew, self.id, self._facts_now())
                self._drain(drain_s)
                # What was asked without an answer may have renewed what had vanished, and then nobody says so again.
                is_known, was_answered = is_known and was_answered, True
                if await self._routes.renewed(is_known=is_known) or not is_known:
                    # Pushes of the time without routes went nowhere; workers may not know this host for a moment yet.
                    self._to_compare.set()
                    asyncio.get_running_loop().call_later(HOSTS_KEPT_S + 0.2, self._to_compare.set)
            except RegistryAway:
                was_answered = False
                logger.debug("the lease could not be renewed")
            except Exception:
                was_answered = False
                logger.exception("the lease could not be renewed")
            await asyncio.sleep(RENEW_S)
