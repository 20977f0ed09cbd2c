"""What is measured: a Letterlock of our own (`manage.py up` on free ports, in a directory of its own), one that already
runs, or the baseline."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from bench import meter
from bench.machine import ROOT

READY_S = 120
# First match decides; a process that matches nothing belongs to its parent's group.
_GROUPS = (
    ("postgres", re.compile(r"^(\S*/)?postgres\b")),
    ("valkey", re.compile(r"^(\S*/)?(valkey|redis)-server\b")),
    ("beat", re.compile(r"\bbeat\b")),
    ("workers", re.compile(r"manage\.py worker\b|\bcelery\b.*\bworker\b")),
    ("web", re.compile(r"manage\.py web\b|\bdaphne\b")),
)


def group_of(command: str) -> str | None:
    """The group that a command line belongs to."""
    return next((name for name, pattern in _GROUPS if pattern.search(command)), None)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that are free now, next to each other: `--web N` counts up from the first."""
    for _ in range(100):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = probe.getsockname()[1]
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return list(range(first, first + count))
    raise RuntimeError("no free ports")


class NotReady(Exception):
    """The system did not come up."""


class System:
    """Something with URLs, whose processes can be told apart. `roots` are the top processes with their groups."""

    def __init__(self, urls: Sequence[str], roots: dict[int, str]) -> None:
        self.urls, self.roots = list(urls), roots

    def groups(self) -> dict[str, list[int]]:
        """The processes of each group, now."""
        return meter.tree(self.roots, group_of)

    def stop(self) -> None:
        """Nothing of ours."""


def attached(urls: list[str], others: list[str]) -> System:
    """A system that already runs: the listeners of its URLs, and of `others` (`postgres=5432`, `workers=pid:77`)."""
    roots: dict[int, str] = {}
    for url in urls:
        pid = meter.listener(urlsplit(url).port or 80)
        if pid is None:
            raise NotReady(f"nobody listens at {url}")
        roots[pid] = "web"
    for other in others:
        name, _, where = other.partition("=")
        pid = int(where[4:]) if where.startswith("pid:") else meter.listener(int(where))
        if pid is None:
            raise NotReady(f"nobody listens on {where}")
        roots[pid] = name
    return System(urls, roots)


class Started(System):
    """A system that we start and stop, in a directory of its own under the system's temporary directory."""

    def __init__(
        self,
        command: list[str],
        env: dict[str, str],
        urls: list[str],
        ready: str,
        group: str,
        log: Path,
        *,
        checkout: Path = ROOT,
    ) -> None:
        self.log = log
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command,
                cwd=checkout,
                env=os.environ | env,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        super().__init__(urls, {self._process.pid: group})
        try:
            self._wait(ready)
        except BaseException:
            self.stop()
            raise

    def _wait(self, ready: str) -> None:
        deadline = time.monotonic() + READY_S
        for url in self.urls:
            while not _answers(url + ready):
                if self._process.poll() is not None:
                    raise NotReady(f"it ended with {self._process.returncode}:\n{self.tail()}")
                if time.monotonic() > deadline:
                    raise NotReady(f"not ready after {READY_S} s:\n{self.tail()}")
                time.sleep(0.2)

    def tail(self) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-25:])

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after 20 s."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def letterlock(directory: Path, *, web: int, workers: int, extra: dict[str, str], checkout: Path = ROOT) -> Started:
    """`manage.py up` of a checkout with its own data, on free ports, with rates that let a generator on one address work."""
    var = directory / "var"
    var.mkdir()
    ports = free_ports(web)
    # The rates are per device and address and meant for people; the generator is one address with everybody behind it, and
    # for memory opens many sockets of one device.
    env = {"LETTERLOCK_VAR": str(var), "RATE_SCALE": "1000", "MOST_SOCKETS_PER_DEVICE": "100"} | extra
    command = [sys.executable, "manage.py", "up", "--port", str(ports[0]), "--web", str(web), "--workers", str(workers)]
    return Started(
        command,
        env,
        [f"http://127.0.0.1:{port}" for port in ports],
        "/readyz",
        "supervisor",
        directory / "up.log",
        checkout=checkout,
    )


def private_directory() -> tempfile.TemporaryDirectory[str]:
    """A directory for one run, that goes with it."""
    return tempfile.TemporaryDirectory(prefix="letterlock-bench-")


def _answers(url: str) -> bool:
    """Whether there is an answer that is no 503."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code != 503
    except OSError:
        return False
