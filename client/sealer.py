"""The seam where encryption goes: a `Sealer` turns bodies into what the server stores, and back.

    queue  →  check  →  epoch?  →  seal                        at once, offline too
                           └ none  →  prepare  →  seal         the message waits in its place meanwhile
    entries  →  fetch  →  stored, arrived  →  open              keys come before what they open

`client.epochs` is the one that applications use. Another can be given to `Client`; those that do not seal are for tests.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from client.protocol.entries import Entry
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.opaque import Ciphertext
from client.protocol.problems import Problem


@dataclass(frozen=True, slots=True)
class Header:
    """What stands beside a body in the clear, for a sealer to bind to it. Times in ms; `accepted_at` of what arrived."""

    id: MessageId
    room: RoomId
    sender: UserId
    device: DeviceId
    sent_at: int
    epoch: int
    accepted_at: int | None = None


@dataclass(frozen=True, slots=True)
class RosterChange:
    """By whom the roster of an epoch differs from the one before it."""

    added: tuple[UserId, ...] = ()
    removed: tuple[UserId, ...] = ()
    rekeyed: tuple[UserId, ...] = ()


class Sealer(Protocol):
    """Seals a body for the members of a room, and opens what they sealed."""

    @property
    def alg(self) -> str:
        """The name that goes with what `seal` makes; matches `^[A-Za-z0-9_.:-]{1,32}$`."""
        ...

    def check(self, header: Header, body: bytes) -> None:
        """Whether the body can be sent at all. Raises Refused."""
        ...

    def closed(self, room: RoomId) -> Problem | None:
        """Why nothing may be sealed for a room before the user has done something about it; None: nothing keeps it."""
        ...

    def epoch(self, room: RoomId) -> int | None:
        """The epoch to seal under now. None: there is none at hand, and `prepare` has to come first."""
        ...

    def seal(self, header: Header, body: bytes) -> Ciphertext:
        """Seal a body for the epoch that `epoch` has named. Called once per message and epoch; repeats send the same bytes."""
        ...

    def outdated(self, room: RoomId, epoch: int, problem: Problem) -> None:
        """The server has refused a message that was sealed under this epoch, as `epoch_stale`."""
        ...

    async def prepare(self, room: RoomId) -> None:
        """Have an epoch at hand: get the newest, or make one. Raises Refused, Unreachable, SignedOut."""
        ...

    async def fetch(self, entries: Sequence[Entry]) -> None:
        """Get the keys that these entries need, before they are stored. Raises Refused, Unreachable when that may go later."""
        ...

    def arrived(self, entries: Sequence[Entry]) -> Collection[RoomId]:
        """These are being stored, in this transaction; the rooms in which other keys may be due now."""
        ...

    def change(self, room: RoomId, epoch: int) -> RosterChange:
        """What an epoch changed about who can read, as far as this device knows."""
        ...

    def open(self, header: Header, alg: str, ciphertext: Ciphertext) -> bytes:
        """Open what any sealer of the room made; raises CannotOpen. May be called again for the same message."""
        ...

    def keep(self, body: bytes) -> bytes:
        """A body as it rests in the outbox until it is accepted."""
        ...

    def kept(self, kept: bytes) -> bytes:
        """The body again. Raises CannotOpen."""
        ...
