"""Keeping the user's connections in step with the server, over REST (protocol §5.2, §5.3).

    in step:  page through what is missing  →  report what is stored
    changes:  what the user pressed, in order per person  →  made | a question to the user | given up

Both go on by themselves while the device is online, and are woken by whatever gives them something to do.
"""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from client.connections.copy import Copy
from client.errors import (
    ChangeConflict,
    ChangeRefused,
    DevicesLag,
    LetterlockError,
    MalformedFrame,
    Refused,
    SignedOut,
)
from client.events import ChangeFailed, ChangeMade, Hub
from client.protocol.backoff import Backoff
from client.protocol.book import Reports, Run
from client.protocol.changes import Change, Conflict, Lag, change_fields, conflict_of, decode_changed, lag_of
from client.protocol.ids import DeviceId
from client.protocol.problems import Problem
from client.protocol.relations import Relation, decode_relations_page
from client.session import Session
from client.store import Store

logger = logging.getLogger("letterlock.client")

# How often lifting a block is tried while other devices lag: nobody tells this one when they have stored it.
LAG_S, LAG_MOST_S = 2.0, 60.0

OnConflict = Callable[[Conflict], Awaitable[Literal["confirm", "drop"]]]
OnLag = Callable[[Lag], Awaitable[Literal["wait", "drop"]]]

Q = TypeVar("Q")


class Syncer:
    """Reads what this device lacks, and tells the server what it has."""

    def __init__(self, store: Store, session: Session, copy: Copy) -> None:
        self._store = store
        self._session = session
        self._copy = copy
        self._lock = asyncio.Lock()
        self._reports: tuple[DeviceId, Reports] | None = None
        self._wanted = False
        self._knows_limits = False
        self.awake = asyncio.Event()

    def want(self) -> None:
        """Look on the server for what is new, even if no entry says that something is."""
        self._wanted = True
        self._report().stored(time.monotonic(), at_once=True)
        self.awake.set()

    def stored(self, *, a_block: bool) -> None:
        """Something is stored that the server should hear of."""
        if self._session.is_signed_in:
            self._report().stored(time.monotonic(), at_once=a_block)
        self.awake.set()

    def _report(self) -> Reports:
        device = self._session.signed_in.device
        if self._reports is None or self._reports[0] != device:
            self._reports = device, Reports(self._store.connections.reported(device))
        return self._reports[1]

    async def step(self) -> float:
        """Do what is due; when more will be."""
        async with self._lock:
            if self._wanted or self._store.connections.progress().is_behind:
                await self._page()
            due_at = self._report().due_at(self._store.connections.progress().version)
            if due_at <= time.monotonic():
                await self._tell()
                return 0.0
            return due_at - time.monotonic()

    async def finish(self) -> None:
        """Page and report now."""
        async with self._lock:
            await self._page()
            await self._tell()

    async def tell_missed(self) -> None:
        """After entries that came without a connection: close a gap, and report."""
        async with self._lock:
            if self._store.connections.progress().is_behind:
                await self._page()
            await self._tell()

    async def _page(self) -> None:
        self._wanted = False
        try:
            if not self._knows_limits:
                limits = await self._session.request("GET", "limits")
                discloses = limits.get("disclose_blocks") if isinstance(limits, dict) else None
                self._store.connections.learn(discloses_blocks=discloses if isinstance(discloses, bool) else None)
                self._knows_limits = True
            run: Run | None = Run(self._store.connections.progress().version)
            while run is not None:
                since = run.since
                page = decode_relations_page(await self._session.request("GET", f"connections?since={since}"))
                run = self._copy.paged(run, since, page)
                if run is not None and run.since <= since:
                    raise MalformedFrame("the pages of connections do not go on")
        except BaseException:
            self._wanted = True
            raise

    async def _tell(self) -> None:
        reports, device = self._report(), self._session.signed_in.device
        version = self._store.connections.progress().version
        if version <= reports.told:
            return
        reports.begins()
        # What is claimed here must not be lost with the power: enforcement goes by it.
        self._store.connections.to_the_disk()
        try:
            await self._session.request("POST", "connections/synced", {"version": version}, repeat=True)
        except BaseException:
            reports.failed(time.monotonic())
            raise
        reports.arrived(version)
        self._store.connections.report(device, version)


class Changes:
    """Sends what the user pressed, and asks the user back where the server wants that."""

    def __init__(
        self, store: Store, session: Session, copy: Copy, hub: Hub, syncer: Syncer, on_conflict: OnConflict | None,
        on_lag: OnLag | None,
    ) -> None:  # fmt: skip
        self._store = store.connections
        self._session = session
        self._copy = copy
        self._hub = hub
        self._syncer = syncer
        self._on_conflict = on_conflict
        self._on_lag = on_lag
        self._lock = asyncio.Lock()
        self._tickets: dict[int, asyncio.Future[Relation]] = {}
        self._asking: dict[int, asyncio.Task[None]] = {}
        self._waiting: dict[int, tuple[Lag, float, Backoff]] = {}  # until when, for those who lag
        self.awake = asyncio.Event()

    def ticket(self, change: Change) -> asyncio.Future[Relation]:
        """What tells of the end of a change."""
        self.awake.set()
        return self._tickets.setdefault(change.position, asyncio.get_running_loop().create_future())

    async def step(self) -> float:
        """Send what may go; when more may."""
        async with self._lock:
            while (change := self._next()) is not None:
                await self._send(change)
            times = (until for _, until, _ in self._waiting.values())
            return max(0.0, min(times, default=math.inf) - time.monotonic())

    async def finish(self) -> None:
        """Send everything, and wait while the user is asked; what waits for lagging devices stays."""
        await self.step()
        while self._asking:
            await asyncio.wait(list(self._asking.values()))
            await self.step()

    async def close(self) -> None:
        """Ask nobody any more; what was asked is asked again the next time."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _next(self) -> Change | None:
        now, held = time.monotonic(), set[str]()
        for change in self._store.changes():
            waits = change.position in self._waiting and self._waiting[change.position][1] > now
            if change.target in held or change.position in self._asking or waits:
                held.add(change.target)
            else:
                return change
        return None

    async def _send(self, change: Change) -> None:
        try:
            answer = await self._session.request("POST", "connections", change_fields(change), repeat=True)
        except Refused as refusal:
            if refusal.problem.may_retry:
                raise
            self._refused(change, refusal.problem)
            return
        relation, version = decode_changed(answer)
        self._waiting.pop(change.position, None)
        self._copy.made(change, relation, version, self._session.signed_in.device)
        if (ticket := self._tickets.pop(change.position, None)) is not None and not ticket.done():
            ticket.set_result(relation)
        self._hub.tell(ChangeMade(change, relation))

    def _refused(self, change: Change, problem: Problem) -> None:
        if problem.code == "connection_changed":
            conflict = conflict_of(change, problem)
            self._copy.conflicted(conflict)
            self._ask(change, lambda: self._settle_conflict(conflict, problem))
        elif problem.code == "devices_lag":
            lag = lag_of(change, problem)
            self._ask(change, lambda: self._settle_lag(lag, problem))
        else:
            self._give_up(ChangeRefused(problem, change))

    def _ask(self, change: Change, settle: Callable[[], Awaitable[None]]) -> None:
        """Ask in a task of its own: others are not kept waiting for what this is about."""

        async def ask() -> None:
            try:
                await settle()
            except LetterlockError as error:
                logger.info("asked again later: %s", error)
            finally:
                self._asking.pop(change.position, None)
                self.awake.set()

        self._asking[change.position] = asyncio.create_task(ask())

    async def _settle_conflict(self, conflict: Conflict, problem: Problem) -> None:
        if await _answer(self._on_conflict, conflict) == "confirm":
            self._store.rebase(conflict.change, conflict.version)
        else:
            self._give_up(ChangeConflict(problem, conflict))

    async def _settle_lag(self, lag: Lag, problem: Problem) -> None:
        before, _, backoff = self._waiting.get(lag.change.position, (None, 0.0, Backoff()))
        me = self._session.signed_in.device
        if any(device.id == me for device in lag.devices):
            # This device did not know of the block when the button was pressed. It does now, and so does its user.
            await self._syncer.finish()
            if await _answer(self._on_lag, lag) != "wait":
                self._give_up(DevicesLag(problem, lag))
                return
            self._store.rebase(lag.change, self._store.progress().version)
        # Asked again only when others lag than the time before.
        elif (before is None or before.devices != lag.devices) and await _answer(self._on_lag, lag) != "wait":
            self._give_up(DevicesLag(problem, lag))
            return
        delay = max(min(LAG_S * 2 ** min(backoff.failures, 10), LAG_MOST_S), problem.retry_after or 0.0)
        self._waiting[lag.change.position] = lag, time.monotonic() + delay, backoff.failed()

    def _give_up(self, error: ChangeRefused) -> None:
        change = error.change
        self._waiting.pop(change.position, None)
        self._copy.dropped(change)
        if (ticket := self._tickets.pop(change.position, None)) is not None and not ticket.done():
            ticket.set_exception(error)
            ticket.exception()  # nobody has to wait for it
        self._hub.tell(ChangeFailed(change, error.problem))


async def _answer(callback: Callable[[Q], Awaitable[str]] | None, question: Q) -> str:
    """The user's answer; a callback that fails has not confirmed anything."""
    if callback is None:
        return "drop"
    try:
        return await callback(question)
    except Exception:
        logger.exception("the question was not answered")
        return "drop"


async def driven(step: Callable[[], Awaitable[float]], awake: asyncio.Event, online: asyncio.Event) -> None:
    """Take a step whenever woken, or when the last one said; again, after a back-off, when it failed. Raises SignedOut."""
    backoff = Backoff()
    while True:
        await online.wait()
        awake.clear()
        wait = math.inf
        try:
            wait = await step()
            backoff = Backoff()
        except SignedOut:
            raise
        except LetterlockError as error:
            logger.info("connections are not in step: %s", error)
            if not (isinstance(error, Refused) and not error.problem.may_retry):
                after = error.problem.retry_after if isinstance(error, Refused) else None
                await asyncio.sleep(backoff.delay(random.random(), after))
                backoff, wait = backoff.failed(), 0.0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if math.isinf(wait) else wait):
                await awake.wait()
