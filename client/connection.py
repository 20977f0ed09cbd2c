"""One life of the socket (protocol §4.4): hello → welcome → entries … drained → live, until it breaks.

One task reads and one writes. Whoever wants something written puts it where the writer looks, and wakes it.
"""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from client.errors import LetterlockError, Unreachable
from client.events import State
from client.protocol.backoff import Backoff
from client.protocol.frames import (
    READ_REF,
    REJECT_REF,
    AcceptedFrame,
    Ack,
    ClientFrame,
    Drained,
    Entries,
    ErrorFrame,
    Hello,
    Muted,
    OtherFrame,
    Pong,
    Read,
    Receipts,
    Reconnect,
    Reject,
    Rejected,
    Send,
    ServerFrame,
    Typing,
    Welcome,
)
from client.protocol.ids import MessageId, RoomId
from client.protocol.problems import Problem
from client.receiving import Receiver
from client.sending import Sender
from client.store import Store
from client.transport.socket import Socket

logger = logging.getLogger("letterlock.client")
NAME, VERSION = "letterlock-py", "0.1.0"
LIVELY_S = 10.0


class Moved(LetterlockError):
    """The server has sent this device to another host, and its time is over."""


@dataclass(frozen=True, slots=True)
class Move:
    """To the host at `url` (None: ask which one), at this time of the monotonic clock."""

    url: str | None
    at: float


class Connection:
    """One open socket. Raises what ends it; the store is right at every moment."""

    def __init__(
        self, socket: Socket, store: Store, sender: Sender, receiver: Receiver, *, carries: bool,
        on_state: Callable[[State], None],
    ) -> None:  # fmt: skip
        self.socket = socket
        self._store = store
        self._sender = sender
        self._receiver = receiver
        self._carries = carries  # whether this socket also carries what is sent
        self._on_state = on_state
        self._inbox = receiver.begin()
        self.host = ""  # the one that serves this socket
        self.move: Move | None = None
        self._welcomed = False
        self._open = True
        self._control: deque[ClientFrame] = deque()
        self._sent: dict[str, list[MessageId]] = {}  # ref → messages of a `send` frame without a full answer
        self._refs = 0
        self._reads_told: list[tuple[RoomId, int]] = []
        self._wake = sender.awake if carries else asyncio.Event()

    async def run(self, token: str) -> None:
        """Speak until the connection ends. Raises SocketClosed, Moved, Gap, MalformedFrame, MailboxDiverged, …"""
        await self.socket.send(Hello(token, NAME, VERSION))
        tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]
        try:
            # No TaskGroup: one that is cancelled just when a task of it fails, tells of the failure and forgets the cancellation
            # (before Python 3.13). Who has disconnected would be connected again, and wait for the end for ever.
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # Reader and writer may both see the end; then the reader tells the reason.
            next(task for task in tasks if task in ended).result()
        finally:
            try:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                self._open = False
                if self._carries:
                    self._sender.disconnected()

    def put(self, frame: ClientFrame) -> None:
        """Send a frame that is not a message."""
        self._control.append(frame)
        self._wake.set()

    async def _read(self) -> None:
        while True:
            before = self._inbox.ack_at()
            await self._handle(await self.socket.receive())
            if self._inbox.urgent or self._inbox.ack_at() != before:
                self._wake.set()

    async def _handle(self, frame: ServerFrame) -> None:
        match frame:
            case Entries():
                for late, later in (await self._receiver.entries(self._inbox, frame)).items():
                    self.put(Reject(late, later))
            case AcceptedFrame(messages):
                self._sender.answered(messages)
            case Receipts(receipts):
                self._receiver.receipts(receipts)
            case Read():
                self._receiver.read_elsewhere(frame)
            case Typing():
                self._receiver.typing(frame)
            case Welcome():
                self.host = frame.host
                await self._receiver.welcomed(self._inbox, frame)
                self._begin()
            case Drained():
                self._inbox.drained()
                self._store.rooms.reads_told(self._reads_told)
                self._on_state(State.LIVE)
            case Rejected(message):
                self._store.mailbox.refusal_told(message)
            case ErrorFrame():
                self._problem(frame)
            case Reconnect(url, after_ms):
                at = self.move.at if self.move else time.monotonic() + random.random() * after_ms / 1000
                self.move = Move(url, at)
                self._wake.set()
            case Pong() | Muted() | OtherFrame():
                pass

    def _begin(self) -> None:
        """After welcome: say again what an earlier connection may have lost."""
        self._welcomed = True
        self._reads_told = self._store.rooms.untold_reads()
        self._control.extend(Read(room, seq) for room, seq in self._reads_told)
        self._control.extend(Reject(*refusal) for refusal in self._store.mailbox.refusals())
        self._on_state(State.CATCHING_UP)
        self._wake.set()

    def _problem(self, frame: ErrorFrame) -> None:
        problem, ref = frame.problem, frame.ref or ""
        named = problem.more.get("id")
        if ref.startswith(REJECT_REF):
            # The server judges; a claim that it does not accept is not made again.
            if not problem.may_retry:
                self._store.mailbox.refusal_told(MessageId(ref.removeprefix(REJECT_REF)))
        elif ref.startswith(READ_REF):
            if problem.may_retry:
                self._read_again(RoomId(ref.removeprefix(READ_REF)), problem)
        elif isinstance(named, str):
            self._sender.refused(MessageId(named), problem)
        elif ref in self._sent:
            # The frame as a whole was refused: all its messages were.
            for message in self._sent.pop(ref):
                self._sender.refused(message, problem)
        else:
            logger.warning("the server refused a frame: %s", problem)

    def _read_again(self, room: RoomId, problem: Problem) -> None:
        """Tell a read position later: on this connection, or else on the next."""
        self._store.rooms.tell_again(room)
        delay = Backoff(1).delay(random.random(), problem.retry_after)
        asyncio.get_running_loop().call_later(
            delay, lambda: self.put(Read(room, self._store.rooms.read_position(room))) if self._open else None
        )

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            for frame in self._due():
                await self.socket.send(frame)
            if self.move and time.monotonic() >= self.move.at:
                raise Moved("to another host")
            if self._carries and self._sender.outbox.overdue(time.monotonic()):
                raise Unreachable("a send has had no answer for too long")
            if self._carries and self._sender.outbox.is_stuck:
                raise Unreachable("the server waits for a message that is not to be sent any more")
            timer = loop.call_later(self._patience(), self._wake.set)
            await self._wake.wait()
            timer.cancel()

    def _due(self) -> Iterator[ClientFrame]:
        if not self._welcomed:
            return
        if (seq := self._inbox.ack_due(time.monotonic())) is not None:
            yield Ack(seq)
        while self._control:
            yield self._control.popleft()
        while self._carries and (batch := self._sender.take()):
            self._refs += 1
            ref = str(self._refs)
            self._sent[ref] = [message.id for message in batch]
            # Old refs need not be kept: answers come in order.
            if len(self._sent) > 1_000:
                self._sent.pop(next(iter(self._sent)))
            yield Send(ref, tuple(batch))

    def _patience(self) -> float:
        now = time.monotonic()
        sends = self._sender.outbox.next_at(now) if self._carries and self._welcomed else float("inf")
        moves = self.move.at if self.move else float("inf")
        return max(0.0, min(self._inbox.ack_at(), sends, moves, now + LIVELY_S) - now)
