"""What an application hears, and how: every entry of the mailbox in order, and live news beside them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from client.protocol.answers import Accepted
from client.protocol.changes import Change
from client.protocol.frames import Receipt
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.problems import Problem
from client.protocol.relations import Relation, Settings

AHEAD = 1_000
NEWS = 10_000
PAGE = 200


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the mailbox, opened. Show by `seq`. `body` is None if it could not be opened; `problem` then says why:

    `locked` (this device lacks the user's encryption key: unlock with the password), `no_key` (the room's key of that time was
    never meant for this user, or could not be had), `not_verified` (not what its sender signed). Ask again after `KeysUnlocked`.

    `refused`: by this user's client because it came too late (protocol §3.3), or on its way to somebody because one of the two
    blocks the other (§5.5). `reason` then is `late` or `blocked`.
    """

    seq: int
    id: MessageId
    room: RoomId
    sender: UserId
    device: DeviceId
    sent_at: int
    accepted_at: int
    body: bytes | None
    refused: bool
    reason: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class MessageRejected:
    """`message` of `sender` was refused to `by`. As `late`, it may be sent again under a new id; as `blocked`, it may not."""

    seq: int
    message: MessageId
    room: RoomId
    sender: UserId
    by: UserId
    reason: str


@dataclass(frozen=True, slots=True)
class RoomChanged:
    """The members of a room, or their roles, changed; `users` may name only the first of many."""

    seq: int
    room: RoomId
    change: str
    by: UserId | None
    users: tuple[UserId, ...]
    role: str | None


@dataclass(frozen=True, slots=True)
class ConnectionChanged:
    """What the user has with another changed, or the user's settings did; on any device, or by the other's doing."""

    seq: int
    version: int
    connection: Relation | None
    settings: Settings | None


@dataclass(frozen=True, slots=True)
class EpochChanged:
    """A room has a new epoch, made by `creator`. Its signed roster differs from the one before by these users:

    who can read from now on, who no longer can, and whose keys are others now (a new identity or encryption key).
    None of them: not known yet, or the same roster.
    """

    seq: int
    room: RoomId
    epoch: int
    creator: UserId
    added: tuple[UserId, ...] = ()
    removed: tuple[UserId, ...] = ()
    rekeyed: tuple[UserId, ...] = ()


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """A user published keys. `change`: `devices`, `encryption`, `identity`, or `vault_read` (one's own vault was opened)."""

    seq: int
    user: UserId
    change: str
    device: DeviceId | None


@dataclass(frozen=True, slots=True)
class EntryHidden:
    """A number of the mailbox without content for this user, or of a kind that this version does not know."""

    seq: int


@dataclass(frozen=True, slots=True)
class MessageAccepted:
    """The server has committed one of this device's messages."""

    accepted: Accepted


@dataclass(frozen=True, slots=True)
class MessageRenewed:
    """One of this device's messages, which the server cannot have, goes under another id: its time was too far from the server's."""

    message: MessageId
    renewed: MessageId


@dataclass(frozen=True, slots=True)
class MessageFailed:
    """One of this device's messages was refused for good; it is among `failed()`."""

    message: MessageId
    problem: Problem


@dataclass(frozen=True, slots=True)
class ConnectionsSynced:
    """The device's copy is complete up to `version`; these are new to it."""

    version: int
    connections: tuple[Relation, ...]


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """The server has made a change of this device's user, or found it made; `connection` is how it is now."""

    change: Change
    connection: Relation


@dataclass(frozen=True, slots=True)
class ChangeFailed:
    """A change of this device's user is not made, and not queued any more."""

    change: Change
    problem: Problem


@dataclass(frozen=True, slots=True)
class ReceiptReceived:
    """Somebody has, or has read, this user's messages up to the named ones."""

    receipt: Receipt


@dataclass(frozen=True, slots=True)
class ReadElsewhere:
    """The user has read the room up to `seq` on another device."""

    room: RoomId
    seq: int


@dataclass(frozen=True, slots=True)
class SomebodyTypes:
    """`user` is writing in `room`."""

    room: RoomId
    user: UserId


@dataclass(frozen=True, slots=True)
class IdentityChanged:
    """A user has another identity key than before. If it had been verified, nothing is sent to the user until it is again."""

    user: UserId
    was_verified: bool


@dataclass(frozen=True, slots=True)
class KeysLocked:
    """This device lacks the user's newest encryption key: `client.keys.unlock(password)` brings it."""


@dataclass(frozen=True, slots=True)
class KeysUnlocked:
    """This device can open again what it could not."""


@dataclass(frozen=True, slots=True)
class VaultOpened:
    """A device of this user read the vault: it was this user who signed in there, or somebody who knows the password."""

    device: DeviceId | None


class State(Enum):
    """How the device stands to the server."""

    OFFLINE = "offline"  # no socket: not asked for, or waiting for the next attempt
    CONNECTING = "connecting"  # opening a socket, saying hello
    CATCHING_UP = "catching up"  # receiving what it missed
    LIVE = "live"  # everything up to now is here
    STOPPED = "stopped"  # signed out, suspended, or a fault that reconnecting cannot mend; `reason` says which


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The connection's state, with the reason where there is one."""

    state: State
    reason: str = ""


EntryEvent = Message | MessageRejected | RoomChanged | ConnectionChanged | EpochChanged | KeysChanged | EntryHidden
News = (
    MessageAccepted | MessageRenewed | MessageFailed | ConnectionsSynced | ChangeMade | ChangeFailed | ReceiptReceived
    | ReadElsewhere | SomebodyTypes | StateChanged | IdentityChanged | KeysLocked | KeysUnlocked | VaultOpened
)  # fmt: skip
Event = EntryEvent | News


class Subscription:
    """An async iterator over the entries after a seq, and over the news from now on.

    Entries come from the store when the reader is behind, so a slow reader costs disk, not memory, and misses none.
    Of the news, a reader that is 10 000 behind loses the oldest.
    """

    def __init__(
        self, after: int, read: Callable[[int, int], Sequence[EntryEvent]], leave: Callable[["Subscription"], None]
    ) -> None:
        self.after = after
        self._read = read
        self._leave = leave
        self._ahead: deque[EntryEvent] = deque()
        self._behind = True  # the store may hold entries after the last one ahead
        self._news: deque[News] = deque(maxlen=NEWS)
        self._awake = asyncio.Event()
        self._awake.set()
        self._closed = False

    def offer(self, entries: Sequence[EntryEvent]) -> None:
        """Entries that have just been stored."""
        newest = self._ahead[-1].seq if self._ahead else self.after
        if not self._behind and entries and entries[0].seq == newest + 1 and len(self._ahead) < AHEAD:
            self._ahead.extend(entries)
        else:
            self._behind = True
        self._awake.set()

    def tell(self, news: News) -> None:
        """Something else that has just happened."""
        self._news.append(news)
        self._awake.set()

    def close(self) -> None:
        """End the iteration."""
        self._closed = True
        self._awake.set()
        self._leave(self)

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Event:
        while not self._closed:
            if self._news:
                return self._news.popleft()
            if not self._ahead and self._behind:
                self._ahead.extend(self._read(self.after, PAGE))
                self._behind = bool(self._ahead)
            if self._ahead:
                entry = self._ahead.popleft()
                self.after = entry.seq
                return entry
            self._awake.clear()
            await self._awake.wait()
        raise StopAsyncIteration


class Hub:
    """Hands every event to every subscription."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def subscribe(self, after: int, read: Callable[[int, int], Sequence[EntryEvent]]) -> Subscription:
        """Listen to the entries after a seq, which `read(after, limit)` gets from the store, and to the news."""
        subscription = Subscription(after, read, self._subscriptions.remove)
        self._subscriptions.append(subscription)
        return subscription

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return bool(self._subscriptions)

    def stored(self, entries: Sequence[EntryEvent]) -> None:
        """Tell of entries that have just been stored."""
        for subscription in self._subscriptions:
            subscription.offer(entries)

    def tell(self, news: News) -> None:
        """Tell of something else."""
        for subscription in self._subscriptions:
            subscription.tell(news)

    def close(self) -> None:
        """End every iteration."""
        for subscription in list(self._subscriptions):
            subscription.close()
