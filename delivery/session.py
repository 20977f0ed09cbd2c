"""What one socket owes its device: a pure state machine. Events in, effects out; no clock, no I/O.

    opened ──► CATCHING_UP ──nothing newer known──► drained ──► LIVE ──push──► Send
                    ▲  │                                              │
                    │  └── window full: wait for acks ◄───────────────┤
                    └──────────── gap, or newer number known ─────────┘

The mailbox is the truth. A push is used only when it continues exactly what was sent; everything else makes the session
read. Because a page is read by another thread, pushes may come in between: they only raise `newest`.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from delivery.frames import CloseCode
from kernel.entries import Entry, Origin
from kernel.errors import AckBeyondSent
from kernel.limits import (
    FIRST_PAGE_ENTRIES,
    PAGE_ENTRIES,
    PUSHED_BYTES,
    UNSENT_BYTES,
    WINDOW,
    WINDOW_BYTES,
    WINDOW_FULL_S,
)


@dataclass(frozen=True, slots=True)
class SendEntries:
    """Send these, in order."""

    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Read entries behind `after` from the mailbox, and feed them to `page`."""

    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class Drained:
    """Everything up to `seq` has been sent; said once."""

    seq: int


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The device has everything up to `seq`; `origins` are the messages now covered, for receipts."""

    seq: int
    origins: Sequence[Origin]


@dataclass(frozen=True, slots=True)
class Close:
    """Hang up."""

    code: CloseCode


Effect = SendEntries | ReadPage | Drained | Acknowledge | Close


class Session:
    """The state of one device's socket.

    `acknowledged` ≤ `sent` ≤ `newest`: what the device has, what was written to the socket, what the mailbox is known to hold.
    Up to `delivered` another device of the user has them: no receipts follow from these, they were told.
    At most `window` entries, and about `window_bytes`, are sent and not acknowledged; a page has at most `page_entries`, and few
    until the device has acknowledged anything: it may be one that reads nothing.
    `is_choked` is set from outside before each event: the client does not read, and nothing more is given to its socket.
    """

    def __init__(
        self,
        *,
        acknowledged: int,
        newest: int,
        delivered: int = 0,
        window: int = WINDOW,
        window_bytes: int = WINDOW_BYTES,
        page_entries: int = PAGE_ENTRIES,
    ) -> None:
        self._window, self._window_bytes, self._page_entries = window, window_bytes, page_entries
        self.acknowledged = acknowledged
        self.sent = acknowledged
        self.newest = max(newest, acknowledged)
        self._delivered = delivered
        self._drained = False
        self._reading = False
        # Sent and not acknowledged: (seq, bytes, origin of a message).
        self._unacknowledged: deque[tuple[int, int, Origin | None]] = deque()
        self._bytes = 0
        self._full_since: float | None = None
        self.is_choked = False
        # It was choked when there was something to send, and has not looked since.
        self._held_back = False
        self._has_acked = False

    @property
    def is_live(self) -> bool:
        """Whether the backlog has been sent."""
        return self._drained

    def opened(self) -> list[Effect]:
        """The route is registered: begin to catch up."""
        return self._more()

    def pushed(self, batch: Iterable[Entry]) -> list[Effect]:
        """Entries came from a drain: maybe old, maybe ahead of a gap, in order of seq among themselves."""
        following: list[Entry] = []
        expected = self.sent + 1
        free, room = 0 if self._reading else self._free(), PUSHED_BYTES
        for entry in batch:
            if entry.seq == expected and len(following) < free and room > 0:
                following.append(entry)
                expected += 1
                room -= len(entry.text)
            self.newest = max(self.newest, entry.seq)
        if self._reading or (not following and self.newest <= self.sent):
            return []
        effects: list[Effect] = [self._send(following)] if following else []
        return effects + self._more()

    def page(self, found: Sequence[Entry]) -> list[Effect]:
        """The page that was asked for is here. `newest` only ever names committed entries, so reading on makes progress."""
        self._reading = False
        fresh = [entry for entry in found if entry.seq > self.sent]
        if fresh and self._free() <= 0:
            # It stopped reading while the page was under way.
            self._held_back = True
            return []
        if not fresh:
            # Nothing where something was known: do not spin; the next comparison with the database decides.
            self.newest = self.sent
        if not self._has_acked:
            fresh = list(_first(fresh, UNSENT_BYTES))
        effects: list[Effect] = [self._send(fresh)] if fresh else []
        return effects + self._more()

    def failed(self) -> list[Effect]:
        """The page could not be read: the next `known` tries again."""
        self._reading = False
        return []

    def known(self, last_seq: int) -> list[Effect]:
        """The mailbox's newest number, from the regular comparison with the database."""
        self.newest = max(self.newest, last_seq)
        return self._more()

    def acked(self, seq: int) -> list[Effect]:
        """The device has stored everything up to `seq`. Raises `AckBeyondSent`."""
        if seq > self.sent:
            raise AckBeyondSent(f"sent up to {self.sent}", sent=self.sent)
        if seq <= self.acknowledged:
            return []
        covered: dict[tuple[str, str], Origin] = {}
        waiting = self._unacknowledged
        while waiting and waiting[0][0] <= seq:
            number, size, origin = waiting.popleft()
            self._bytes -= size
            if origin is not None and number > self._delivered:
                covered[origin.room, origin.device] = origin
        self.acknowledged = seq
        self._full_since = None
        self._has_acked = True
        effects: list[Effect] = [Acknowledge(seq, list(covered.values()))]
        return effects + self._more()

    def ticked(self, now: float) -> list[Effect]:
        """Time passes (monotonic seconds): a window that stays full, or a socket choked, for too long ends it."""
        if self._free() > 0:
            self._full_since = None
            held_back, self._held_back = self._held_back, False
            return self._more() if held_back else []
        if self._full_since is None:
            self._full_since = now
            return []
        return [Close(CloseCode.TOO_SLOW)] if now - self._full_since >= WINDOW_FULL_S else []

    def _free(self) -> int:
        """How many entries may still be sent before the device has to acknowledge."""
        if self.is_choked or self._bytes >= self._window_bytes:
            return 0
        return self._window - len(self._unacknowledged)

    def _send(self, batch: Sequence[Entry]) -> SendEntries:
        for entry in batch:
            self._unacknowledged.append((entry.seq, len(entry.text), entry.origin))
            self._bytes += len(entry.text)
        self.sent = batch[-1].seq
        self.newest = max(self.newest, self.sent)
        return SendEntries(batch)

    def _more(self) -> list[Effect]:
        """Read on if something is missing and the window allows it; say once that nothing is."""
        if self._reading:
            return []
        if self.sent < self.newest:
            free = min(self._free(), self._page_entries, self._page_entries if self._has_acked else FIRST_PAGE_ENTRIES)
            if free <= 0:
                self._held_back = True
                return []
            self._reading = True
            return [ReadPage(self.sent, free)]
        if self._drained:
            return []
        self._drained = True
        return [Drained(self.sent)]


def _first(entries: Sequence[Entry], size: int) -> Iterable[Entry]:
    """The first of them, up to about `size` bytes; one at least."""
    for entry in entries:
        yield entry
        size -= len(entry.text)
        if size <= 0:
            return
