"""What has arrived, as calls of the client: events, the store, how far everybody has read."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Literal, TypeVar

from client.errors import Refused
from client.events import EpochChanged, Event, Hub, Message, RoomChanged, Subscription
from client.keeper import Keeper
from client.protocol.frames import Read, receipt_of
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.receiving import Receiver
from client.session import Session
from client.store import Store

ROOMS_OF_RECEIPTS: Final = 10

E = TypeVar("E")


class ReadingCalls:
    """Part of `Client`."""

    _session: Session
    _store: Store
    _hub: Hub
    _receiver: Receiver
    _keeper: Keeper
    _callbacks: list[asyncio.Task[None]]

    @property
    def stored(self) -> int:
        """Every entry of the mailbox up to this seq is in the store."""
        return self._store.mailbox.stored()

    def events(self, after: int | None = None) -> Subscription:
        """Every entry after a seq (None: after what is stored now), in order, and the news beside them.

        To process every entry once, keep `event.seq` of the last one, and begin after it the next time.
        """
        return self._hub.subscribe(self.stored if after is None else after, self._receiver.read_events)

    def on(self, kind: type[E], callback: Callable[[E], Awaitable[None] | None], *, after: int | None = None) -> None:
        """Have `callback` called for each event of a kind, one after the other."""
        self._callbacks.append(asyncio.create_task(_call(self.events(after), kind, callback)))

    def mailbox(self, after: int = 0, limit: int = 500) -> list[Any]:
        """At most `limit` entries of the store after a seq, as events, in order."""
        return list(self._receiver.read_events(after, limit))

    def messages(self, room: RoomId, *, before: int = 2**62, limit: int = 50) -> list[Message]:
        """At most `limit` messages of a room from the store, before a seq, newest first."""
        return [self._receiver.open(stored) for stored in self._store.mailbox.messages_of(room, before, limit)]

    def room_changes(self, room: RoomId, *, after: int = 0, before: int = 2**62, limit: int = 200) -> list[RoomChanged]:
        """At most `limit` changes of a room from the store, between two seqs, newest first."""
        changes = [
            self._receiver.event_of(entry) for entry in self._store.mailbox.changes_of(room, after, before, limit)
        ]
        return [change for change in changes if isinstance(change, RoomChanged)]

    def reader_changes(
        self, room: RoomId, *, after: int = 0, before: int = 2**62, limit: int = 200
    ) -> list[EpochChanged]:
        """At most `limit` new epochs of a room from the store, between two seqs, newest first: who can read from then on."""
        epochs = self._store.mailbox.changes_of(room, after, before, limit, kind="epoch")
        changes = [self._receiver.event_of(entry) for entry in epochs]
        return [change for change in changes if isinstance(change, EpochChanged)]

    # Being read.

    def read(self, room: RoomId, seq: int) -> None:
        """The user has read this room up to `seq`. Told to the server now, or on the next connection."""
        if self._store.rooms.read(room, seq, tell=True) and self._keeper.connection is not None:
            self._keeper.connection.put(Read(room, seq))

    async def tell_reads(self) -> None:
        """Tell the server over REST what was read, without waiting for the next connection: before closing at once."""
        told = self._store.rooms.untold_reads()
        for room, seq in told:
            try:
                await self._session.request("POST", f"rooms/{room}/read", {"seq": seq}, repeat=True)
            except Refused as refusal:
                if refusal.problem.may_retry:
                    raise
        self._store.rooms.reads_told(told)

    async def tell_stored(self) -> None:
        """Acknowledge over REST what is stored, without waiting for the socket to do it: before closing at once."""
        if self.stored:
            await self._session.request("POST", "mailbox/ack", {"seq": self.stored}, repeat=True)

    def unread(self, room: RoomId) -> int:
        """How many messages of others are unread in a room."""
        return self._store.rooms.unread(room, self._session.signed_in.user)

    def read_position(self, room: RoomId) -> int:
        """Up to which seq the user has read a room, on any device, as far as this one knows."""
        return self._store.rooms.read_position(room)

    def receipts(self, message: MessageId) -> dict[UserId, Literal["delivered", "read"]]:
        """Which other members have one of this device's messages, or have read it, as far as this device knows."""
        found = self._store.mailbox.find(message)
        if found is None:
            return {}
        marks = self._store.rooms.receipts_of(found.entry.room, found.entry.device)
        seq = found.entry.seq
        return {
            user: "read" if read >= seq else "delivered"
            for user, delivered, read in marks
            if max(delivered, read) >= seq
        }

    def rejections(self, message: MessageId) -> dict[UserId, str]:
        """Who refused a message, and why: `late` or `blocked`."""
        return self._store.mailbox.rejected_by(message)

    async def fetch_receipts(self, room: RoomId) -> None:
        """Ask the server how far the others are in a room; done by itself for recent rooms after each connect."""
        answer = await self._session.request("GET", f"rooms/{room}/receipts")
        self._receiver.receipts([
            receipt_of(room, UserId(fields["user"]), DeviceId(fields["device"]), fields)
            for fields in answer["receipts"]
        ])  # fmt: skip

    async def _read_lagging_receipts(self) -> None:
        me = self._session.signed_in
        for room in self._store.rooms.lagging(me.user, me.device, ROOMS_OF_RECEIPTS):
            try:
                await self.fetch_receipts(room)
            except Refused:
                continue  # not a member any more


async def _call(events: AsyncIterator[Event], kind: type[E], callback: Callable[[E], Awaitable[None] | None]) -> None:
    async for event in events:
        if isinstance(event, kind) and (pending := callback(event)) is not None:
            await pending
