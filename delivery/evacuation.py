"""Emptying a host: its users are told, spread over a time, to go elsewhere; who stays is hung up.

    for each user, at even intervals:  assign elsewhere → `reconnect` on all the user's sockets
    a socket that is still there when its time is over is closed with 1012

A user for whom no other host has room stays and is asked about again, unless this is the host's end. Who comes here
meanwhile (nobody sends them; their own host may be out of reach) is served, and told like the others.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

from delivery import frames
from delivery.frames import CloseCode
from delivery.registry import RegistryAway

logger = logging.getLogger(__name__)

# Within this time after it was told a client goes; so much later the socket is closed.
AFTER_MS = 1_000
PATIENCE_S = 4.0
# The same when the process is about to end, in all.
LAST_AFTER_MS = 400
LAST_PATIENCE_S = 0.8
LOOK_S = 0.1
ASK_AGAIN_S = 1.0
# So many users a second are moved at least: few need not take as long as many may.
LEAST_RATE = 100


class Socket(Protocol):
    """What is done to a socket."""

    def hint(self, text: str) -> None:
        """Put out a frame."""

    def hang_up(self, code: int) -> None:
        """Close it."""

    async def flush(self) -> None:
        """Send what was put out."""


class Emptied(Protocol):
    """The host."""

    def sockets(self) -> Mapping[str, Iterable[Socket]]:
        """By user, as it is now."""

    async def place_of(self, user: str) -> str | None:
        """The URL where the user should go, None when there is none."""


class Evacuation:
    """Runs as a task until it is cancelled or, if `is_last`, the host is empty or the time is over."""

    def __init__(
        self, host: Emptied, seconds: float, *, is_last: bool = False, before: "Evacuation | None" = None
    ) -> None:
        """`before`: the one that this takes the place of; whom it has told is not told again."""
        self.is_last = is_last
        self._host = host
        self.seconds = seconds
        self._after_ms, self._patience_s = (LAST_AFTER_MS, LAST_PATIENCE_S) if is_last else (AFTER_MS, PATIENCE_S)
        # Sockets that were told, by when they are hung up.
        self._told: dict[Socket, float] = {} if before is None else before._told
        self._next_try: dict[str, float] = {}
        self._task = asyncio.create_task(self._run(), name="the evacuation")

    def cancel(self) -> None:
        """Move nobody more."""
        self._task.cancel()

    async def done(self) -> None:
        """Wait for the end of the last one."""
        await asyncio.wait([self._task], timeout=self.seconds + self._patience_s + 0.2)
        self._task.cancel()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            closing = tasks.create_task(self._close_who_stays())
            await self._tell_all()
            closing.cancel()

    async def _tell_all(self) -> None:
        """Tell one user after the other, round after round, for as long as there are any."""
        loop = asyncio.get_running_loop()
        pace = self.seconds / max(1, len(self._host.sockets()), self.seconds * LEAST_RATE)
        turn = loop.time()
        while not (self.is_last and not self._host.sockets()):
            for user in list(self._host.sockets()):
                try:
                    if await self._tell(user, loop.time()):
                        # Behind by a second at most: who waited is not made up for by a rush.
                        turn = max(turn + pace, loop.time() - 1)
                        await asyncio.sleep(turn - loop.time())
                except Exception:
                    logger.exception("a user could not be sent elsewhere; the others are")
            await asyncio.sleep(LOOK_S)

    async def _tell(self, user: str, now: float) -> bool:
        """Tell the user's sockets that do not know yet; whether there were any."""
        untold = [socket for socket in self._host.sockets().get(user, ()) if socket not in self._told]
        if not untold or now < self._next_try.get(user, 0.0):
            return False
        try:
            url = await self._host.place_of(user)
        except RegistryAway:
            url = None
        if url is None and not self.is_last:
            self._next_try[user] = now + ASK_AGAIN_S
            return True
        self._next_try.pop(user, None)
        text = frames.reconnect(url=url, after_ms=self._after_ms)
        for socket in untold:
            self._told[socket] = now + self._after_ms / 1000 + self._patience_s
            socket.hint(text)
            await socket.flush()
        return True

    async def _close_who_stays(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            now = asyncio.get_running_loop().time()
            here = {socket for sockets in self._host.sockets().values() for socket in sockets}
            self._told = {socket: until for socket, until in self._told.items() if socket in here}
            for socket in [socket for socket, until in self._told.items() if now >= until]:
                socket.hang_up(CloseCode.RESTART)
                await socket.flush()
