"""The host assigner: where the devices of a user should connect (docs/protocol.md §4.5)."""

import random
from collections.abc import Collection
from uuid import UUID

from delivery import registry
from delivery.registry import AllFull, NoHost, Place, RegistryAway
from kernel.errors import Overloaded, Unavailable

# When all are full: hosts become free as users leave, and a new one takes about this long to start.
FULL_S = 5
AWAY_S = 1


def host_of(user: UUID) -> Place:
    """The live host for this user: the same while the user counts there, and later again if it is not over its share.

    Raises `Overloaded` when all are full, `Unavailable` when there is none or nobody can be asked.
    """
    try:
        return registry.current().assign(str(user))
    except AllFull as full:
        # Many are told at the same time, and must not all be back at the same time.
        after = round(FULL_S * random.uniform(1, 2), 1)
        raise Overloaded("Every host has as many users as it may have.", retry_after=after) from full
    except (NoHost, RegistryAway) as away:
        raise Unavailable("No host can be named now; use the first URL.", retry_after=AWAY_S) from away


def connected(users: Collection[UUID]) -> list[tuple[Place, list[UUID]]]:
    """The hosts that hold sockets of any of these users, each with those users. Raises `Unavailable`."""
    try:
        states = {state.id: state for state in registry.current().states()}
        holding = registry.current().holding(list(states), [str(user) for user in users]) if states and users else {}
    except RegistryAway as away:
        raise Unavailable(retry_after=AWAY_S) from away
    return [
        (Place(host, states[host].facts.url), [user for user in users if str(user) in held])
        for host, held in sorted(holding.items())
        if held
    ]
