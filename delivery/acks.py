"""Acknowledgements of this process's sockets, gathered, and written by the committer with the sends (design §5).

An ack is only a promise to forget: losing one makes its entries come again after a reconnect, where the client drops them.
The receipts that follow from acks are sent after the commit, gathered for at least `RECEIPTS_MS`.
"""

import threading
from collections.abc import Collection, Sequence

from kernel.database import Cursor
from kernel.entries import Origin
from kernel.ports import HintPort
from messages import log


class AckBook:
    """The newest acknowledgement of each device, and what receipts it owes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._acks: dict[str, tuple[str, int]] = {}
        self._owed: dict[str, list[Origin]] = {}

    def add(self, *, user: str, device: str, seq: int, origins: Sequence[Origin]) -> None:
        """The device has everything up to `seq`; `origins` are the messages newly covered."""
        with self._lock:
            # A socket that was replaced may still say something old.
            if device not in self._acks or self._acks[device][1] < seq:
                self._acks[device] = (user, seq)
            if origins:
                self._owed.setdefault(user, []).extend(origins)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._acks

    def take_sql(self, cursor: Cursor) -> tuple[bytes, "Taken"] | None:
        """The statement for what waits, and what to do after its commit (or its failure)."""
        with self._lock:
            if not self._acks:
                return None
            taken = Taken(self, self._acks, self._owed)
            self._acks, self._owed = {}, {}
        try:
            return log.acknowledge_sql(cursor, taken.acks), taken
        except BaseException:
            # To spell it, the statement may have to be prepared first, on a session that is just going away.
            taken.failed()
            raise


class Taken:
    """Acks on their way into the database."""

    def __init__(self, book: AckBook, acks: dict[str, tuple[str, int]], owed: dict[str, list[Origin]]) -> None:
        self._book = book
        self.acks = acks
        self.owed = owed

    def owed_but(self, deaf: Collection[tuple[str, str]]) -> dict[str, list[Origin]]:
        """Who now has which messages, without the (reader, sender) pairs in which the sender must not learn it."""
        if not deaf:
            return self.owed
        return {
            user: [origin for origin in origins if (user, origin.sender) not in deaf]
            for user, origins in self.owed.items()
        }

    def failed(self) -> None:
        """Not written: put back what has not been overtaken."""
        with self._book._lock:
            for device, (user, seq) in self.acks.items():
                if device not in self._book._acks or self._book._acks[device][1] < seq:
                    self._book._acks[device] = (user, seq)
            for user, origins in self.owed.items():
                self._book._owed.setdefault(user, [])[:0] = origins


class Receipts:
    """Receipts gathered per sender; flushed by the event loop's tick (docs/protocol.md §4.2, `receipts`)."""

    def __init__(self, hints: HintPort) -> None:
        self._hints = hints
        self._lock = threading.Lock()
        # sender → (room, reader, sending device) → newest message covered
        self._waiting: dict[str, dict[tuple[str, str, str], str]] = {}

    def owe(self, owed: dict[str, list[Origin]]) -> None:
        """These users now have these messages."""
        with self._lock:
            for user, origins in owed.items():
                for origin in origins:
                    if origin.sender != user:
                        key = (origin.room, user, origin.device)
                        self._waiting.setdefault(origin.sender, {})[key] = origin.message

    def flush(self) -> None:
        """Send what has been gathered."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for sender, covered in waiting.items():
            receipts = [
                {"room": room, "user": user, "device": device, "delivered": message}
                for (room, user, device), message in covered.items()
            ]
            for start in range(0, len(receipts), 200):
                self._hints.send([sender], {"type": "receipts", "receipts": receipts[start : start + 200]})  # type: ignore[list-item]
