"""A real ZooKeeper for the tests, of Debian's package `zookeeper`: one server in a temporary folder, on loopback."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kazoo.client import KazooClient

from config.supervisor import ports
from tests.services import services

JAR = Path("/usr/share/java/zookeeper.jar")
IS_HERE = JAR.exists() and shutil.which("java") is not None
# In CI, what is missing is a failure (.ci/run).
MUST_BE_HERE = os.environ.get("CI") == "true"
MISSING = "no ZooKeeper: apt-get install zookeeper default-jre-headless"

needed = pytest.mark.skipif(not IS_HERE and not MUST_BE_HERE, reason=MISSING)

CONFIGURATION = """\
tickTime=500
dataDir={folder}
clientPort={port}
clientPortAddress=127.0.0.1
admin.enableServer=false
4lw.commands.whitelist=ruok
maxClientCnxns=0
"""


class Server:
    """One server; `stop` and `start` keep what it knows."""

    def __init__(self, folder: Path) -> None:
        assert IS_HERE, MISSING
        folder.mkdir(parents=True)
        self._folder, self.port = folder, ports.free()
        self._configuration = folder / "zoo.cfg"
        self._configuration.write_text(CONFIGURATION.format(folder=folder / "data", port=self.port))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str) -> str:
        """For `REGISTRY_URL`."""
        return f"zookeeper://127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        command = ["java", "-Xmx192m", "-XX:+UseSerialGC", "-cp", f"/etc/zookeeper/conf:{JAR}", main]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._configuration)], cwd=self._folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + 60
        while True:
            client = KazooClient(f"127.0.0.1:{self.port}")
            try:
                client.start(timeout=2)
                return
            except Exception:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()[-3_000:]
                assert self._process.poll() is None, (self._folder / "log").read_text()[-3_000:]
            finally:
                client.stop()
                client.close()

    def stop(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@cache
def server() -> Server:
    """This run's; it ends with the run."""
    made = Server(services().folder / "zookeeper")
    services().also_stop(made.stop)
    made.start()
    return made


@contextmanager
def client(url: str) -> Iterator[KazooClient]:
    """A client of the tests' own."""
    made = KazooClient(urlsplit(url).netloc)
    made.start(timeout=10)
    try:
        yield made
    finally:
        made.stop()
        made.close()


def expire(victim: KazooClient) -> None:
    """Have the server end the session of another client: by closing it in that one's name (ZooKeeper's own FAQ, 'expire a session')."""
    lost = victim.client_id
    impostor = KazooClient(hosts=",".join(f"{host}:{port}" for host, port in victim.hosts), client_id=lost)
    impostor.start(timeout=10)
    impostor.stop()
    impostor.close()
    deadline = time.monotonic() + 15
    while victim.client_id == lost or not victim.connected:
        assert time.monotonic() < deadline, "the session did not end"
        time.sleep(0.02)
