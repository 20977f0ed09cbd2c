"""The registries that the conformance suite is run against: each test gets one of its own, with nobody in it."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from django.conf import settings
from django.test import override_settings

from delivery.registry import COUNTED_S, LEASE_MS, Facts, Registry, zookeeper_session
from delivery.registry.valkey import ValkeyRegistry
from delivery.registry.zookeeper import ZooKeeperRegistry
from kernel import valkey
from kernel.ids import uuid7
from tests.hosts import zookeeper


def facts(name: str = "web-1", **fields: Any) -> Facts:
    """What a host says of itself."""
    return Facts(url=f"http://{name}.example", **fields)


def wait_until(true: Callable[[], Any], patience_s: float = 3 * LEASE_MS / 1000) -> Any:
    """Ask until it is so; for what only time brings about, such as the end of a lease."""
    deadline = time.monotonic() + patience_s
    while not (answer := true()):
        assert time.monotonic() < deadline, f"did not happen in {patience_s} s"
        time.sleep(0.02)
    return answer


class ValkeyPlace:
    """The registry in this run's Valkey, under a prefix of its own."""

    # Whether it knows for longer than `COUNTED_S` where a user was.
    remembers = True

    def __init__(self) -> None:
        self.registry: Registry = ValkeyRegistry()

    def another(self) -> Registry:
        """The same registry, as another process sees it."""
        return ValkeyRegistry()

    def falls_silent(self, host: str) -> None:
        """The host renews no more; here that needs no doing."""

    def loses_lease(self, host: str) -> None:
        """The lease ends without the host's doing."""
        valkey.client().delete(valkey.key("host", host))

    def loses_routes(self, host: str) -> None:
        """What the host has noted of its users is gone, its lease is not."""
        valkey.client().delete(valkey.key("users", host), valkey.key("kept", host))

    def a_minute_passes(self) -> None:
        """Whoever has no socket counts no more."""
        self.time_passes(COUNTED_S + 1)

    def time_passes(self, seconds: float) -> None:
        """So much later."""
        client = valkey.client()
        for key in client.scan_iter(valkey.key("kept", "*")):
            for user in client.zrange(key, 0, -1):
                client.zincrby(key, -seconds * 1000, user)

    def is_wiped(self) -> None:
        """Everything is gone."""
        for key in valkey.client().scan_iter(f"{settings.KEY_PREFIX}:*"):
            valkey.client().delete(key)


class ZooKeeperPlace:
    """The registry in a real ZooKeeper, below a root of its own."""

    remembers = False

    def __init__(self) -> None:
        self.url = zookeeper.server().url(f"/registry-{uuid7()}")
        self._made: list[ZooKeeperRegistry] = []
        self.registry: Registry = self.another()

    def another(self) -> Registry:
        """The same registry, as another process sees it: with a session of its own."""
        self._made.append(made := ZooKeeperRegistry(self.url))
        return made

    def falls_silent(self, host: str) -> None:
        """ZooKeeper gives up the first one's session. (That it does when it hears nothing, a `kill -9` shows elsewhere.)"""
        self.loses_lease(host)

    def loses_lease(self, host: str) -> None:
        """The same: the session is closed behind the back of who has it."""
        client = self._made[0]._session._zk
        zookeeper.expire(client)

    def loses_routes(self, host: str) -> None:
        """What the host has noted of its users is gone, its lease is not."""
        with zookeeper.client(self.url) as client:
            for kind in ("routes", "sent"):
                client.delete(f"{urlsplit(self.url).path}/{kind}/{host}", recursive=True)

    def a_minute_passes(self) -> None:
        """Whoever has no socket counts no more."""
        self.time_passes(COUNTED_S + 1)

    def time_passes(self, seconds: float) -> None:
        """So much later."""
        for made in self._made:
            made._sent = deque((until - seconds, path, word) for until, path, word in made._sent)
            made._tidy()

    def is_wiped(self) -> None:
        """Everything is gone."""
        with zookeeper.client(self.url) as client:
            client.delete(urlsplit(self.url).path, recursive=True)

    def close(self) -> None:
        """End all sessions."""
        for made in self._made:
            made.close()


@contextmanager
def in_zookeeper() -> Iterator[ZooKeeperPlace]:
    """A place in ZooKeeper, which may take its time: what becomes of who is not answered is asked elsewhere."""
    place = ZooKeeperPlace()
    try:
        with patch.object(zookeeper_session, "ANSWER_S", 10.0):
            yield place
    finally:
        place.close()


@contextmanager
def in_valkey() -> Iterator[ValkeyPlace]:
    """A place in Valkey."""
    with override_settings(KEY_PREFIX=f"registry-{uuid7()}"):
        place = ValkeyPlace()
        try:
            yield place
        finally:
            place.is_wiped()
