"""From the wire to the application.

a frame's entries | the keys that they need | inbox: order, doubles, gaps, late ones | one transaction in the store
                  | events; then the ack
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from client.connections.copy import Copy
from client.errors import CannotOpen, LetterlockError
from client.events import (
    ConnectionChanged,
    EntryEvent,
    EntryHidden,
    EpochChanged,
    Hub,
    KeysChanged,
    Message,
    MessageRejected,
    ReadElsewhere,
    ReceiptReceived,
    RoomChanged,
    SomebodyTypes,
    VaultOpened,
)
from client.protocol.answers import Page, decode_page
from client.protocol.entries import (
    ConnectionEntry,
    Entry,
    EpochEntry,
    HiddenEntry,
    KeysEntry,
    MessageEntry,
    OtherEntry,
    RejectionEntry,
    RoomEntry,
)
from client.protocol.frames import Entries, Read, Receipt, Typing, Welcome
from client.protocol.ids import MessageId, RoomId, UserId
from client.protocol.inbox import Arrival, Inbox
from client.sealer import Header, Sealer
from client.sending import Sender
from client.session import Session
from client.store import Store
from client.store.mailbox import Stored, StoredMessage

PAGE_ENTRIES = 500


class Gap(LetterlockError):
    """The server skipped an entry: only a new connection can resume from what is stored."""


class Receiver:
    """Takes what arrives into the store, and tells of it. `on_blocked`: a block stopped a message that this user sent."""

    def __init__(
        self, store: Store, session: Session, sealer: Sealer, hub: Hub, sender: Sender, copy: Copy,
        on_blocked: Callable[[], None],
    ) -> None:  # fmt: skip
        self._copy = copy
        self._on_blocked = on_blocked
        self._store = store
        self._session = session
        self._sealer = sealer
        self._hub = hub
        self._sender = sender

    def begin(self) -> Inbox:
        """The state for a new connection, from what is stored."""
        mailbox = self._store.mailbox
        return Inbox(me=self._session.signed_in.user, stored=mailbox.stored(), marks=mailbox.marks())

    async def welcomed(self, inbox: Inbox, welcome: Welcome) -> None:
        """Start from the device's cursor; what the store lacks up to there comes over REST first."""
        if inbox.welcomed(welcome):
            await self.backfill(inbox, up_to=welcome.acknowledged)

    async def backfill(self, inbox: Inbox, *, up_to: int | None = None) -> None:
        """Read the mailbox over REST from what is stored, to its end or at least to `up_to`."""
        while up_to is None or inbox.stored < up_to:
            page = await self.page(f"mailbox?after={inbox.stored}&limit={PAGE_ENTRIES}")
            await self._sealer.fetch(page.entries)
            self._keep(inbox, inbox.backfilled(page.entries))
            if page.next is None:
                return

    async def page(self, path: str) -> Page:
        """One page of entries."""
        return decode_page(await self._session.request("GET", path))

    async def fetch(self) -> int:
        """Without a socket: read what this device has not acknowledged, store it, acknowledge it. Returns the cursor."""
        inbox = self.begin()
        while True:
            page = await self.page(f"mailbox/undelivered?limit={PAGE_ENTRIES}")
            if page.entries and page.entries[0].seq > inbox.stored + 1:
                # The store is behind the cursor (see Inbox.welcomed).
                await self.backfill(inbox, up_to=page.entries[0].seq - 1)
            await self._sealer.fetch(page.entries)
            self._keep(inbox, inbox.backfilled(page.entries))
            if page.entries:
                await self._session.request("POST", "mailbox/ack", {"seq": page.entries[-1].seq}, repeat=True)
            if page.next is None:
                return inbox.stored

    async def entries(self, inbox: Inbox, frame: Entries) -> dict[MessageId, MessageId]:
        """Entries of the socket; the late ones among them, with what proves it. Raises Gap after storing what came before."""
        await self._sealer.fetch(frame.entries)
        arrival = inbox.received(frame.entries, time.monotonic())
        self._keep(inbox, arrival)
        if arrival.gap:
            raise Gap(f"{inbox.stored + 1} is missing")
        return arrival.late

    def _keep(self, inbox: Inbox, arrival: Arrival) -> None:
        if not arrival.entries:
            return
        arrival = replace(arrival, entries=self._without_replays(arrival.entries))
        with self._store.database.transaction():
            self._store.mailbox.append(arrival)
            rekeyed = self._sealer.arrived(arrival.entries)
            for entry in arrival.entries:
                match entry:
                    case RoomEntry():
                        self._room_changed(entry)
                    case ConnectionEntry():
                        self._copy.arrived(entry)
                    case MessageEntry(device=device) if device == self._session.signed_in.device:
                        self._sender.arrived(entry)
        inbox.stored_up_to(arrival.entries[-1].seq)
        self._copy.tell()
        self._rekeyed(arrival.entries, rekeyed)
        if any(isinstance(entry, RejectionEntry) and self._is_blocked(entry) for entry in arrival.entries):
            self._on_blocked()
        if self._hub.heard:
            self._hub.stored([self._event(entry, arrival) for entry in arrival.entries])

    def _without_replays(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """No honest server says a message twice; said again, it is hidden: each is shown once (protocol §6.5)."""
        seen = self._store.mailbox.known(entry.id for entry in entries if isinstance(entry, MessageEntry))
        kept: list[Entry] = []
        for entry in entries:
            is_replay = isinstance(entry, MessageEntry) and entry.id in seen
            kept.append(HiddenEntry(entry.seq) if is_replay else entry)
            if isinstance(entry, MessageEntry):
                seen.add(entry.id)
        return tuple(kept)

    def _rekeyed(self, entries: Sequence[Entry], rooms: Collection[RoomId]) -> None:
        """What waits in these rooms is sealed anew; and whoever was verified may have other keys."""
        if any(isinstance(entry, KeysEntry) for entry in entries):
            self._sender.recheck()
        for room in rooms:
            self._sender.reseal(room)
        me = self._session.signed_in.device
        for entry in entries:
            if isinstance(entry, KeysEntry) and entry.change == "vault_read" and entry.device != me:
                self._hub.tell(VaultOpened(entry.device))

    def _is_blocked(self, entry: RejectionEntry) -> bool:
        return entry.reason == "blocked" and entry.sender == self._session.signed_in.user

    def _room_changed(self, entry: RoomEntry) -> None:
        if entry.change in {"removed", "left"} and self._session.signed_in.user in entry.users:
            self._store.rooms.forget(entry.room)
        else:
            self._store.rooms.changed(entry.room, entry.members_version)

    def _event(self, entry: Entry, arrival: Arrival) -> EntryEvent:
        if isinstance(entry, MessageEntry):
            late = entry.id in arrival.late
            stored = StoredMessage(entry, late, "late" if late else None)
            if entry.sender == self._session.signed_in.user:  # its rejection may be here already
                stored = self._store.mailbox.find(entry.id) or stored
            return self.open(stored)
        return self.event_of(entry)

    def event_of(self, stored: Stored) -> EntryEvent:
        """A stored entry as the application sees it; messages are opened here."""
        match stored:
            case StoredMessage():
                return self.open(stored)
            case RejectionEntry(seq, message, room, sender, _, by, reason):
                return MessageRejected(seq, message, room, sender, by, reason)
            case RoomEntry(seq, room, change, by_, users, role):
                return RoomChanged(seq, room, change, by_, users, role)
            case ConnectionEntry(seq, version, connection, settings):
                return ConnectionChanged(seq, version, connection, settings)
            case EpochEntry(seq, room, epoch, creator):
                who = self._sealer.change(room, epoch)
                return EpochChanged(seq, room, epoch, creator, who.added, who.removed, who.rekeyed)
            case KeysEntry(seq, user, _, change, device):
                return KeysChanged(seq, user, change, device)
            case HiddenEntry(seq) | OtherEntry(seq):
                return EntryHidden(seq)

    def open(self, stored: StoredMessage) -> Message:
        """A message with its body, or without one if the sealer cannot open it."""
        entry = stored.entry
        header = Header(entry.id, entry.room, entry.sender, entry.device, entry.sent_at, entry.epoch, entry.accepted_at)
        body, problem = None, None
        try:
            body = self._sealer.open(header, entry.alg, entry.ciphertext)
        except CannotOpen as error:
            problem = error.problem
        return Message(
            entry.seq, entry.id, entry.room, entry.sender, entry.device, entry.sent_at, entry.accepted_at, body,
            stored.refused, stored.reason, problem,
        )  # fmt: skip

    def read_events(self, after: int, limit: int) -> list[EntryEvent]:
        """Stored entries after a seq, as events."""
        return [self.event_of(stored) for stored in self._store.mailbox.read_after(after, limit)]

    def receipts(self, receipts: Sequence[Receipt]) -> None:
        """How far others are; what says nothing new is not told on."""
        with self._store.database.transaction():
            news = [receipt for receipt in receipts if self._store.rooms.apply(receipt)]
        for receipt in news:
            self._hub.tell(ReceiptReceived(receipt))

    def read_elsewhere(self, frame: Read) -> None:
        """The user has read a room on another device."""
        if self._store.rooms.read(frame.room, frame.seq, tell=False):
            self._hub.tell(ReadElsewhere(frame.room, frame.seq))

    def typing(self, frame: Typing) -> None:
        """Somebody is writing."""
        self._hub.tell(SomebodyTypes(frame.room, frame.user or UserId("")))
