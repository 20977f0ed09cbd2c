"""Which web processes are alive, which users have sockets there, and where a user belongs: leases, routes, assignments.

All of it is a hint (design §6). When it is gone, pushes miss their host and sockets find the gap in their mailbox; hosts
register again, and users are sent to the hosts that have their sockets, or where the same choice leads.

A user counts for a host while the host holds a socket of the user (a *route*), and for `COUNTED_S` after being sent
there or having left; so long the host is the user's. A registry may know for `KEPT_S` where a user was, and sends the
user there again if the host is below its bound. Times are the registry's, never a host's own.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import orjson
from django.conf import settings

# A host that could not renew for so long is dead to everybody else.
LEASE_MS = 4_000
COUNTED_S = 60
KEPT_S = 3_600


@dataclass(frozen=True, slots=True)
class Facts:
    """What a host says of itself: where it is reached, how many users it may have (0: as many as come), its sockets.

    `drain_s`: it was told to empty itself within these seconds. So a registry that loses its memory does not undo that.
    """

    url: str
    capacity: int = 0
    sockets: int = 0
    draining: bool = False
    drain_s: float | None = None

    def dump(self) -> bytes:
        """As it is stored."""
        return orjson.dumps(asdict(self))

    @classmethod
    def load(cls, stored: bytes) -> "Facts":
        """The same from what was stored, by a host of another version maybe."""
        found: dict[str, Any] = orjson.loads(stored or b"{}")
        drain_s = found.get("drain_s")
        return cls(
            url=str(found.get("url", "")),
            capacity=int(found.get("capacity", 0)),
            sockets=int(found.get("sockets", 0)),
            draining=bool(found.get("draining")),
            drain_s=None if drain_s is None else float(drain_s),
        )


@dataclass(frozen=True, slots=True)
class HostState:
    """A live host: what it says, and what the registry knows of it."""

    id: str
    facts: Facts
    users: int
    draining: bool
    lease_ms: int


class Renewal(NamedTuple):
    """What a host learns by renewing: whether lease and routes were still there, and within how many seconds to empty itself."""

    was_known: bool
    drain_s: float | None


class Place(NamedTuple):
    """Where a user's devices should connect."""

    host: str
    url: str


class RegistryAway(Exception):
    """The registry cannot be asked now."""


class NoHost(Exception):
    """No live host takes users."""


class AllFull(NoHost):
    """Every live host that takes users has as many as it may have."""


class Registry(Protocol):
    """What the rest of delivery asks of a registry. Calls may raise `RegistryAway` and never block for long."""

    def renew(self, host: str, facts: Facts) -> Renewal:
        """Renew the host's lease. If it was not known any more, the host publishes its routes again, and is drained as it says."""

    def leave(self, host: str) -> None:
        """Give up the lease and the routes."""

    def route(self, host: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """The host holds (no longer holds) sockets of these users. Who comes here is not expected elsewhere any more."""

    def hosts(self) -> list[str]:
        """The hosts whose lease is alive."""

    def holding(self, hosts: Collection[str], users: Collection[str]) -> dict[str, set[str]]:
        """For each of these hosts, those of these users whose sockets it holds."""

    def states(self) -> list[HostState]:
        """Everything about the live hosts."""

    def assign(self, user: str) -> Place:
        """Where this user's devices should connect (`hosts.choose`), decided once: two who ask at once hear the same.

        Raises `AllFull` or `NoHost`.
        """

    def drain(self, host: str, seconds: float | None) -> bool:
        """Have this host take nobody more and empty itself within about these seconds (None: not any more).

        Answers whether there is such a host.
        """


@cache
def current() -> Registry:
    """The registry of this system, as `REGISTRY_URL` says."""
    if urlsplit(settings.REGISTRY_URL).scheme == "zookeeper":
        from delivery.registry.zookeeper import ZooKeeperRegistry  # kazoo only where it is used

        return ZooKeeperRegistry(settings.REGISTRY_URL)
    from delivery.registry.valkey import ValkeyRegistry

    return ValkeyRegistry()
