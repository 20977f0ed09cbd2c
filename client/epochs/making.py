"""Having an epoch to seal under: the newest one if it is good, else a new one (protocol §6.4).

how does the room stand?  →  get the newest  →  may it be sealed under?  →  done
                                                └ no: members and their keys  →  make the next  →  upload
                                                      409: somebody was faster, or members or keys have changed  →  again
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import Final

from client.crypto import epochs as crypto
from client.crypto.encoding import digest
from client.crypto.epochs import NewEpoch
from client.crypto.userkeys import UserKeys
from client.epochs.answers import RoomState, decode_state
from client.epochs.fetching import Fetcher
from client.epochs.keybook import KeyBook
from client.epochs.ports import OthersKeys, OwnKeys
from client.errors import LetterlockError, Refused
from client.protocol.answers import Room, decode_room
from client.protocol.ids import RoomId, UserId
from client.protocol.problems import Problem
from client.session import Session
from client.store import Store

logger = logging.getLogger("letterlock.client")

ATTEMPTS: Final = 5  # in a row; then after a back-off
INLINE: Final = 50  # members; wrapping for more takes longer than 5 ms, and is done in a thread
AGAIN: Final = frozenset({"epoch_exists", "members_changed", "userkeys_changed"})
# What others or the user have to do first; whoever waits is woken by the entries or the news that tell of it.
WAITS: Final = frozenset({"keys_missing", "device_not_listed"})


class NotYet(LetterlockError):
    """There can be no epoch now: keys are missing, this device's or a member's. Something else has to happen first."""


class Maker:
    """Gets or makes epochs. `usable`: under which epoch of a room may be sealed, from the store."""

    def __init__(
        self, store: Store, session: Session, own: OwnKeys, others: OthersKeys, book: KeyBook, fetcher: Fetcher,
        usable: Callable[[RoomId], int | None],
    ) -> None:  # fmt: skip
        self._store = store
        self._session = session
        self._own = own
        self._others = others
        self._book = book
        self._fetcher = fetcher
        self._usable = usable

    async def prepare(self, room: RoomId) -> RoomState | None:
        """Have an epoch to seal under; the room's state, if it had to be asked for. Raises NotYet, Refused, Unreachable."""
        await self._fetcher.restore()
        state = None
        for _ in range(ATTEMPTS):
            if self._usable(room) is not None:
                return state
            state = await self.state(room)
            await self._get_newest(room, state)
            if self._usable(room) is not None and not state.stale:
                return state
            try:
                await self._make(room, state.epoch)
            except Refused as refusal:
                if refusal.code in WAITS:
                    raise NotYet(str(refusal)) from refusal
                if refusal.code not in AGAIN:
                    raise
                logger.info("the next epoch of %s is made again: %s", room, refusal.code)
        if self._usable(room) is not None:
            return state
        raise Refused(Problem("unavailable", 503, detail="the room's members or keys change too fast, or disagree"))

    async def state(self, room: RoomId) -> RoomState:
        """How the server says that the room stands. Raises Refused when it has gone back behind what is known here."""
        state = decode_state(await self._session.request("GET", f"rooms/{room}/e2ee"))
        newest = self._store.epochs.newest(room)
        if newest is not None and state.epoch < newest.epoch:
            detail = f"the server names epoch {state.epoch}, after {newest.epoch}"
            raise Refused(Problem("epoch_rolled_back", 409, detail=detail, more={"epoch": newest.epoch}))
        return state

    async def _get_newest(self, room: RoomId, state: RoomState) -> None:
        if not state.epoch:
            return
        await self._learn_peer(room)
        newest = self._store.epochs.newest(room)
        if newest is None or newest.epoch < state.epoch or newest.key is None:
            await self._fetcher.range(room, state.epoch, state.epoch)
        row = self._store.epochs.find(room, state.epoch)
        if row is None:
            raise NotYet("the server does not hand out the epoch that it names")
        await self._fetcher.devices([(row.creator, row.device)])
        await self._fetcher.roster(room, state.epoch)
        if state.stale:
            self._store.epochs.outdate(room, state.epoch)

    async def _learn_peer(self, room: RoomId) -> None:
        """With whom a direct room is, decides who may read there: it is learned once, and never again."""
        if self._store.rooms.find(room) is None:
            told = decode_room(await self._session.request("GET", f"rooms/{room}"))
            self._store.keep_room(told, self._session.signed_in.user)

    async def _make(self, room: RoomId, current: int) -> None:
        now = decode_room(await self._session.request("GET", f"rooms/{room}"))
        if self._store.rooms.find(room) is None:
            self._store.keep_room(now, self._session.signed_in.user)
        members = [member.user for member in now.members]
        documents = await self._others.get(members, fresh=True)
        self._check_readers(now, documents)
        before = self._store.epochs.find(room, current)
        if current and before is None:
            raise NotYet("the epoch before is not here")
        prev = digest(before.payload) if before is not None else b""
        made = await self._create(room, current + 1, prev, list(documents.values()))
        body = made.json(now.members_version)
        try:
            await self._session.request("POST", f"rooms/{room}/epochs", body, repeat=True)
        except Refused as refusal:
            if refusal.code == "userkeys_changed":
                await self._others.get(_users(refusal.problem), fresh=True)
            raise
        self._keep(made)
        # Only now: a first list is compared with who was there as far as this device knew.
        self._store.keep_room(now, self._session.signed_in.user)

    def _check_readers(self, room: Room, documents: dict[UserId, UserKeys]) -> None:
        me, peer = self._session.signed_in.user, room.peer_of(self._session.signed_in.user)
        if held := set(self._others.held()) & {member.user for member in room.members}:
            raise Refused(held_problem(held))
        if me not in documents:
            raise NotYet("this user has no keys")
        if (room.kind == "direct" and peer is None) or self._store.epochs.pin_peer(room.id, peer) != peer:
            raise Refused(Problem("invalid", 409, detail="a direct room stays one, with the same two people"))
        if peer is not None and peer not in documents:
            raise NotYet("the other one has no keys yet")

    async def _create(self, room: RoomId, epoch: int, prev: bytes, documents: list[UserKeys]) -> NewEpoch:
        me, signer, now_s = self._session.signed_in, self._own.device_key, int(time.time())
        if len(documents) <= INLINE:
            return crypto.create(room, epoch, prev, me.user, me.device, signer, documents, now_s)
        return await asyncio.to_thread(crypto.create, room, epoch, prev, me.user, me.device, signer, documents, now_s)

    def _keep(self, made: NewEpoch) -> None:
        with self._store.database.transaction():
            self._book.made(made)
            self._fetcher.keep_roster(made.record.room, made.record.epoch, made.roster)


def held_problem(users: Collection[UserId]) -> Problem:
    """Why nothing is sealed while a verified user has other keys."""
    detail = "a verified member has another identity key: compare safety numbers, and verify again"
    return Problem("keys_held", 409, "Nothing is sent.", detail, more={"users": sorted(users)})


def _users(problem: Problem) -> list[UserId]:
    users = problem.more.get("users")
    return [UserId(str(user)) for user in users] if isinstance(users, list) else []
