"""Which host a user's devices should connect to. Pure: the registries do the same in one step (delivery/registry).

Rendezvous hashing with bounded load: every user has an order of all hosts, which depends on nothing but the names, so a
host that goes away moves its own users only. The first host in that order that is not loaded over its share takes a user.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

# Who does not count at a host yet does not come to one that has a quarter more than the mean (docs/adr/0050).
SLACK_QUARTERS = 5


@dataclass(frozen=True, slots=True)
class Load:
    """A live host: how many users it has, how many it may have (0: as many as come), and whether it is being emptied."""

    host: str
    users: int
    capacity: int = 0
    draining: bool = False

    @property
    def is_full(self) -> bool:
        """Whether it has as many users as it may have."""
        return 0 < self.capacity <= self.users


def name_of(host: str) -> str:
    """The host's name without its process: a host that was started again keeps its place in everybody's order."""
    return host.rpartition(".")[0] or host


def ranked(user: str, hosts: Iterable[str]) -> list[str]:
    """The hosts in this user's own order, the first choice first."""
    return sorted(hosts, key=lambda host: (_weight(user, name_of(host)), host), reverse=True)


def _weight(user: str, name: str) -> bytes:
    return blake2b(f"{name}\0{user}".encode(), digest_size=8).digest()


def bound(users: int, hosts: int) -> int:
    """How many users a host may have once another one has come to these `users` on `hosts` hosts: ⌈1.25 × the mean⌉."""
    return -(-SLACK_QUARTERS * (users + 1) // (4 * hosts))


def choose(
    user: str,
    loads: Sequence[Load],
    *,
    holding: Collection[str] = (),
    counted: Collection[str] = (),
    last: Collection[str] = (),
) -> str | None:
    """The host for this user's devices, or None when no live host takes users. The user is not among those of `loads`.

    1. A host that holds sockets of the user already (`holding`): all devices together.
    2. One where the user counts without sockets (`counted`), if there is room: nobody else has been given the place.
    3. One that has room and is below the bound: where the user was `last`, else the first in the user's order. The bound
       counts only hosts that have room: a small one that is full does not lower what the others may take.
    """
    takers = {load.host: load for load in loads if not load.draining}
    order = ranked(user, takers)
    for host in order:
        if host in holding:
            return host
    free = {host: takers[host] for host in order if not takers[host].is_full}
    for host in free:
        if host in counted:
            return host
    most = bound(sum(load.users for load in free.values()), len(free)) if free else 0
    below = [host for host, load in free.items() if load.users < most]
    return next((host for host in below if host in last), below[0] if below else None)
