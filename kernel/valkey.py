"""The sync Valkey client: one pool a process, short timeouts, and a breaker so that a dead Valkey costs nothing.

Everything in Valkey is a hint (design §5, "When Valkey is down"): callers catch `redis.RedisError` and go on.
"""

import threading
import time
from typing import Any, cast

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

TIMEOUT_S = 0.3
OPEN_S = 1.0


class Away(redis.ConnectionError):
    """The breaker is open: Valkey was away within the last second."""


class Valkey(redis.Redis):
    """A client whose commands fail at once for `OPEN_S` seconds after a connection error or time-out."""

    _away_until = 0.0

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command; raises `redis.RedisError`."""
        if time.monotonic() < self._away_until:
            raise Away("Valkey is away")
        try:
            return super().execute_command(*args, **options)
        except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
            self.tripped()
            raise error if isinstance(error, redis.RedisError) else redis.ConnectionError(str(error)) from error

    def tripped(self) -> None:
        """Open the breaker; users of pipelines call this on an error."""
        self._away_until = time.monotonic() + OPEN_S

    @property
    def is_away(self) -> bool:
        """Whether the breaker is open."""
        return time.monotonic() < self._away_until


_lock = threading.Lock()
_client: Valkey | None = None


def connect(url: str, *, timeout: float = TIMEOUT_S) -> Valkey:
    """A client of its own pool for this URL. No retries: a hint that comes late is worth nothing."""
    return cast(Valkey, Valkey.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 0),
    ))  # fmt: skip


def client() -> Valkey:
    """This process's shared client."""
    global _client
    if _client is None:
        with _lock:
            if _client is None:
                _client = connect(settings.VALKEY_URL)
    return _client


def key(*parts: object) -> str:
    """A key of ours: the parts behind the prefix, joined by colons."""
    return ":".join((settings.KEY_PREFIX, *map(str, parts)))
