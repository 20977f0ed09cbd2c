"""`Client`: one device of one user. The page docs/client.md shows its use."""

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from client.accounts import AccountCalls
from client.carrying import RestCarrier
from client.connections import Connections
from client.connections.copy import Copy
from client.connections.gate import Gate
from client.connections.syncing import Changes, OnConflict, OnLag, Syncer, driven
from client.crypto.kdf import STANDARD, Strength
from client.epochs import Epochs, Upkeep
from client.errors import LetterlockError, SignedOut
from client.events import Hub, KeysUnlocked, State
from client.keeper import Keeper
from client.keys import Keys
from client.protocol.ids import RoomId
from client.reading import ReadingCalls
from client.receiving import Receiver
from client.rooms import RoomCalls
from client.sealer import Sealer
from client.sending import Sender
from client.session import Session
from client.store import Store
from client.transport.rest import Rest
from client.writing import WritingCalls

logger = logging.getLogger("letterlock.client")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Client(AccountCalls, RoomCalls, WritingCalls, ReadingCalls):
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
            try:
                self._keys = Keys(
                    self._store, self._session, self._hub, passphrase=passphrase, strength=strength,
                    on_unlocked=self._unlocked, now_s=lambda: now_ms() // 1000,
                )  # fmt: skip
            except LetterlockError:
                self._store.close()  # another passphrase may be tried
                raise
            self.epochs = Epochs(self._store, self._session, self._keys.own, self._keys.others)
            self._keys.own.before_leaving = self.epochs.sealer.book.open_all
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

    # Signing in: client/accounts.py.

    async def sign_out(self) -> None:
        """Have this device revoked. The mailbox stays in the store, sealed; the keys do not."""
        await self.disconnect()
        try:
            await self._session.leave()
        finally:
            if self._keys is not None:
                self._keys.own.forget()

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
        await self.keys.watch.look()
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
        if self._session.is_signed_in:
            self._sender.signed_in()
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
        """Wait until the socket is open and everything up to now is in the store. Raises what `stopped_by` says."""
        await self._keeper.live()

    @property
    def state(self) -> State:
        """How this device stands to the server."""
        return self._keeper.state

    @property
    def stopped_by(self) -> LetterlockError | None:
        """Why this device is `STOPPED`: SignedOut, Refused (`suspended`: nothing is revoked), MailboxDiverged, …"""
        return self._keeper.stopped_by

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


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
