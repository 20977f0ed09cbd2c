"""`Client`: one device of one user. The page docs/client.md shows its use."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from client.accounts import AccountCalls
from client.carrying import RestCarrier
from client.connections import Connections
from client.connections.copy import Copy
from client.connections.gate import Gate
from client.connections.syncing import Changes, OnConflict, OnLag, Syncer, driven
from client.crypto.kdf import STANDARD, Strength
from client.epochs import Epochs, Upkeep
from client.errors import LetterlockError, Refused, SignedOut
from client.events import EpochChanged, Event, Hub, KeysUnlocked, Message, RoomChanged, State, Subscription
from client.keeper import Keeper
from client.keys import Keys
from client.protocol.answers import (
    Accepted,
    SignedIn,
)
from client.protocol.frames import Read, Typing, receipt_of
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.problems import Problem
from client.receiving import Receiver
from client.rooms import RoomCalls
from client.sealer import Sealer
from client.sending import Sender
from client.session import Session
from client.store import Store
from client.transport.rest import Rest

logger = logging.getLogger("letterlock.client")
TYPING_S = 3.0
ROOMS_OF_RECEIPTS = 10

E = TypeVar("E")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Client(AccountCalls, RoomCalls):
    """A device. Use it as an asynchronous context manager; what it knows is in its store, and survives it.

    `url`: where the server is, such as `http://127.0.0.1:8000`. `store`: the device's SQLite file (made if need be).
    Messages are sealed; keys are in `keys`. `passphrase`: under which this device's keys rest. `strength`: Argon2id's, for
    passwords that are chosen here. `sealer`: another encryption in the place of ours, without `keys`. `carrier`: whether messages are sent over the
    socket (they wait until it is there) or by REST. `patience`: for how many seconds a request is repeated.
    `on_conflict`, `on_lag`: ask the user about a change of connections. `enforce_blocks=False` is for tests of the server:
    this client then writes to whom it knows to be blocked, as a hostile one would, and that gets people's attention.
    """

    def __init__(
        self, url: str, store: str | Path, *, sealer: Sealer | None = None, carrier: Literal["socket", "rest"] = "socket",
        patience: float = 30.0, now_ms: Callable[[], int] = _now_ms, on_conflict: OnConflict | None = None,
        on_lag: OnLag | None = None, enforce_blocks: bool = True, passphrase: str | None = None,
        strength: Strength = STANDARD,
    ) -> None:  # fmt: skip
        self._store = Store(store)
        self._rest = Rest(url)
        self._session = Session(self._rest, self._store, patience=patience)
        self._hub = Hub()
        self._online = asyncio.Event()
        self._keys_due = asyncio.Event()
        self._keys: Keys | None = None
        self._upkeep: Upkeep | None = None
        if sealer is None:
            self._keys = Keys(
                self._store, self._session, self._hub, passphrase=passphrase, strength=strength,
                on_unlocked=self._unlocked, now_s=lambda: now_ms() // 1000,
            )  # fmt: skip
            self.epochs = Epochs(self._store, self._session, self._keys.own, self._keys.others)
            sealer = self.epochs.sealer
        gate = Gate(self._store, enforce=enforce_blocks)
        self._sender = Sender(self._store, self._session, sealer, self._hub, gate, now_ms)
        if self._keys is not None:
            self._upkeep = Upkeep(self._store, self._sender, self.epochs, self._found_keys)
        copy = Copy(self._store, self._hub, self._connections_changed)
        self._syncer = Syncer(self._store, self._session, copy)
        self._changes = Changes(self._store, self._session, copy, self._hub, self._syncer, on_conflict, on_lag)
        self.connections = Connections(
            self._store, self._session, self._syncer, self._changes, online=self._is_online, on_press=self._sender.recheck
        )  # fmt: skip
        self._receiver = Receiver(
            self._store, self._session, sealer, self._hub, self._sender, copy, on_blocked=self._syncer.want
        )  # fmt: skip
        self._keeper = Keeper(
            url, self._store, self._session, self._sender, self._receiver, self._hub, carries=carrier == "socket",
            on_live=self._read_lagging_receipts, on_state=self._state_changed,
        )  # fmt: skip
        self._carrier = carrier
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._callbacks: list[asyncio.Task[None]] = []
        self._typed: dict[RoomId, float] = {}

    async def __aenter__(self) -> Self:
        self._carry()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End everything; the sign-in, the mailbox and the outbox stay in the store."""
        await self.disconnect()
        self._hub.close()
        await _end(*self._tasks.values(), *self._callbacks)
        await self._changes.close()
        await self._rest.close()
        self._store.close()

    # Signing in.

    async def register(
        self, username: str, password: str, *, device_name: str, check_strength: bool = True
    ) -> SignedIn:
        """Make an account, with this as its first device. `keys.recovery_key` is then to be shown. Raises WeakPassword."""
        if self._keys is None:
            form = {"username": username, "password": password, "device_name": device_name}
            signed_in = await self._session.enter("accounts/register", form)
        else:
            signed_in = await self._keys.account.register(
                username, password, device_name=device_name, strength=self._keys.strength, check_strength=check_strength
            )
        self._carry()
        return signed_in

    async def sign_in(self, username: str, password: str, *, device_name: str) -> SignedIn:
        """Make this a device of an account. Raises WeakKdf, RolledBack and the like when the server is not to be trusted."""
        if self._keys is None:
            form = {"username": username, "password": password, "device_name": device_name}
            signed_in = await self._session.enter("accounts/sign-in", form)
        else:
            signed_in = await self._keys.account.sign_in(username, password, device_name=device_name)
        self._carry()
        return signed_in

    async def recover(
        self, username: str, recovery_key: str, *, device_name: str, new_password: str | None = None
    ) -> SignedIn:
        """Make this a device of an account by its recovery key; with another password from now on, if one is given."""
        signed_in = await self.keys.account.recover(
            username, recovery_key, device_name=device_name, new_password=new_password, strength=self.keys.strength
        )
        self._carry()
        return signed_in

    async def sign_out(self) -> None:
        """Have this device revoked. The mailbox stays in the store, sealed; the keys do not."""
        await self.disconnect()
        await self._session.leave()
        if self._keys is not None:
            self._keys.own.forget()

    @property
    def keys(self) -> Keys:
        """Keys of this user and of others. Raises LetterlockError for a client with another sealer."""
        if self._keys is None:
            raise LetterlockError("this client has no keys")
        return self._keys

    # Connections: the rest is in `self.connections`.

    def _keep_in_step(self) -> None:
        if self._ended("connections"):
            self._tasks["connections"] = asyncio.create_task(self._in_step())

    async def _in_step(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(driven(self._syncer.step, self._syncer.awake, self._online))
                tasks.create_task(driven(self._changes.step, self._changes.awake, self._online))
                if self._keys is not None and self._upkeep is not None:
                    tasks.create_task(driven(self._look_at_keys, self._keys_due, self._online))
                    tasks.create_task(self._upkeep.run(self._online))
        except* SignedOut:
            pass  # What waits, waits for the next sign-in.
        except* Exception:
            logger.exception("connections and keys are not kept in step any more")

    async def _look_at_keys(self) -> float:
        await self.keys.account.look()
        return float("inf")

    def _unlocked(self) -> None:
        self._found_keys()
        if self._upkeep is not None:
            self._upkeep.arrived()

    def _found_keys(self) -> None:
        self._hub.tell(KeysUnlocked())

    def _now_online(self) -> None:
        self._online.set()
        self._syncer.want()
        self._changes.awake.set()
        self._keys_due.set()
        if self._upkeep is not None:
            self._upkeep.arrived()

    def _connections_changed(self, a_block: bool) -> None:
        self._sender.recheck()
        self._syncer.stored(a_block=a_block)

    def _state_changed(self, state: State) -> None:
        if state is State.LIVE:
            self._now_online()
        elif self._carrier == "socket":
            self._online.clear()

    def _is_online(self) -> bool:
        return self._online.is_set() and (self._carrier == "socket" or self._session.is_reachable)

    # Sending.

    def _carry(self) -> None:
        """Have the outbox sent by REST, if that is how this client sends. The socket does it by itself."""
        if self._carrier == "rest" and self._session.is_signed_in:
            if self._ended("carrier"):
                self._tasks["carrier"] = asyncio.create_task(self._carry_by_rest())
            self._now_online()
            self._keep_in_step()

    async def _carry_by_rest(self) -> None:
        try:
            await RestCarrier(self._sender, self._session).run()
        except SignedOut:
            pass  # The outbox waits for the next sign-in.
        except Exception:
            logger.exception("sending by REST is given up")

    def queue(self, room: RoomId, *bodies: bytes) -> list[MessageId]:
        """Put messages into the persistent outbox. They are sent in this order as soon as that is possible.

        Raises Refused (`invalid`, `too_large`) for a body that no server would take, and Blocked in a direct room when one of
        the two blocks the other; then none of them is queued.
        """
        return self._sender.queue(room, bodies)

    async def accepted(self, message: MessageId) -> Accepted:
        """Wait until a queued message is committed. Raises SendRefused. Ending the wait does not end the sending."""
        return await self._sender.accepted(message)

    async def send(self, room: RoomId, body: bytes) -> Accepted:
        """Send a message, and wait until the server has committed it."""
        (message,) = self.queue(room, body)
        return await self.accepted(message)

    def unsent(self) -> list[MessageId]:
        """What is still in the outbox, in order."""
        return [draft.message.id for draft in self._store.drafts.waiting()]

    def waiting(self) -> list[tuple[MessageId, RoomId, bytes, int]]:
        """The same with room, body and `sent_at` (ms), for showing."""
        return [(message.id, message.room, body, message.sent_at) for message, body in self._sender.waiting()]

    def failed(self) -> list[tuple[MessageId, RoomId, bytes, Problem]]:
        """Messages that were refused for good, with their bodies, until they are discarded."""
        return [(message.id, message.room, body, problem) for message, body, problem in self._sender.failed()]

    def discard(self, message: MessageId) -> bool:
        """Give up a failed message, or one that was never sent. False for others: they may have been accepted."""
        return self._sender.discard(message)

    # Receiving.

    def connect(self) -> None:
        """Keep a socket open from now on: receive, and (carrier `socket`) send. Raises SignedOut."""
        _ = self.me
        if self._ended("keeper"):
            self._tasks["keeper"] = asyncio.create_task(self._keeper.run())
            self._keep_in_step()

    def _ended(self, task: str) -> bool:
        return task not in self._tasks or self._tasks[task].done()

    async def disconnect(self) -> None:
        """Close the socket, and leave it closed."""
        if "keeper" in self._tasks:
            await _end(self._tasks.pop("keeper"))
        if self._carrier == "socket" and "connections" in self._tasks:
            await _end(self._tasks.pop("connections"))

    def hurry(self) -> None:
        """Connect now if a back-off is running: the network is back, or the user is waiting. Use it for events, not in a loop."""
        self._keeper.hurry()

    def drop(self) -> None:
        """Lose the socket as a dead network would; the client comes back by itself. For tests."""
        self._keeper.abort()

    async def caught_up(self) -> None:
        """Wait until the socket is open and everything up to now is in the store."""
        await self._keeper.live()

    @property
    def state(self) -> State:
        """How this device stands to the server."""
        return self._keeper.state

    @property
    def connects(self) -> int:
        """How many sockets were opened so far."""
        return self._keeper.connects

    async def fetch(self) -> int:
        """Without a socket: get what this device lacks, over REST, and acknowledge it. Returns the cursor."""
        cursor = await self._receiver.fetch()
        try:
            await self._syncer.tell_missed()
        except LetterlockError as error:
            logger.info("connections are not in step: %s", error)
        return cursor

    async def fetch_history(self) -> int:
        """Read the whole mailbox, from what is stored to its end, over REST; acknowledges nothing. Returns the newest seq."""
        await self._receiver.backfill(self._receiver.begin())
        return self.stored

    async def newest(self) -> int:
        """The newest seq of the mailbox on the server."""
        return (await self._receiver.page("mailbox?limit=1")).last_seq

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

    def unread(self, room: RoomId) -> int:
        """How many messages of others are unread in a room."""
        return self._store.rooms.unread(room, self.me.user)

    def read_position(self, room: RoomId) -> int:
        """Up to which seq the user has read a room, on any device, as far as this one knows."""
        return self._store.rooms.read_position(room)

    def typing(self, room: RoomId) -> None:
        """The user is writing. At most one frame in 3 s goes out, and none without a connection."""
        now = time.monotonic()
        if self._keeper.connection is not None and now - self._typed.get(room, float("-inf")) >= TYPING_S:
            self._typed[room] = now
            self._keeper.connection.put(Typing(room))

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
        for room in self._store.rooms.lagging(self.me.user, self.me.device, ROOMS_OF_RECEIPTS):
            try:
                await self.fetch_receipts(room)
            except Refused:
                continue  # not a member any more


async def _call(events: AsyncIterator[Event], kind: type[E], callback: Callable[[E], Awaitable[None] | None]) -> None:
    async for event in events:
        if isinstance(event, kind) and (pending := callback(event)) is not None:
            await pending


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
