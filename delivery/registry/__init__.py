"""Which web processes are alive, and which of them hold sockets of a user: leases and routes (design §6).

All of it is a hint. When it is gone, pushes miss their host and sockets find the gap in their mailbox.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol


class Registry(Protocol):
    """What the rest of delivery asks of a registry. Calls may raise `RegistryAway` and never block for long."""

    def renew(self, host: str, facts: Mapping[str, object]) -> bool:
        """Renew the host's lease; answers False when it or the routes had vanished, so that the host publishes these again."""

    def leave(self, host: str) -> None:
        """Give up the lease and the routes."""

    def route(self, host: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """The host holds (no longer holds) sockets of these users."""

    def hosts(self) -> list[str]:
        """The hosts whose lease is alive."""

    def holding(self, hosts: Collection[str], users: Collection[str]) -> dict[str, set[str]]:
        """For each of these hosts, those of these users whose sockets it holds."""


class RegistryAway(Exception):
    """The registry cannot be asked now."""
