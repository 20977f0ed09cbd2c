"""The registry in Valkey. Everything about a host is in keys of its own, which end with its lease.

letterlock:hosts               set of host ids, the dead ones among them until somebody looks
letterlock:host:<id>           the lease: hash of `facts`, `capacity`, `draining` (0, 1) and `drain` (seconds, when asked to)
letterlock:users:<id>          set of user ids with sockets there
letterlock:kept:<id>           sorted set of users who were sent there and have no socket there (yet, or any more), by when (ms)
"""

from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

import redis
from django.conf import settings

from delivery import hosts as choosing
from delivery.registry import (
    COUNTED_S,
    KEPT_S,
    LEASE_MS,
    AllFull,
    Facts,
    HostState,
    NoHost,
    Place,
    RegistryAway,
    Renewal,
)
from delivery.registry import valkey_scripts as scripts
from kernel import valkey

# Of one script: many more would hold up everybody else's commands.
CHUNK = 1_000
# How often a question is asked again because there were other hosts than it named.
TRIES = 5


class ValkeyRegistry:
    """See `delivery.registry.Registry`."""

    def renew(self, host: str, facts: Facts) -> Renewal:
        """See `Registry.renew`."""
        known, drain = _run(
            scripts.RENEW, host, LEASE_MS, facts.dump(), facts.capacity, int(facts.draining), KEPT_S * 1000,
            "" if facts.drain_s is None else facts.drain_s,
        )  # fmt: skip
        return Renewal(bool(known), None if drain is None else float(drain))

    def leave(self, host: str) -> None:
        """See `Registry.leave`."""
        _run(scripts.LEAVE, host)

    def route(self, host: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """See `Registry.route`."""
        for script, users in ((scripts.ADD, list(add)), (scripts.REMOVE, list(remove))):
            for start in range(0, len(users), CHUNK):
                _run(script, host, LEASE_MS, *users[start : start + CHUNK])

    def hosts(self) -> list[str]:
        """See `Registry.hosts`."""
        return sorted(host.decode() for host in _run(scripts.LIVE))

    def holding(self, hosts: Collection[str], users: Collection[str]) -> dict[str, set[str]]:
        """See `Registry.holding`: one SMISMEMBER per host, in one round trip."""
        asked = list(users)
        client = valkey.client()
        if client.is_away:
            raise RegistryAway
        pipe = client.pipeline(transaction=False)
        for host in hosts:
            pipe.smismember(valkey.key("users", host), asked)
        try:
            answers = pipe.execute()
        except redis.RedisError as error:
            client.tripped()
            raise RegistryAway from error
        return {
            host: {user for user, held in zip(asked, answer, strict=True) if held}
            for host, answer in zip(hosts, answers, strict=True)
        }

    def states(self) -> list[HostState]:
        """See `Registry.states`."""
        found = _run(scripts.STATES, COUNTED_S * 1000)
        return sorted(
            (
                HostState(host.decode(), Facts.load(facts), int(users), bool(int(draining)), int(lease))
                for host, facts, users, draining, lease in found
            ),
            key=lambda state: state.id,
        )

    def assign(self, user: str) -> Place:
        """See `Registry.assign`: the user's order is made here, the choice in one script."""
        for _ in range(TRIES):
            order = choosing.ranked(user, self.hosts())
            answer, *more = _run(scripts.ASSIGN, user, COUNTED_S * 1000, *order)
            match answer:
                case b"host":
                    host, facts = more
                    return Place(host.decode(), Facts.load(facts).url)
                case b"full":
                    raise AllFull
                case b"none":
                    raise NoHost
        raise RegistryAway  # hosts come and go faster than we can ask

    def drain(self, host: str, seconds: float | None) -> bool:
        """See `Registry.drain`."""
        return bool(_run(scripts.DRAIN, host, "" if seconds is None else seconds))


@cache
def _script(text: str) -> Any:
    return valkey.client().register_script(scripts.COMMON + text)


def _run(text: str, *arguments: Any) -> Any:
    """One script of ours; the key prefix goes before its arguments."""
    try:
        return _script(text)(keys=[valkey.key("hosts")], args=[settings.KEY_PREFIX, *arguments], client=valkey.client())
    except redis.RedisError as error:
        raise RegistryAway from error
