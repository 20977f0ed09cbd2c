"""A server of epochs in memory, and people whose sealers ask it: for what a real server never does.

It answers as docs/protocol.md §6.4 says and checks nothing, so a test can make it lie.
"""

import secrets
import time
from collections.abc import Collection
from dataclasses import replace
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.crypto import aead, epochs, userkeys
from client.crypto.encoding import Signed
from client.crypto.keys import EncryptionKey, signing_public
from client.crypto.userkeys import DeviceKey
from client.epochs.fetching import ALG
from client.epochs.sealing import SealedEpochs
from client.errors import Refused
from client.protocol.answers import SignedIn, Tokens
from client.protocol.entries import Entry, EpochEntry, MessageEntry, RoomEntry
from client.protocol.ids import DeviceId, RoomId, UserId, message_id
from client.protocol.inbox import Arrival
from client.protocol.problems import Problem
from client.sealer import Header, RosterChange
from client.store import Store


def new_id() -> str:
    return str(uuid4())


class Ledger:
    """What the server has: documents, rooms, epochs with their wraps and rosters."""

    def __init__(self) -> None:
        self.documents: dict[UserId, userkeys.UserKeys] = {}
        self.rooms: dict[RoomId, dict[str, Any]] = {}
        self.epochs: dict[RoomId, list[dict[str, Any]]] = {}
        self.stale: set[RoomId] = set()
        self.asked: list[str] = []
        self.refusals: list[Problem] = []  # for the next epochs, and keys of them, that somebody uploads

    def room(self, *members: "Person", kind: str = "direct", history: str = "joined") -> RoomId:
        room = RoomId(new_id())
        self.rooms[room] = {"kind": kind, "members": [p.user for p in members], "version": 1, "history": history}
        self.epochs[room] = []
        return room

    def changes(self, room: RoomId, *members: "Person", stale: bool = True) -> None:
        """Other members from now on."""
        self.rooms[room]["members"] = [person.user for person in members]
        self.rooms[room]["version"] += 1
        self.stale.update([room] if stale else [])

    def answer(self, me: UserId, method: str, path: str, body: Any) -> Any:
        self.asked.append(f"{method} {path}")
        path, _, query = path.partition("?")
        params = dict(pair.split("=") for pair in query.split("&") if pair)
        match [method, *path.split("/")]:
            case ["GET", "e2ee", "epoch-keys"]:
                mine = [
                    self._epoch(me, room, e) for room, some in self.epochs.items() for e in some if me in e["wraps"]
                ]
                return {"epochs": mine, "next": None}
            case ["GET", "rooms", room]:
                return self._room(RoomId(room))
            case ["GET", "rooms", room, "e2ee"]:
                return self._state(RoomId(room))
            case ["GET", "rooms", room, "epochs"]:
                first, last = int(params["from"]), int(params["to"])
                some = [e for e in self.epochs[RoomId(room)] if first <= e["epoch"] <= last]
                return {"epochs": [self._epoch(me, RoomId(room), epoch) for epoch in some], "next": None}
            case ["GET", "rooms", room, "epochs", number, "roster"]:
                return {"roster": self.epochs[RoomId(room)][int(number) - 1]["roster"]}
            case ["POST", "rooms", room, "epochs"]:
                return self._make(me, RoomId(room), body)
            case ["POST", "rooms", room, "epochs", "wraps"]:
                self._refuse()
                for wrap in body["wraps"]:
                    given = {"ver": wrap["ver"], "ct": wrap["ct"]}
                    self.epochs[RoomId(room)][wrap["epoch"] - 1]["wraps"].setdefault(body["user"], given)
                return None
        raise AssertionError(f"nobody asks for {method} {path}")

    def _room(self, room: RoomId) -> dict[str, Any]:
        now = self.rooms[room]
        members = [{"user": user, "username": user, "role": "member"} for user in now["members"]]
        return {
            "id": room, "kind": now["kind"], "members_version": now["version"], "epoch": len(self.epochs[room]),
            "members": members, "history": now["history"],
        }  # fmt: skip

    def _state(self, room: RoomId) -> dict[str, Any]:
        some, now = self.epochs[room], self.rooms[room]
        wanting = [user for user in now["members"] if some and user not in some[-1]["wraps"]]
        return {
            "epoch": len(some) or None, "stale": room in self.stale, "reasons": [], "members_version": now["version"],
            "history": now["history"], "wanting": wanting,
        }  # fmt: skip

    def _epoch(self, me: UserId, room: RoomId, epoch: dict[str, Any]) -> dict[str, Any]:
        names = ("epoch", "creator", "device", "record")
        return {"room": room, **{name: epoch[name] for name in names}, "wrap": epoch["wraps"].get(me)}

    def _refuse(self) -> None:
        if self.refusals:
            raise Refused(self.refusals.pop(0))

    def _make(self, me: UserId, room: RoomId, body: dict[str, Any]) -> dict[str, Any]:
        self._refuse()
        number = len(self.epochs[room]) + 1
        device = DeviceId(body["record"]["signatures"][0]["keyid"])
        self.epochs[room].append({"epoch": number, "creator": me, "device": device, **body})
        self.stale.discard(room)
        return {"epoch": number}


class Session:
    """`client.session.Session` as the sealer uses it."""

    def __init__(self, ledger: Ledger, user: UserId, device: DeviceId) -> None:
        self._ledger = ledger
        self.signed_in = SignedIn(user, user, device, "phone", Tokens("", 2**52, "", 2**52))

    async def request(self, method: str, path: str, body: Any = None, *, repeat: bool | None = None) -> Any:
        return self._ledger.answer(self.signed_in.user, method, path, body)


class Keys:
    """Somebody's own keys and the others' documents, as `client.epochs.ports` asks for them."""

    def __init__(self, ledger: Ledger) -> None:
        self.device_key = Ed25519PrivateKey.generate()
        self.versions = {1: EncryptionKey.fresh(1)}
        self.unverified: set[UserId] = set()
        self._ledger = ledger
        self._storage = aead.hkdf(b"storage", b"")
        self._pinned: dict[UserId, userkeys.UserKeys] = {}

    @property
    def newest_version(self) -> int | None:
        return max(self.versions, default=None)

    def encryption_key(self, version: int) -> EncryptionKey | None:
        return self.versions.get(version)

    def storage_seal(self, secret: bytes) -> bytes:
        return aead.seal(self._storage, secret, b"test")

    def storage_open(self, sealed: bytes) -> bytes:
        return aead.open(self._storage, sealed, b"test")

    def known(self, user: UserId) -> userkeys.UserKeys | None:
        return self._pinned.get(user)

    async def get(self, users: Collection[UserId], *, fresh: bool = False) -> dict[UserId, userkeys.UserKeys]:
        there = self._ledger.documents
        self._pinned |= {u: there[u] for u in users if u in there and (fresh or u not in self._pinned)}
        return {user: self._pinned[user] for user in users if user in self._pinned}

    def device(self, user: UserId, device: DeviceId) -> DeviceKey | None:
        return self._pinned[user].device(device) if user in self._pinned else None

    async def find_device(self, user: UserId, device: DeviceId) -> DeviceKey | None:
        return self.device(user, device)

    def held(self) -> set[UserId]:
        return self.unverified


class Person:
    """Somebody with one device, and its sealer."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger, self.name, self.keys = ledger, name, Keys(ledger)
        self.user, self.device = UserId(new_id()), DeviceId(new_id())
        self.identity = Ed25519PrivateKey.generate()
        listed = DeviceKey(self.device, signing_public(self.keys.device_key), int(time.time()) - 60)
        announced = self.keys.versions[1].announced
        self.publishes(userkeys.first(self.user, signing_public(self.identity), announced, listed))
        self.starts()

    def __repr__(self) -> str:
        return self.name

    def starts(self) -> None:
        """With an empty store, as a new installation that was given the old keys."""
        self.store = Store(":memory:")
        self.store.identity.save(Session(self.ledger, self.user, self.device).signed_in)
        self.goes_on()

    def goes_on(self) -> None:
        """In another process, with the store of the one before."""
        session: Any = Session(self.ledger, self.user, self.device)
        self.sealer = SealedEpochs(self.store, session, self.keys, self.keys)

    @property
    def document(self) -> userkeys.UserKeys:
        return self.ledger.documents[self.user]

    def publishes(self, content: userkeys.Content) -> None:
        """The next key document."""
        self.ledger.documents[self.user] = content.sign(self.identity)

    def rotates(self) -> None:
        """Another encryption key."""
        version = max(self.keys.versions) + 1
        self.keys.versions[version] = EncryptionKey.fresh(version)
        self.publishes(self.document.next().with_encryption_key(self.keys.versions[version].announced))

    def begins_again(self) -> None:
        """With another encryption key and an empty store: nothing of before can be opened."""
        self.rotates()
        self.keys.versions = {self.keys.newest_version: self.keys.versions[self.keys.newest_version]}
        self.starts()

    async def says(self, room: RoomId, text: str) -> MessageEntry:
        """Seal a text; the entry that others get."""
        await self.sealer.prepare(room)
        epoch = self.sealer.epoch(room)
        assert epoch is not None, "the room was not prepared"
        now_ms = time.time_ns() // 1_000_000
        id = message_id(now_ms, secrets.randbits(74))
        sealed = self.sealer.seal(Header(id, room, self.user, self.device, now_ms, epoch), text.encode())
        return MessageEntry(1, id, room, self.user, self.device, None, now_ms, now_ms, ALG, epoch, sealed)

    def stale(self, room: RoomId, epoch: int | None = None, more: dict[str, Any] | None = None) -> None:
        """The server does not take what was sealed under the room's newest epoch; or under this one, and says more."""
        if epoch is None:
            newest = self.store.epochs.newest(room)
            epoch = newest.epoch if newest else 0
        self.sealer.outdated(room, epoch, Problem("epoch_stale", 409, more=more or {}))

    async def reads(self, entry: MessageEntry, **changes: Any) -> str:
        """Get what the entry needs, and open it; `changes` are what the server says otherwise. Raises CannotOpen."""
        entry = replace(entry, **changes)
        await self.sealer.fetch([entry])
        return self.opens(entry)

    def opens(self, entry: MessageEntry) -> str:
        """From the store alone."""
        header = Header(entry.id, entry.room, entry.sender, entry.device, entry.sent_at, entry.epoch, entry.accepted_at)
        return self.sealer.open(header, entry.alg, entry.ciphertext).decode()

    async def hears_of(self, room: RoomId, epoch: int) -> RosterChange:
        """The entry of an epoch arrives; what it changed."""
        made = self.ledger.epochs[room][epoch - 1]
        digest = Signed.read(made["record"], epochs.KIND).digest
        await self.arrives(EpochEntry(1, room, epoch, made["creator"], made["device"], digest))
        return self.sealer.change(room, epoch)

    async def finds(self, *entries: Entry) -> None:
        """What the mailbox begins with."""
        self.store.mailbox.append(Arrival(entries=entries))
        await self.arrives(*entries)

    async def arrives(self, *entries: Entry) -> None:
        """What the mailbox has."""
        await self.sealer.fetch(entries)
        for entry in entries:
            if isinstance(entry, RoomEntry):
                self.store.rooms.changed(entry.room, entry.members_version)
        self.sealer.arrived(entries)
