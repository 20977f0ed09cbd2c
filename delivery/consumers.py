"""One device's socket: a shell that decides nothing. It decodes frames, asks the session, does the effects in order.

A plain ASGI application and not a Channels consumer: Channels awaits `aclose_old_connections` in a process-wide thread
for every event (docs/adr/0003). Nothing here touches the ORM; what needs it runs in `Services`' own threads.
Frames go out through one list per socket (delivery/outgoing.py); what takes longer is done beside it (delivery/asides.py).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Any

from accounts.addresses import address_of_socket
from delivery import blocks, doors, frames
from delivery.asides import Asides
from delivery.frames import CloseCode, MalformedFrame, Refused
from delivery.host import LATE_S
from delivery.lane import Answered, Lane
from delivery.outgoing import AsgiSend, Outgoing
from delivery.services import Surroundings
from delivery.session import Acknowledge, Close, Drained, Effect, ReadPage, SendEntries, Session
from kernel import metrics, rates
from kernel.database import Cursor
from kernel.entries import Entry
from kernel.errors import DomainError, Forbidden, TooManyRequests, Unauthenticated
from kernel.limits import HELLO_S, WELCOME_S, WINDOW
from messages import log

logger = logging.getLogger(__name__)

AsgiReceive = Callable[[], Awaitable[dict[str, Any]]]

_surroundings: Surroundings | None = None


def bind(surroundings: Surroundings | None) -> None:
    """Called by `config.runtime` when the process is ready for sockets (None: no longer)."""
    global _surroundings
    _surroundings = surroundings


class SocketConsumer(Lane):
    """The ASGI application of one socket; also a `sockets.Socket` and a lane of the intake."""

    def __init__(self) -> None:
        super().__init__()
        self.user = ""
        self.device = ""
        self._session: Session | None = None
        # The newest number that was heard of before there was a session.
        self._heard = 0

    async def __call__(self, scope: dict[str, Any], receive: AsgiReceive, send: AsgiSend) -> None:
        """Serve the socket until it ends."""
        await receive()  # websocket.connect
        await send({"type": "websocket.accept"})
        if _surroundings is None:
            await send({"type": "websocket.close", "code": int(CloseCode.RESTART)})
            return
        self._around = _surroundings
        self._out = Outgoing(send, scope.get("unsent", int))
        # Whom to tell that a frame was taken (config/sockets.py).
        self._taken: Callable[[], object] = scope.get("taken", int)
        address = address_of_socket(scope)
        if (refusal := doors.closed_to(address)) is not None:
            self._out.refuse(refusal, None)
            await self._end(CloseCode.RATE_LIMITED)
            return
        with doors.open_for(address):
            try:
                if await self._greet(receive, address):
                    await self._serve(receive)
            finally:
                self._out.is_closed = True
                self._around.host.leave(self)

    # --- hello ---------------------------------------------------------------------------------------------------------

    async def _greet(self, receive: AsgiReceive, address: str) -> bool:
        """Wait for hello, authenticate, say welcome; False when the socket has ended."""
        with doors.greeting(address) as may_wait:
            if not may_wait:
                return await self._end(CloseCode.RATE_LIMITED)
            try:
                async with asyncio.timeout(HELLO_S):
                    event = await receive()
            except TimeoutError:
                return await self._end(CloseCode.HELLO_TIMEOUT)
        if event["type"] != "websocket.receive":
            return False
        self._taken()
        try:
            frame = frames.decode(event.get("text") or event.get("bytes") or "")
            if not isinstance(frame, frames.Hello):
                raise MalformedFrame("hello comes first")
            # PostgreSQL may take a connection, or have one, and say nothing at all.
            async with asyncio.timeout(WELCOME_S):
                return await self._welcome(frame)
        except MalformedFrame:
            return await self._end(CloseCode.MALFORMED)
        except Refused as refused:
            self._out.refuse(refused.error, refused.ref)
            return await self._end(CloseCode.MALFORMED)
        except Unauthenticated as error:
            self._out.refuse(error, None)
            return await self._end(CloseCode.UNAUTHENTICATED)
        except DomainError as error:
            self._out.refuse(error, None)
            return await self._end(CloseCode.FORBIDDEN if error.status == Forbidden.status else CloseCode.RESTART)
        except Exception as error:
            logger.warning("a socket could not be opened: %s", type(error).__name__)
            return await self._end(CloseCode.RESTART)

    async def _welcome(self, hello: frames.Hello) -> bool:
        services = self._around.services
        user, device = services.verify(hello.token)
        self.user, self.device = str(user), str(device)
        self._asides = Asides(services, self._out, user=user, device=device)
        await services.welcome(
            user=user, device=device, client_name=hello.client_name, client_version=hello.client_version
        )
        self._frame_rate = rates.bucket("frame")
        self._refused_frame_rate = rates.bucket("refused_frame")
        self._send_rate = rates.bucket("send")
        # The route first, then the mailbox: what is stored in between is pushed or read, and never missed.
        await self._around.host.enter(self)
        # Again, now that a revocation or suspension would find this socket: one that came just before must not slip through.
        services.verify(hello.token)
        newest, acknowledged, delivered = await self._around.readers.run(log.positions, self.user, self.device)
        newest = max(newest, self._heard)
        session = Session(acknowledged=acknowledged, newest=newest, delivered=delivered)
        self._out.put(
            frames.welcome(
                user=self.user,
                device=self.device,
                host=self._around.host.id,
                acknowledged=acknowledged,
                last_seq=newest,
                window=WINDOW,
            )
        )
        self._session = session
        self._perform(session.opened())
        await self._out.flush()
        return not self._out.is_closed

    async def _end(self, code: CloseCode) -> bool:
        self.hang_up(code)
        await self._out.flush()
        return False

    # --- frames from the client ----------------------------------------------------------------------------------------

    async def _serve(self, receive: AsgiReceive) -> None:
        while not self._out.is_closed:
            event = await receive()
            if event["type"] != "websocket.receive":
                return
            self._taken()
            try:
                self._received(frames.decode(event.get("text") or event.get("bytes") or ""))
            except MalformedFrame:
                self.hang_up(CloseCode.MALFORMED)
            except Refused as refused:
                self._out.refuse(refused.error, refused.ref)
                self._bear()
            if self._out.is_due:
                await self._out.flush()

    def _received(self, frame: frames.ClientFrame) -> None:
        session = self._session
        assert session is not None
        session.is_choked = self._out.is_choked
        match frame:
            case frames.Send():
                self._submit(frame)
            case frames.Ack():
                try:
                    self._perform(session.acked(frame.seq))
                except DomainError as error:
                    raise Refused(frame.ref, error) from error
            case frames.Hello():
                self.hang_up(CloseCode.MALFORMED)
            case _ if wait := self._frame_rate.take(1, time.monotonic()):
                raise Refused(frame.ref, TooManyRequests(retry_after=ceil(wait * 1000) / 1000))
            case frames.Ping():
                self._out.put(frames.answer({"type": "pong"}, frame.ref))
            case frames.Typing():
                self._asides.typing(frame)
            case frames.Read():
                self._asides.read(frame)
            case frames.Reject():
                self._asides.reject(frame)

    def _submit(self, frame: frames.Send) -> None:
        if wait := self._send_rate.take(len(frame.messages), time.monotonic()):
            self._turn_away(frame, wait)
            return
        answers = self._around.services.submit(
            frame.messages, user=self.user, device=self.device, lane=self, ref=frame.ref
        )
        self._answer(answers)
        self._hang_up_if_stuck()

    def _turn_away(self, frame: frames.Send, wait: float) -> None:
        """Over the rate."""
        for raw in frame.messages:
            named = self.turn_away(raw)
            self._out.refuse(TooManyRequests(retry_after=ceil(wait * 1000) / 1000, **named), frame.ref)
        metrics.refused([TooManyRequests.code] * len(frame.messages))
        self._bear()
        self._hang_up_if_stuck()

    def _hang_up_if_stuck(self) -> None:
        if self.is_stuck:
            self.hang_up(CloseCode.RATE_LIMITED)

    def _bear(self) -> None:
        """One more frame was refused. That costs as much as serving it, so who goes on and on is hung up."""
        if self._refused_frame_rate.take(1, time.monotonic()):
            self.hang_up(CloseCode.RATE_LIMITED)

    # --- answers of the intake -------------------------------------------------------------------------------------------

    def answered(self, answers: Sequence[Answered]) -> None:
        """See `Lane.answered`: called in the committer's thread, after the commit."""
        self._around.services.call_soon(lambda: self._answer(answers, flush=True))

    def _answer(self, answers: Sequence[Answered], *, flush: bool = False) -> None:
        accepted = [answer.text for answer in answers if answer.text is not None]
        self._out.extend(frames.accepted(accepted))
        for answer in answers:
            if answer.error is not None:
                self._out.refuse(answer.error, answer.ref)
        if flush:
            self._hang_up_if_stuck()
            self._out.flush_soon()

    # --- the host's side -------------------------------------------------------------------------------------------------

    def pushed(self, batch: list[Entry]) -> None:
        """See `sockets.Socket.pushed`."""
        if self._session is None:
            self._heard = max(self._heard, batch[-1].seq)
            return
        self._session.is_choked = self._out.is_choked
        self._repair(self._session.pushed(batch), "push")

    def known(self, last_seq: int) -> None:
        """See `sockets.Socket.known`."""
        if self._session is None:
            self._heard = max(self._heard, last_seq)
            return
        self._session.is_choked = self._out.is_choked
        self._repair(self._session.known(last_seq), "comparison")

    def ticked(self, now: float) -> None:
        """See `sockets.Socket.ticked`."""
        if self._session is not None:
            self._session.is_choked = self._out.is_choked
            self._perform(self._session.ticked(now))

    def hint(self, text: str) -> None:
        """See `sockets.Socket.hint`."""
        # Hints may be lost, and are to one who does not read.
        if self._session is not None and not self._out.is_choked:
            self._out.put(text)

    def hang_up(self, code: int) -> None:
        """See `sockets.Socket.hang_up`."""
        self._out.hang_up(code)

    async def flush(self) -> None:
        """See `sockets.Socket.flush`."""
        await self._out.flush()

    # --- effects -----------------------------------------------------------------------------------------------------------

    def _repair(self, effects: Sequence[Effect], found_by: str) -> None:
        """The same, counting what had to be read because no push had brought it."""
        if any(isinstance(effect, ReadPage) for effect in effects):
            metrics.REPAIRED[found_by].inc()
        self._perform(effects)

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendEntries(batch):
                    self._out.extend(frames.entries(batch))
                case ReadPage():
                    self._asides.spawn(self._page(effect))
                case Acknowledge(seq, origins):
                    self._around.acks.add(user=self.user, device=self.device, seq=seq, origins=origins)
                case Drained(seq):
                    self._out.put(frames.encode({"type": "drained", "seq": seq}))
                case Close(code):
                    self.hang_up(code)

    async def _page(self, asked: ReadPage) -> None:
        session = self._session
        assert session is not None
        try:
            read_at, found = await self._around.readers.run(_read_page, self.user, asked)
            if time.monotonic() - read_at > LATE_S:
                # As a late push: read before a block, perhaps, that has been answered since. Once, so that slow reads get on.
                _, found = await self._around.readers.run(_read_page, self.user, asked)
        except Exception as error:
            logger.info("a page could not be read: %s", type(error).__name__)
            self._perform(session.failed())
            return
        metrics.PAGES.inc()
        session.is_choked = self._out.is_choked
        self._perform(session.page(found))


def _read_page(cursor: Cursor, user: str, asked: ReadPage) -> tuple[float, list[Entry]]:
    """When the page began to be read (monotonic seconds), and its entries."""
    return time.monotonic(), blocks.read_page(cursor, user, asked.after, asked.limit)
