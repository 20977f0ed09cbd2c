"""The sockets of a host by user: who has come, how many one device may have, and who is hung up."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol
from uuid import UUID

from django.conf import settings

from delivery import doors, frames
from delivery.frames import CloseCode
from kernel.entries import Entry
from kernel.errors import TooManyRequests

# After so many sockets have been given a batch, or hung up, the network gets its turn.
AT_ONCE = 32


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


class Sockets:
    """Everything runs on the event loop."""

    def __init__(self) -> None:
        # Of each user in the order in which they came. Read by whoever serves them; changed here alone.
        self.by_user: dict[str, dict[Socket, None]] = {}
        self.count = 0
        # The loop keeps only weak references to its tasks.
        self._flushes: set[asyncio.Future[None]] = set()

    def all(self) -> list[Socket]:
        """Every socket, now."""
        return [socket for sockets in self.by_user.values() for socket in sockets]

    def add(self, socket: Socket) -> None:
        """One has come; older ones of its device make room for it."""
        self.by_user.setdefault(socket.user, {})[socket] = None
        self.count += 1
        self._make_room(socket)

    def remove(self, socket: Socket) -> bool:
        """One has gone, if it was here; whether it was its user's last."""
        sockets = self.by_user.get(socket.user)
        if sockets is None or socket not in sockets:
            return False
        del sockets[socket]
        self.count -= 1
        if sockets:
            return False
        del self.by_user[socket.user]
        return True

    def close_devices(self, devices: Collection[UUID], code: int) -> None:
        """Hang up every socket of these devices (they were revoked): one look at all sockets, however many they are."""
        texts = {str(device) for device in devices}
        self._close([socket for socket in self.all() if socket.device in texts], code)

    def close_users(self, users: Collection[UUID], code: int) -> None:
        """Hang up every socket of these users (who were suspended)."""
        self._close([socket for user in users for socket in self.by_user.get(str(user), ())], code)

    def _make_room(self, newest: Socket) -> None:
        """Hang up the oldest sockets of a device that has too many: those whose connection broke unseen are among them."""
        sockets, most = self.by_user[newest.user], settings.MOST_SOCKETS_PER_DEVICE
        if len(sockets) <= most:
            return
        oldest = [socket for socket in sockets if socket.device == newest.device][:-most]
        refusal = TooManyRequests("this device has newer sockets, and no more than these", retry_after=doors.RETRY_S)
        for socket in oldest:
            socket.hint(frames.error(refusal.problem(), None))
            self.remove(socket)
        self._close(oldest, CloseCode.RATE_LIMITED)

    def _close(self, sockets: Sequence[Socket], code: int) -> None:
        if not sockets:
            return
        for socket in sockets:
            socket.hang_up(code)
        self._flushes.add(flush := asyncio.ensure_future(_flush(sockets)))
        flush.add_done_callback(self._flushes.discard)


async def _flush(sockets: Sequence[Socket]) -> None:
    for number, socket in enumerate(sockets, 1):
        await socket.flush()
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
