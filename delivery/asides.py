"""What a socket does beside its frames, each in a task of its own: read pages, tell who types, store what was read, refuse late messages.

Of what its client asks, one socket may have only so much on the way: of each room the last counts, and what is too much is refused.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from delivery import frames
from delivery.frames import Refused
from delivery.outgoing import Outgoing
from delivery.services import Services
from kernel.errors import DomainError, TooManyRequests, Unavailable
from kernel.limits import TYPING_S

logger = logging.getLogger(__name__)

# Of one socket: rooms whose reading waits to be stored, and refusals of messages that are under way.
WAITING_READS = 1_000
WAITING_REJECTS = 8

_tasks: set[asyncio.Task[Any]] = set()


class Asides:
    """The tasks of one socket."""

    def __init__(self, services: Services, out: Outgoing, *, user: UUID, device: UUID) -> None:
        self._services = services
        self._out = out
        self._user = user
        self._device = device
        # By room, when it was last told that the user types there (monotonic seconds).
        self._typed: dict[str, float] = {}
        # By room, what was read and is not stored yet, and whether somebody is at it.
        self._reads: dict[str, frames.Read] = {}
        self._is_reading = False
        self._rejecting = 0

    def spawn(self, work: Coroutine[Any, Any, None], ref: str | None = None) -> None:
        """Do this beside the socket's frames; a refusal is answered, anything else is logged and answered as 503."""
        task = asyncio.ensure_future(self._guarded(work, ref))
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    def typing(self, frame: frames.Typing) -> None:
        """Tell the room's other members, at most once in `TYPING_S`."""
        now = time.monotonic()
        if now - self._typed.get(frame.room, -TYPING_S) < TYPING_S:
            return
        if len(self._typed) > 1_000:
            self._typed.clear()
        self._typed[frame.room] = now
        self.spawn(self._pass_typing(frame), frame.ref)

    def read(self, frame: frames.Read) -> None:
        """Of each room the furthest position counts; one after the other is stored, so that nobody fills the threads."""
        before = self._reads.pop(frame.room, None)
        if len(self._reads) >= WAITING_READS:
            self._out.refuse(TooManyRequests(retry_after=1), frame.ref)
            return
        self._reads[frame.room] = frame if before is None or before.seq <= frame.seq else before
        if not self._is_reading:
            self._is_reading = True
            self.spawn(self._store_reads())

    def reject(self, frame: frames.Reject) -> None:
        """Refuse a late message, and answer why. Raises `Refused` to who asks for many at a time."""
        if self._rejecting >= WAITING_REJECTS:
            raise Refused(frame.ref, TooManyRequests(retry_after=1))
        self._rejecting += 1
        self.spawn(self._reject(frame), frame.ref)

    async def _guarded(self, work: Coroutine[Any, Any, None], ref: str | None) -> None:
        try:
            await work
        except DomainError as error:
            self._out.refuse(error, ref)
        except Exception as error:
            logger.warning("a frame could not be served: %s", type(error).__name__)
            self._out.refuse(Unavailable(retry_after=1), ref)
        await self._out.flush()

    async def _pass_typing(self, frame: frames.Typing) -> None:
        members = await self._services.members(user=str(self._user), room=frame.room)
        hint = {"type": "typing", "room": frame.room, "user": str(self._user)}
        self._services.hint(members, hint, exclude_device=self._device)

    async def _store_reads(self) -> None:
        while self._reads and not self._out.is_closed:
            frame = self._reads.pop(next(iter(self._reads)))
            await self._guarded(self._store_read(frame), frame.ref)
        self._is_reading = False

    async def _store_read(self, frame: frames.Read) -> None:
        await self._services.read(user=self._user, device=self._device, room=UUID(frame.room), seq=frame.seq)

    async def _reject(self, frame: frames.Reject) -> None:
        try:
            reason = await self._services.reject(user=self._user, message=UUID(frame.message), later=UUID(frame.later))
        finally:
            self._rejecting -= 1
        self._out.put(frames.answer({"type": "rejected", "message": frame.message, "reason": reason}, frame.ref))
