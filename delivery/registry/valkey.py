"""The registry in Valkey: a lease is a key that expires, a host's routes are a set that expires with it.

letterlock:hosts               set of host ids, the dead ones among them until somebody looks
letterlock:host:<id>           the lease: JSON facts, PX LEASE_MS
letterlock:users:<id>          set of user ids with sockets there
"""

from collections.abc import Collection, Iterable, Mapping

import orjson
import redis
from django.conf import settings

from delivery.registry import RegistryAway
from kernel import valkey

LEASE_MS = 6_000
HOSTS = valkey.key("hosts")

# KEYS: hosts. Answers the live ones and forgets the dead, in one step.
LIVE = """
local live = {}
for _, host in ipairs(redis.call('SMEMBERS', KEYS[1])) do
    if redis.call('EXISTS', ARGV[1] .. ':host:' .. host) == 1 then
        live[#live + 1] = host
    else
        redis.call('SREM', KEYS[1], host)
        redis.call('DEL', ARGV[1] .. ':users:' .. host)
    end
end
return live
"""


class ValkeyRegistry:
    """See `delivery.registry.Registry`."""

    def renew(self, host: str, facts: Mapping[str, object]) -> bool:
        """See `Registry.renew`."""
        try:
            client = valkey.client()
            had = client.set(valkey.key("host", host), orjson.dumps(facts), px=LEASE_MS, get=True)
            client.sadd(HOSTS, host)
            has_routes = client.pexpire(valkey.key("users", host), LEASE_MS * 2)
        except redis.RedisError as error:
            raise RegistryAway from error
        return had is not None and bool(has_routes)

    def leave(self, host: str) -> None:
        """See `Registry.leave`."""
        try:
            valkey.client().delete(valkey.key("host", host), valkey.key("users", host))
            valkey.client().srem(HOSTS, host)
        except redis.RedisError as error:
            raise RegistryAway from error

    def route(self, host: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> None:
        """See `Registry.route`."""
        users = valkey.key("users", host)
        added, removed = list(add), list(remove)
        try:
            if added:
                valkey.client().sadd(users, *added)
            if removed:
                valkey.client().srem(users, *removed)
            valkey.client().pexpire(users, LEASE_MS * 2)
        except redis.RedisError as error:
            raise RegistryAway from error

    def hosts(self) -> list[str]:
        """See `Registry.hosts`."""
        try:
            return sorted(host.decode() for host in valkey.client().eval(LIVE, 1, HOSTS, settings.KEY_PREFIX))
        except redis.RedisError as error:
            raise RegistryAway from error

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
