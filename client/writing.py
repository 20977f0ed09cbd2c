"""Messages on their way out, as calls of the client."""

import time
from typing import Final

from client.keeper import Keeper
from client.protocol.answers import Accepted
from client.protocol.frames import Typing
from client.protocol.ids import MessageId, RoomId
from client.protocol.problems import Problem
from client.sending import Sender
from client.store import Store

TYPING_S: Final = 3.0


class WritingCalls:
    """Part of `Client`."""

    _store: Store
    _sender: Sender
    _keeper: Keeper
    _typed: dict[RoomId, float]

    def queue(self, room: RoomId, *bodies: bytes) -> list[MessageId]:
        """Put messages into the persistent outbox. They are sent in this order as soon as that is possible.

        Raises Refused (`invalid`, `too_large`) for a body that no server would take, and Blocked in a direct room when one of
        the two blocks the other; then none of them is queued.
        """
        return self._sender.queue(room, bodies)

    async def accepted(self, message: MessageId) -> Accepted:
        """Wait until a queued message is committed. Raises SendRefused. Ending the wait does not end the sending."""
        return await self._sender.accepted(message)

    async def send(self, room: RoomId, body: bytes) -> Accepted:
        """Send a message, and wait until the server has committed it."""
        (message,) = self.queue(room, body)
        return await self.accepted(message)

    def unsent(self) -> list[MessageId]:
        """What is still in the outbox, in order."""
        return [draft.message.id for draft in self._store.drafts.waiting()]

    def waiting(self) -> list[tuple[MessageId, RoomId, bytes, int]]:
        """The same with room, body and `sent_at` (ms), for showing."""
        return [(message.id, message.room, body, message.sent_at) for message, body in self._sender.waiting()]

    def failed(self) -> list[tuple[MessageId, RoomId, bytes, Problem]]:
        """Messages that were refused for good, with their bodies, until they are discarded."""
        return [(message.id, message.room, body, problem) for message, body, problem in self._sender.failed()]

    def discard(self, message: MessageId) -> bool:
        """Give up a failed message, or one that was never sent. False for others: they may have been accepted."""
        return self._sender.discard(message)

    def typing(self, room: RoomId) -> None:
        """The user is writing. At most one frame in 3 s goes out, and none without a connection."""
        now = time.monotonic()
        if self._keeper.connection is not None and now - self._typed.get(room, float("-inf")) >= TYPING_S:
            self._typed[room] = now
            self._keeper.connection.put(Typing(room))
