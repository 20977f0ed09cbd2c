"""A sealer that seals nothing: for tests of the path that messages take, on servers that allow `opaque.v1`."""

from collections.abc import Collection, Sequence

from client.errors import CannotOpen
from client.protocol.entries import Entry
from client.protocol.ids import RoomId
from client.protocol.opaque import Ciphertext
from client.protocol.problems import Problem
from client.sealer import Header, RosterChange


class Plain:
    """Passes bodies through as they are, under an algorithm that only tests allow."""

    alg = "opaque.v1"

    def __init__(self) -> None:
        self._epochs: dict[RoomId, int] = {}

    def check(self, header: Header, body: bytes) -> None:
        """Every body that fits."""

    def closed(self, room: RoomId) -> Problem | None:
        """Never."""
        return None

    def epoch(self, room: RoomId) -> int | None:
        """What the server last named."""
        return self._epochs.get(room, 0)

    def seal(self, header: Header, body: bytes) -> Ciphertext:
        """The body itself."""
        return Ciphertext(body)

    def outdated(self, room: RoomId, epoch: int, problem: Problem) -> None:
        """Take the epoch that the server names."""
        if isinstance(named := problem.more.get("epoch"), int):
            self._epochs[room] = max(named, self._epochs.get(room, 0))

    async def prepare(self, room: RoomId) -> None:
        """Nothing to do."""

    async def fetch(self, entries: Sequence[Entry]) -> None:
        """Nothing to do."""

    def arrived(self, entries: Sequence[Entry]) -> Collection[RoomId]:
        """None."""
        return ()

    def change(self, room: RoomId, epoch: int) -> RosterChange:
        """Nobody reads by keys here."""
        return RosterChange()

    def open(self, header: Header, alg: str, ciphertext: Ciphertext) -> bytes:
        """The body itself, if nobody sealed it."""
        if alg != self.alg:
            raise CannotOpen("not_verified", f"{alg} is not {self.alg}")
        return bytes(ciphertext)

    def keep(self, body: bytes) -> bytes:
        """The body itself."""
        return body

    def kept(self, kept: bytes) -> bytes:
        """The body itself."""
        return kept
