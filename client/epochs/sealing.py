"""The sealer of `chat.e2ee.v1`: bodies are texts, sealed under their room's epoch and signed by this device."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from client.crypto import messages
from client.crypto.errors import BadMessage, CryptoError, TooLong
from client.crypto.messages import Payload
from client.epochs.fetching import ALG, Fetcher, from_lines
from client.epochs.keybook import KeyBook
from client.epochs.making import Maker, held_problem
from client.epochs.ports import OthersKeys, OwnKeys
from client.epochs.rules import is_due, outdates, why_not
from client.epochs.sharing import Shares
from client.errors import CannotOpen, Refused
from client.protocol.entries import Entry, EpochEntry, KeysEntry, MessageEntry, RoomEntry
from client.protocol.ids import RoomId, UserId
from client.protocol.opaque import Ciphertext
from client.protocol.problems import Problem
from client.sealer import Header, RosterChange
from client.session import Session
from client.store import Store

TEXT: Final = "text"


@dataclass(slots=True)
class _Usable:
    """An epoch that was found good. `made_at` in seconds; `messages` that are known under it."""

    epoch: int
    made_at: int
    messages: int


class SealedEpochs:
    """Implements `client.sealer.Sealer`."""

    alg = ALG

    def __init__(self, store: Store, session: Session, own: OwnKeys, others: OthersKeys) -> None:
        self._store = store
        self._session = session
        self._own = own
        self._others = others
        self.book = KeyBook(store, session, own, others)
        self.fetcher = Fetcher(store, session, self.book, others)
        self.maker = Maker(store, session, own, others, self.book, self.fetcher, self.epoch)
        self.shares = Shares(store, session, others, self.book, self.fetcher, self.maker)
        self._usable: dict[RoomId, _Usable] = {}

    # Sealing.

    def check(self, header: Header, body: bytes) -> None:
        """Bodies are texts: UTF-8, and short enough."""
        try:
            messages.encode(Payload(header.id, TEXT, body.decode(), header.sent_at))
        except UnicodeDecodeError as error:
            raise Refused(Problem("invalid", 400, detail="a body is UTF-8", more={"field": "ciphertext"})) from error
        except TooLong as error:
            raise Refused(Problem("too_large", 413, detail=str(error))) from error

    def closed(self, room: RoomId) -> Problem | None:
        """Somebody in the room has been verified, and has another identity key now."""
        held = set(self._others.held())
        if not held:
            return None
        known, newest = self._store.rooms.find(room), self._store.epochs.newest(room)
        users = {member.user for member in known[0].members} if known else set()
        lines = self._store.epochs.roster(room, newest.epoch) if newest else None
        users |= {UserId(user) for user, _, _ in lines or ()}
        return held_problem(held & users) if held & users else None

    def epoch(self, room: RoomId) -> int | None:
        """The newest epoch, if everything about it is in the store and good."""
        current = self._store.epochs.current(room)
        if current is None:
            return None
        usable = self._usable.get(room)
        if usable is None or usable.epoch != current:
            usable = self._examine(room)
            if usable is None:
                return None
            self._usable[room] = usable
        return None if is_due(usable.made_at, time.time(), usable.messages) else usable.epoch

    def _examine(self, room: RoomId) -> _Usable | None:
        row, known = self._store.epochs.newest(room), self._store.rooms.find(room)
        if row is None or known is None or self._own.newest_version is None:
            return None
        lines = self._store.epochs.roster(room, row.epoch)
        if lines is None:
            return None
        roster, me = from_lines(lines), self._session.signed_in.user
        documents = [document for line in roster if (document := self._others.known(line.user)) is not None]
        peer = known[0].peer_of(me)
        if (known[0].kind == "direct" and peer is None) or self._store.epochs.pin_peer(room, peer) != peer:
            return None
        reason = why_not(
            roster, me=me, creator=row.creator, peer=peer,
            identities={document.user: document.identity for document in documents},
            versions={document.user: document.encryption.version for document in documents},
        )  # fmt: skip
        if reason is not None:
            return None
        try:
            record = self.book.record(room, row.epoch)
            self.book.key(room, row.epoch)
            if not self.book.device(row.creator, row.device).is_live():
                return None
        except CannotOpen:
            return None
        return _Usable(row.epoch, record.ts, self._store.mailbox.count_under(room, row.epoch))

    def seal(self, header: Header, body: bytes) -> Ciphertext:
        """Sealed and signed; under no lower epoch than the highest that this device has seen in the room."""
        usable = self._usable[header.room]
        assert usable.epoch == header.epoch, "sealed for another epoch than the one at hand"
        usable.messages += 1
        key = self.book.key(header.room, header.epoch)
        payload = Payload(header.id, TEXT, body.decode(), header.sent_at)
        return Ciphertext(messages.seal(key, header.sender, header.device, self._own.device_key, payload))

    def outdated(self, room: RoomId, epoch: int, problem: Problem) -> None:
        """The server does not take the epoch that was sealed under: it has another one, or wants one."""
        current = self._store.epochs.current(room)
        if current is not None and outdates(current, epoch, problem):
            self._store.epochs.outdate(room, current)

    async def prepare(self, room: RoomId) -> None:
        """Get the room's newest epoch, or make one. Raises NotYet as well."""
        state = await self.maker.prepare(room)
        if state is not None:
            self.shares.seen(room, state)

    # Opening.

    async def fetch(self, entries: Sequence[Entry]) -> None:
        """Epochs and documents that these entries need."""
        await self.fetcher.for_entries(entries)

    def arrived(self, entries: Sequence[Entry]) -> Collection[RoomId]:
        """New epochs, members who are gone, members with other keys: what was good before may not be so now."""
        rooms: set[RoomId] = set()
        for entry in entries:
            match entry:
                case EpochEntry(room=room):
                    rooms.add(room)
                case RoomEntry(room=room, change="removed" | "left", users=users):
                    self._outdate_for(room, users)
                    rooms.add(room)
                case RoomEntry(room=room, change="added"):
                    self.shares.joined(entry)
                case KeysEntry():
                    self._usable.clear()
                    rooms.update(self._store.drafts.rooms())
                case MessageEntry(room=room, epoch=epoch) if entry.device != self._session.signed_in.device:
                    usable = self._usable.get(room)
                    if usable is not None and usable.epoch == epoch:
                        usable.messages += 1
        return rooms

    def _outdate_for(self, room: RoomId, gone: Collection[UserId]) -> None:
        """Whoever is gone must not read on, even if a server kept the epoch for them."""
        current = self._store.epochs.current(room)
        lines = None if current is None else self._store.epochs.roster(room, current)
        if current is not None and any(user in gone for user, _, _ in lines or ()):
            self._store.epochs.outdate(room, current)

    def forget(self, users: Collection[UserId] = ()) -> None:
        """Keys of these users, or this device's own, are others now."""
        self.book.forget(users)
        self._usable.clear()

    def change(self, room: RoomId, epoch: int) -> RosterChange:
        """What was found when the epoch's list came."""
        found = self._store.epochs.change(room, epoch)
        return RosterChange(**{name: tuple(users) for name, users in found.items()})

    def open(self, header: Header, alg: str, ciphertext: Ciphertext) -> bytes:
        """The text, if all that is said about it was signed by its sender (protocol §6.5)."""
        if alg != self.alg:
            raise CannotOpen("not_verified", f"nobody seals by {alg}")
        key = self.book.key(header.room, header.epoch)
        device = self.book.device(header.sender, header.device)
        if header.accepted_at is not None and not device.is_live(header.accepted_at):
            raise CannotOpen("not_verified", "sent by a device that was revoked before")
        try:
            said = messages.open(
                key, header.sender, header.device, device.public, ciphertext, id=header.id, sent_at=header.sent_at
            )
        except BadMessage as error:
            raise CannotOpen("not_verified", str(error)) from error
        if said.type != TEXT:
            raise CannotOpen("not_verified", f"not a text: {said.type}")
        return said.body.encode()

    # Drafts.

    def keep(self, body: bytes) -> bytes:
        """Under the storage key."""
        return self._own.storage_seal(body)

    def kept(self, kept: bytes) -> bytes:
        """Out of it again."""
        try:
            return self._own.storage_open(kept)
        except CryptoError as error:
            raise CannotOpen("locked", str(error)) from error
