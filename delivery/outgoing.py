"""What one socket sends: one list, so that the order of frames holds whoever puts them there, and one task at a time that sends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from delivery import frames
from delivery.frames import CloseCode
from kernel import metrics
from kernel.errors import DomainError
from kernel.limits import UNSENT_BYTES, UNSENT_MOST_BYTES

logger = logging.getLogger(__name__)

AsgiSend = Callable[[dict[str, Any]], Awaitable[None]]

_tasks: set[asyncio.Task[Any]] = set()


class Outgoing:
    """The frames on their way to one client, and the end of its socket."""

    def __init__(self, send: AsgiSend, unsent: Callable[[], int]) -> None:
        """`unsent` answers how many bytes the client has not taken (config/sockets.py)."""
        self._send = send
        self._unsent = unsent
        self._frames: list[str] = []
        self._closing: int | None = None
        self._is_flushing = False
        # Whether nothing goes out any more.
        self.is_closed = False

    @property
    def is_choked(self) -> bool:
        """Whether the client reads less than it is sent."""
        return self._unsent() > UNSENT_BYTES

    @property
    def is_due(self) -> bool:
        """Whether there is something for `flush` to do."""
        return bool(self._frames) or self._closing is not None

    def put(self, frame: str) -> None:
        """Let this frame go out after those that were put here before."""
        self._frames.append(frame)

    def extend(self, texts: Iterable[str]) -> None:
        """Let these frames go out, in their order."""
        self._frames.extend(texts)

    def refuse(self, error: DomainError, ref: str | None) -> None:
        """Let a refusal go out."""
        self._frames.append(frames.error(error.problem(), ref))

    def hang_up(self, code: int) -> None:
        """End the socket when all that was put here is sent; the first code counts."""
        if self._closing is None:
            self._closing = code

    def flush_soon(self) -> None:
        """`flush`, for those who cannot wait."""
        task = asyncio.ensure_future(self.flush())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)

    async def flush(self) -> None:
        """Send what is put out; whoever comes while this runs leaves its frames to it."""
        if self._is_flushing or self.is_closed:
            return
        self._is_flushing = True
        try:
            while self._frames and not self.is_closed:
                due, self._frames = self._frames, []
                for text in due:
                    await self._send({"type": "websocket.send", "text": text})
                # Entries and hints are held back long before; answers to what the client itself asks are not.
                if self._unsent() > UNSENT_MOST_BYTES:
                    self.hang_up(CloseCode.TOO_SLOW)
            if self._closing is not None and not self.is_closed:
                self.is_closed = True
                metrics.SOCKETS_CLOSED.labels(int(self._closing)).inc()
                await self._send({"type": "websocket.close", "code": int(self._closing)})
        except Exception as error:
            logger.debug("a socket went away: %s", type(error).__name__)
            self.is_closed = True
        finally:
            self._is_flushing = False
