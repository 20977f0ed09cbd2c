"""The keeper gives a device one connection after the other, for as long as that can succeed (protocol §4.3, §4.4)."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable

from client.connection import Connection, Move, Moved
from client.errors import LetterlockError, MailboxDiverged, MalformedFrame, Refused, SignedOut, Unreachable
from client.events import Hub, State, StateChanged
from client.hosts import HostFinder
from client.protocol.backoff import MOST_S, Backoff
from client.protocol.closing import Next, next_after, problem_of
from client.receiving import Gap, Receiver
from client.sending import Sender
from client.session import Session
from client.store import Store
from client.transport.socket import Socket, SocketClosed, opened

logger = logging.getLogger("letterlock.client")


class Keeper:
    """Keeps a device connected for as long as that can succeed."""

    def __init__(
        self, url: str, store: Store, session: Session, sender: Sender, receiver: Receiver, hub: Hub, *, carries: bool,
        on_live: Callable[[], Awaitable[None]], on_state: Callable[[State], None],
    ) -> None:  # fmt: skip
        self._hosts = HostFinder(url, session)
        self._move: Move | None = None
        self._store = store
        self._session = session
        self._sender = sender
        self._receiver = receiver
        self._hub = hub
        self._carries = carries
        self._on_live = on_live
        self._on_state = on_state
        self._live = asyncio.Event()
        self._hurry = asyncio.Event()
        self._afterwards: asyncio.Task[None] | None = None
        self.state = State.OFFLINE
        self.stopped_by: LetterlockError | None = None
        self.connects = 0
        self.connection: Connection | None = None

    def _enter(self, state: State, reason: str = "") -> None:
        self.state = state
        self._live.set() if state in (State.LIVE, State.STOPPED) else self._live.clear()
        self._on_state(state)
        self._hub.tell(StateChanged(state, reason))

    def _stop(self, reason: LetterlockError) -> None:
        self.stopped_by = reason
        self._enter(State.STOPPED, str(reason))

    async def live(self) -> None:
        """Wait until everything up to now is here. Raises why that will not happen: SignedOut, Refused (`suspended`), …"""
        await self._live.wait()
        if self.stopped_by is not None:
            raise self.stopped_by

    async def run(self) -> None:
        """Connect, and connect again, until cancelled or stopped for good."""
        self.stopped_by = None
        try:
            await self._keep_connected()
        except Exception as fault:
            # Ours, or the disk's: nobody waits for this task, so say it here.
            logger.exception("the connection is given up")
            self._stop(LetterlockError(repr(fault)))
        finally:
            if self._afterwards is not None:
                self._afterwards.cancel()
            if self.state is not State.STOPPED:
                self._enter(State.OFFLINE)

    async def _keep_connected(self) -> None:
        backoff, refused = Backoff(), None
        while True:
            self._enter(State.CONNECTING)
            began = time.monotonic()
            reason, token = await self._life(refused)
            logger.info("disconnected: %r", reason)
            step = _step_after(reason)
            if step is Next.STOP:
                self._stop(reason)
                return
            self._enter(State.OFFLINE, str(reason))
            # Refused twice in a row, it is not the token alone: then wait as well.
            at_once = step is Next.REFRESH and refused is None
            refused = token if step is Next.REFRESH else None
            backoff = backoff.after(time.monotonic() - began)
            if not at_once:
                await self._rest(_delay(backoff, step, reason, self._move))
                backoff = backoff.failed()

    async def _rest(self, delay: float) -> None:
        self._hurry.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._hurry.wait()

    def hurry(self) -> None:
        """Try now what would be tried later."""
        self._hurry.set()

    async def _life(self, refused: str | None) -> tuple[LetterlockError, str | None]:
        """One connection from beginning to end: why it ended, and the token that it used."""
        token = None
        move, self._move = self._move, None
        try:
            await self._session.access(refused=refused)
            url = (self._hosts.accepted(move.url) if move else None) or await self._hosts.find()
            token = await self._session.access()
            async with contextlib.AsyncExitStack() as closing:
                socket = await self._open(url, closing)
                self.connection = Connection(
                    socket, self._store, self._sender, self._receiver, carries=self._carries, on_state=self._entered
                )
                self.connects += 1
                await self.connection.run(token)
        except SocketClosed as closed:
            problem = problem_of(closed.code)
            return Refused(problem) if problem is not None else closed, token
        except LetterlockError as error:
            return error, token
        finally:
            self._move = self.connection.move if self.connection else None
            self.connection = None
        raise AssertionError("a connection ends by an exception")

    async def _open(self, url: str, closing: contextlib.AsyncExitStack) -> Socket:
        """The socket at this host or, if it cannot be reached, at the first URL. Raises Unreachable."""
        try:
            return await closing.enter_async_context(opened(url))
        except Unreachable:
            if url == self._hosts.first:
                raise
            logger.info("%s cannot be reached", url)
            return await closing.enter_async_context(opened(self._hosts.first))

    def _entered(self, state: State) -> None:
        self._enter(state)
        if state is State.LIVE:
            self._afterwards = asyncio.create_task(self._after_drained())

    async def _after_drained(self) -> None:
        try:
            await self._on_live()
        except LetterlockError as error:
            logger.info("receipts were not read: %s", error)

    @property
    def host(self) -> str:
        """The host that serves the socket; empty without one."""
        return self.connection.host if self.connection is not None else ""

    def abort(self) -> None:
        """Drop the socket as a dead network would."""
        if self.connection is not None:
            self.connection.socket.abort()


def _step_after(reason: LetterlockError) -> Next:
    match reason:
        case SocketClosed(code=code):
            return next_after(code)
        case SignedOut() | MailboxDiverged():
            return Next.STOP
        case Refused(problem=problem):
            return Next.RECONNECT if problem.may_retry else Next.STOP
        case Gap() | MalformedFrame() | Moved() | Unreachable():
            return Next.RECONNECT
        case _:
            return Next.STOP


def _delay(backoff: Backoff, step: Next, reason: LetterlockError, move: Move | None) -> float:
    if move is not None and step is Next.RECONNECT:
        # Its own time has jitter already. Who is sent to and fro waits as after failures.
        return max(0.0, move.at - time.monotonic()) + (backoff.delay(random.random()) if backoff.failures else 0.0)
    after = reason.problem.retry_after if isinstance(reason, Refused) else None
    if step is Next.LATER:
        return MOST_S / 2 + backoff.delay(random.random())
    return backoff.delay(random.random(), after)
