"""Gets what opening needs, over REST: epochs with this user's wraps, and the documents of who made and wrote (protocol §6.4).

    a new device: all epochs of all rooms, once  →  for entries: what of theirs is missing, before they are stored

Only what may succeed later delays: no answer, 5xx, 429. Anything else means that there is no key, and the entry is shown so.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

from client.crypto import epochs as crypto
from client.crypto.encoding import b64, digest, unb64
from client.crypto.epochs import RosterLine
from client.crypto.errors import CryptoError
from client.epochs.answers import decode_epochs
from client.epochs.keybook import KeyBook
from client.epochs.ports import OthersKeys
from client.epochs.rules import change_of
from client.errors import CannotOpen, MalformedFrame, Refused
from client.protocol.entries import Entry, EpochEntry, KeysEntry, MessageEntry
from client.protocol.ids import DeviceId, RoomId, UserId
from client.session import Session
from client.store import Store
from client.store.epochs import EpochRow, Lines

logger = logging.getLogger("letterlock.client")

ALG: Final = "chat.e2ee.v1"
AGAIN_S: Final = 10.0  # what was not there is asked for again after this time at the earliest
Epoch = tuple[RoomId, int]
T = TypeVar("T")


class Fetcher:
    """Brings into the store what is missing there."""

    def __init__(self, store: Store, session: Session, book: KeyBook, others: OthersKeys) -> None:
        self._store = store
        self._session = session
        self._book = book
        self._others = others
        self._asked: dict[Epoch, float] = {}
        self.some_lacking = asyncio.Event()  # set when an epoch was asked for and there is no key for this user

    async def for_entries(self, entries: Sequence[Entry]) -> None:
        """What these entries need. Raises Refused, Unreachable and SignedOut."""
        sealed = [entry for entry in entries if isinstance(entry, MessageEntry) and entry.alg == ALG]
        made = [entry for entry in entries if isinstance(entry, EpochEntry)]
        rekeyed = {entry.user for entry in entries if isinstance(entry, KeysEntry)}
        if entries:
            await self.restore()
        if rekeyed:
            await _tolerantly(self._others.get(rekeyed, fresh=True))
            self._book.forget(rekeyed)
        # Of those that are here a new device has read the keys: hundreds of rooms' lists come when somebody writes there.
        news = {entry.room: entry.epoch for entry in made if self._store.epochs.find(entry.room, entry.epoch) is None}
        wanted = {(entry.room, entry.epoch) for entry in sealed} | {(entry.room, entry.epoch) for entry in made}
        await self.epochs(wanted, announced={(entry.room, entry.epoch): entry.digest for entry in made})
        makers = [self._store.epochs.find(*epoch) for epoch in wanted]
        await self.devices(
            {(entry.sender, entry.device) for entry in sealed} | {(row.creator, row.device) for row in makers if row},
            rooms={room for room, _ in wanted},
        )
        for room, epoch in news.items():
            await self.roster(room, epoch)

    async def restore(self) -> None:
        """Read the keys of all rooms, once in the life of a device: 500 epochs in one request."""
        while not self._store.epochs.is_restored:
            after = self._store.epochs.restored_to
            query = "" if after is None else f"&after={after}"
            page = decode_epochs(await self._session.request("GET", f"e2ee/epoch-keys?limit=500{query}"))
            if page.next is not None and (not isinstance(page.next, str) or page.next == after):
                raise MalformedFrame("the pages of keys do not go on")
            with self._store.database.transaction():
                self._store.epochs.put(page.rows)
                self._store.epochs.restored(page.next)
            await self.devices({(row.creator, row.device) for row in page.rows})

    async def epochs(self, wanted: Collection[Epoch], *, announced: dict[Epoch, bytes] | None = None) -> None:
        """Those of the epochs that are missing, or had no key for this user when they were last asked for."""
        now = time.monotonic()
        missing = {
            epoch for epoch in self._store.epochs.missing(wanted) if now - self._asked.get(epoch, -AGAIN_S) >= AGAIN_S
        }
        numbers = defaultdict(list)
        for room, number in missing:
            numbers[room].append(number)
        for room, some in numbers.items():
            await _tolerantly(self.range(room, min(some), max(some), announced=announced))
            # Only now: who was cut off in between has not asked.
            self._asked |= {(room, number): now for number in some}
        if missing and self._store.epochs.missing(missing):
            self.some_lacking.set()

    async def look(self, room: RoomId, epoch: int) -> None:
        """Whether there is a key by now."""
        await _tolerantly(self.range(room, epoch, epoch))

    async def range(self, room: RoomId, first: int, last: int, *, announced: dict[Epoch, bytes] | None = None) -> None:
        """Epochs of one room. Raises Refused."""
        start: int | None = first
        while start is not None:
            page = decode_epochs(await self._session.request("GET", f"rooms/{room}/epochs?from={start}&to={last}"))
            rows = [row for row in page.rows if row.room == room and _is_announced(row, announced or {})]
            self._store.epochs.put(rows)
            start = page.next if isinstance(page.next, int) and start < page.next <= last else None

    async def devices(self, wanted: Iterable[tuple[UserId, DeviceId]], *, rooms: Collection[RoomId] = ()) -> None:
        """Who made epochs or wrote messages: 200 users' documents in one request, and older ones where need be.

        If one of these is missing, so may be others' of the same rooms, who will write next: they are asked for as well.
        """
        missing = [each for each in wanted if self._others.device(*each) is None]
        if missing:
            users = {user for user, _ in missing} | self._strangers(rooms)
            await _tolerantly(self._others.get(users, fresh=True))
        for user, device in missing:
            if self._others.device(user, device) is None:
                await _tolerantly(self._others.find_device(user, device))

    def _strangers(self, rooms: Collection[RoomId]) -> set[UserId]:
        known = [self._store.rooms.find(room) for room in rooms]
        members = {member.user for found in known if found for member in found[0].members}
        return {user for user in members if self._others.known(user) is None}

    async def roster(self, room: RoomId, epoch: int) -> None:
        """The signed list of an epoch, with what it changed. It is kept only if it is the one that was signed."""
        if self._store.epochs.roster(room, epoch) is not None:
            return
        if self._store.epochs.roster_before(room, epoch) is None:
            # A new device has none to compare with.
            base = await self._signed_roster(room, epoch - 1)
            if base is not None:
                self._store.epochs.keep_roster(room, epoch - 1, to_lines(base), {})
        roster = await self._signed_roster(room, epoch)
        if roster is None:
            return
        with self._store.database.transaction():
            self.keep_roster(room, epoch, roster)
            # Whoever left before the list came must not read on, either.
            if self._store.mailbox.gone_from(room) & {line.user for line in roster}:
                self._store.epochs.outdate(room, epoch)

    async def _signed_roster(self, room: RoomId, epoch: int) -> tuple[RosterLine, ...] | None:
        row = self._store.epochs.find(room, epoch)
        if row is None:
            return None
        await self.devices([(row.creator, row.device)])
        try:
            record = self._book.record(room, epoch)
        except CannotOpen as error:
            logger.info("epoch %d of %s is not genuine: %s", epoch, room, error)
            return None
        answer = await _tolerantly(self._session.request("GET", f"rooms/{room}/epochs/{epoch}/roster"))
        try:
            roster = crypto.read_roster(answer.get("roster") if isinstance(answer, dict) else None)
            crypto.check_roster(record, roster)
        except CryptoError as error:
            logger.warning("the list of epoch %d of %s is not the one that was signed: %s", epoch, room, error)
            return None
        return roster

    def keep_roster(self, room: RoomId, epoch: int, roster: Sequence[RosterLine]) -> None:
        """Keep a list that was signed, with what it changed against the newest one before it."""
        before = self._store.epochs.roster_before(room, epoch)
        known = self._store.rooms.find(room)
        members = [member.user for member in known[0].members] if known else None
        change = change_of(None if before is None else from_lines(before), members, roster)
        self._store.epochs.keep_roster(room, epoch, to_lines(roster), asdict(change))


def to_lines(roster: Iterable[RosterLine]) -> Lines:
    """As the store has it."""
    return [(line.user, b64(line.identity), line.version) for line in roster]


def from_lines(lines: Lines) -> tuple[RosterLine, ...]:
    """Out of the store again."""
    return tuple(RosterLine(UserId(user), unb64(identity, 32), version) for user, identity, version in lines)


def _is_announced(row: EpochRow, announced: dict[Epoch, bytes]) -> bool:
    return announced.get((row.room, row.epoch)) in (None, digest(row.payload))


async def _tolerantly(asked: Awaitable[T]) -> T | Any:
    """The answer; None if it is no, or cannot be read. Raises what may go later, and SignedOut."""
    try:
        return await asked
    except Refused as refusal:
        if refusal.problem.may_retry:
            raise
        logger.info("no key: %s", refusal)
    except (CryptoError, MalformedFrame) as error:
        logger.warning("no key: %s", error)
    return None
