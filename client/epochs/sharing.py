"""Keys of earlier epochs for who came later, in rooms whose history is for all (protocol §6.4).

    an `added` entry, or the server names somebody who wants  →  kept in the store  →  wrapped, oldest first  →  uploaded

The newest epoch goes last: as long as it is missing the server names the user as wanting, so a giver that dies half-way is
followed by another. Whoever added gives at once, the others' devices look after a while whether that happened. A device that
cannot open all of them (its user has begun again with new keys, say) lets the others go first.

The server only reminds: it can have nobody given keys whom this device does not show as a member, nor in a room whose history is
not for all as far as this device was told first.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from client.crypto import epochs as crypto
from client.crypto.userkeys import UserKeys
from client.epochs.answers import RoomState
from client.epochs.fetching import Fetcher
from client.epochs.keybook import KeyBook
from client.epochs.ports import OthersKeys
from client.errors import CannotOpen, Refused
from client.protocol.answers import decode_room
from client.protocol.entries import RoomEntry
from client.protocol.ids import RoomId, UserId
from client.session import Session
from client.store import Store

if TYPE_CHECKING:  # it is built with this module's class beside it
    from client.epochs.making import Maker

logger = logging.getLogger("letterlock.client")

PAGE: Final = 500  # wraps in one request
LOOK_MS: Final = (5_000, 60_000)  # when the devices that did not add somebody look, at random
OTHERS_MS: Final = 2 * LOOK_MS[1]  # for so long another device may give more than this one has
LATER_MS: Final = 600_000  # when somebody has no keys yet
# When it is tried again: the member's keys are asked for anew, or this device is first to be listed (its vault is locked).
AGAIN_MS: Final = {"userkeys_changed": 1_000, "device_not_listed": LATER_MS}
LOOKS: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)  # seconds between looking for keys that were given to this user


class Shares:
    """What is to be given, kept in the store until the server has it; and what this user was given."""

    def __init__(
        self, store: Store, session: Session, others: OthersKeys, book: KeyBook, fetcher: Fetcher, maker: "Maker"
    ) -> None:
        self._store = store
        self._session = session
        self._others = others
        self._book = book
        self._fetcher = fetcher
        self._maker = maker
        self.awake = asyncio.Event()

    def joined(self, entry: RoomEntry) -> None:
        """Somebody was added; part of the caller's transaction. Whether the room's history is for all is asked later."""
        known = self._store.rooms.find(entry.room)
        if known is not None and known[0].history != "all":
            return
        me = self._session.signed_in.user
        delay = 0 if entry.by == me else random.randint(*LOOK_MS)
        for user in entry.users:
            if user != me:
                self._store.epochs.want_share(entry.room, user, _now_ms() + delay)
        self.awake.set()

    def seen(self, room: RoomId, state: RoomState) -> None:
        """The server names members who want the newest epoch's key."""
        if state.epoch and self._is_for_all(room):
            for user in state.wanting:
                if user != self._session.signed_in.user:
                    self._store.epochs.want_share(room, user, _now_ms())
            self.awake.set()

    async def step(self) -> float:
        """Give what is due; in how many seconds there is more. Raises Refused, Unreachable, SignedOut."""
        for room, user, due_at in self._store.epochs.shares():
            if due_at > _now_ms():
                break
            try:
                await self._give(room, user)
            except Refused as refusal:
                if refusal.problem.may_retry:
                    raise
                logger.info("keys of %s are not given: %s", room, refusal)
                self._store.epochs.settle_share(room, user)
        return min((max(0, due - _now_ms()) / 1000 for _, _, due in self._store.epochs.shares()), default=float("inf"))

    async def _give(self, room: RoomId, user: UserId) -> None:
        state = await self._maker.state(room)
        if not state.epoch or user not in state.wanting or not await self._is_shown(room, user):
            self._store.epochs.settle_share(room, user)
            return
        document = (await self._others.get([user], fresh=True)).get(user)
        if document is None or user in self._others.held():
            self._store.epochs.postpone_share(room, user, _now_ms() + LATER_MS)
            return
        await self._fetcher.range(room, 1, state.epoch)
        wraps = self._wraps(room, document)
        if len(wraps) < state.epoch and (until := self._others_until(room, user)) > _now_ms():
            self._store.epochs.postpone_share(room, user, until)
            return
        try:
            for start in range(0, len(wraps), PAGE):
                body = {"user": user, "wraps": wraps[start : start + PAGE]}
                await self._session.request("POST", f"rooms/{room}/epochs/wraps", body, repeat=True)
        except Refused as refusal:
            if refusal.code not in AGAIN_MS:
                raise
            self._store.epochs.postpone_share(room, user, _now_ms() + AGAIN_MS[refusal.code])
            return
        self._store.epochs.settle_share(room, user)

    def _others_until(self, room: RoomId, user: UserId) -> int:
        """Kept, too: neither reminders nor another process make it earlier or later."""
        return self._store.epochs.others_first(room, user, _now_ms() + OTHERS_MS)

    def _is_for_all(self, room: RoomId) -> bool:
        known = self._store.rooms.find(room)
        return known is not None and known[0].kind == "group" and known[0].history == "all"

    async def _is_shown(self, room: RoomId, user: UserId) -> bool:
        """Whether the user is a member as this device has it, of a room whose history is for all."""
        known = self._store.rooms.find(room)
        if known is None or known[1]:
            told = decode_room(await self._session.request("GET", f"rooms/{room}"))
            self._store.keep_room(told, self._session.signed_in.user)
            known = self._store.rooms.find(room)
        return known is not None and self._is_for_all(room) and user in {member.user for member in known[0].members}

    def _wraps(self, room: RoomId, document: UserKeys) -> list[dict[str, object]]:
        """Every epoch of the room that this device can open, for one user; oldest first."""
        wraps: list[dict[str, object]] = []
        for epoch in self._store.epochs.numbers(room):
            try:
                secret = self._book.key(room, epoch).secret
            except CannotOpen:
                continue
            sealed = crypto.wrap(secret, room, epoch, document.user, document.encryption)
            wraps.append({"epoch": epoch, **crypto.wrap_json(document.encryption.version, sealed)})
        return wraps


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Looks:
    """Keys of epochs that this user has none of yet: nobody tells when somebody has given them. `on_found`: some are there."""

    def __init__(self, store: Store, fetcher: Fetcher, on_found: Callable[[], None]) -> None:
        self._store = store
        self._fetcher = fetcher
        self._on_found = on_found
        self._next: dict[tuple[RoomId, int], tuple[float, int]] = {}  # when (monotonic), and how often so far
        self.awake = fetcher.some_lacking

    def again(self) -> None:
        """Begin anew with short pauses: the device is online again, or there is something new to look for."""
        self._next.clear()
        self.awake.set()

    def _may_come(self, room: RoomId) -> bool:
        known = self._store.rooms.find(room)
        return known is None or known[0].history == "all"

    async def step(self) -> float:
        """Look for what is due; in how many seconds there is more. Raises Refused, Unreachable, SignedOut."""
        found = False
        lacking = [epoch for epoch in self._store.epochs.lacking() if self._may_come(epoch[0])]
        for room, epoch in lacking:
            at, looks = self._next.get((room, epoch), (time.monotonic() + LOOKS[0], 0))
            self._next[room, epoch] = at, looks
            if at > time.monotonic() or looks >= len(LOOKS):
                continue
            self._next[room, epoch] = time.monotonic() + LOOKS[min(looks + 1, len(LOOKS) - 1)], looks + 1
            await self._fetcher.look(room, epoch)
            found = found or not self._store.epochs.missing([(room, epoch)])
        if found:
            self._on_found()
        now = time.monotonic()
        pending = [at - now for at, looks in map(self._next.__getitem__, lacking) if looks < len(LOOKS)]
        return max(0.0, min(pending, default=float("inf")))
