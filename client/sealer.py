"""The seam where encryption goes: a `Sealer` turns bodies into what the server stores, and back.

The only one here is `NoEncryption`, and it is what its name says.
"""

from dataclasses import dataclass
from typing import Protocol

from client.errors import CannotOpen
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.opaque import Ciphertext


@dataclass(frozen=True, slots=True)
class Header:
    """What stands beside a body in the clear, for a sealer to bind to it."""

    id: MessageId
    room: RoomId
    sender: UserId
    device: DeviceId
    sent_at: int
    epoch: int


class Sealer(Protocol):
    """Seals a body for the members of a room, and opens what they sealed."""

    @property
    def alg(self) -> str:
        """The name that goes with what `seal` makes; matches `^[A-Za-z0-9_.:-]{1,32}$`."""
        ...

    def seal(self, header: Header, body: bytes) -> Ciphertext:
        """Seal a body. Called once per message and epoch; repeats send the same bytes."""
        ...

    def open(self, header: Header, alg: str, ciphertext: Ciphertext) -> bytes:
        """Open what any sealer of the room made; raises CannotOpen. May be called again for the same message."""
        ...


class NoEncryption:
    """Passes bodies through AS THEY ARE: the server, its backups and its staff can read them."""

    alg = "opaque.v1"

    def seal(self, header: Header, body: bytes) -> Ciphertext:
        """The body itself."""
        return Ciphertext(body)

    def open(self, header: Header, alg: str, ciphertext: Ciphertext) -> bytes:
        """The body itself, if nobody sealed it."""
        if alg != self.alg:
            raise CannotOpen(f"{alg} is not {self.alg}")
        return bytes(ciphertext)
