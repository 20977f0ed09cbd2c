"""What a socket needs of the rest of its process: interfaces to the apps upstream, which `config.runtime` binds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from delivery.acks import AckBook
from delivery.host import Host
from delivery.lane import Answered, Lane
from kernel.database import Readers


class Services(Protocol):
    """What a socket needs of the apps upstream; `config.runtime` binds it."""

    def verify(self, token: str) -> tuple[UUID, UUID]:
        """The user and device of an access token. Raises `Unauthenticated`, or a 403 (suspended). Cheap."""

    async def welcome(self, *, user: UUID, device: UUID, client_name: str, client_version: str) -> None:
        """Note that the device is here. Raises a 403 (suspended)."""

    def submit(
        self, messages: Sequence[Any], *, user: str, device: str, lane: Lane, ref: str | None
    ) -> Sequence[Answered]:
        """Check and queue sends; answers those that are refused at once, the others come to `lane.answered`."""

    async def read(self, *, user: UUID, device: UUID, room: UUID, seq: int) -> None:
        """The user has read this room up to `seq`."""

    async def reject(self, *, user: UUID, message: UUID, later: UUID) -> str:
        """Refuse a late message; answers the stored reason."""

    async def members(self, *, user: str, room: str) -> Sequence[str]:
        """The other members of a room that the user is in. Raises a 404."""

    def hint(self, users: Sequence[str], frame: dict[str, Any], *, exclude_device: UUID) -> None:
        """Send a live frame to all sockets of these users."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Run this on the event loop; callable from any thread."""


@dataclass(frozen=True)
class Surroundings:
    """What every socket of this process shares."""

    host: Host
    readers: Readers
    acks: AckBook
    services: Services
