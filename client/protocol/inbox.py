"""What arrives on one connection: in order, without gaps, each entry once, acknowledged when it is stored.

The caller stores what `received` hands back, in one transaction, then says `stored`, and sends the acknowledgement
that `ack_due` names. So an acknowledgement always means: it is in the local store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from client.errors import MailboxDiverged
from client.protocol import late
from client.protocol.entries import Entry, MessageEntry
from client.protocol.frames import Welcome
from client.protocol.ids import MessageId, UserId

ACK_DELAY_S = 0.05


@dataclass(frozen=True, slots=True)
class Arrival:
    """Entries to be stored, with the late ones among them: message → the later message that proves it."""

    entries: tuple[Entry, ...] = ()
    late: dict[MessageId, MessageId] = field(default_factory=dict)
    # An entry is missing before the next one: what was sent is lost, so connect again and resume (protocol §4.4).
    gap: bool = False


class Inbox:
    """The receiving half of one connection. Knows no socket, no store, and time only as a parameter (seconds)."""

    def __init__(self, *, me: UserId, stored: int, marks: late.Marks) -> None:
        self.me = me
        self.stored = stored
        self.live = False
        self._marks = marks
        self._next = stored + 1  # the next seq that the server sends on this connection
        self._acked = stored
        self._window = 1
        self._unacked_since: float | None = None

    def welcomed(self, welcome: Welcome) -> bool:
        """Start from the device's cursor. True when the store lacks entries up to it, which REST has to supply.

        The store can be behind the cursor when it was restored from a backup, or lost its last commits with the power.
        """
        if welcome.user != self.me:
            raise MailboxDiverged(f"the store belongs to {self.me}, the socket to {welcome.user}")
        if welcome.last_seq < self.stored:
            raise MailboxDiverged(f"{self.stored} entries are stored, but the mailbox has only {welcome.last_seq}")
        self._next = welcome.acknowledged + 1
        self._acked = welcome.acknowledged
        self._window = max(1, welcome.window)
        return welcome.acknowledged > self.stored

    def backfilled(self, entries: Iterable[Entry]) -> Arrival:
        """Entries that REST supplied: never refused as late, because they are not live."""
        return self._take(entry for entry in entries if entry.seq > self.stored)

    def received(self, entries: Sequence[Entry], now: float) -> Arrival:
        """Entries of a frame: doubles are dropped, those up to the first gap are handed back for storing."""
        taken: list[Entry] = []
        gap = False
        for entry in entries:
            if entry.seq > self._next:
                gap = True
                break
            if entry.seq == self._next:
                self._next += 1
                taken.append(entry)
        if entries and self._unacked_since is None:
            self._unacked_since = now
        arrival = self._take(entry for entry in taken if entry.seq > self.stored)
        return Arrival(arrival.entries, arrival.late, gap)

    def _take(self, entries: Iterable[Entry]) -> Arrival:
        new = tuple(entries)
        refused: dict[MessageId, MessageId] = {}
        for entry in new:
            if isinstance(entry, MessageEntry):
                later = late.advance(self._marks, entry)
                # What this user sent from elsewhere is not refused: nobody asks oneself to send again.
                if later is not None and self.live and entry.sender != self.me:
                    refused[entry.id] = later
        return Arrival(new, refused)

    def stored_up_to(self, seq: int) -> None:
        """The caller has committed everything up to `seq`."""
        self.stored = max(self.stored, seq)

    def drained(self) -> None:
        """What comes now is live."""
        self.live = True

    def ack_due(self, now: float) -> int | None:
        """The seq to acknowledge now: after 50 ms, or at once when a quarter of the window is waiting."""
        seq = min(self.stored, self._next - 1)  # never beyond what was sent on this connection
        if seq <= self._acked:
            if self._next - 1 <= self._acked:  # only doubles came
                self._unacked_since = None
            return None
        if not self.urgent and now < self.ack_at():
            return None
        self._acked = seq
        self._unacked_since = None
        return seq

    @property
    def urgent(self) -> bool:
        """Whether a quarter of the window waits for an acknowledgement."""
        return min(self.stored, self._next - 1) - self._acked >= self._window / 4

    def ack_at(self) -> float:
        """When `ack_due` will have something at the latest."""
        return float("inf") if self._unacked_since is None else self._unacked_since + ACK_DELAY_S
