"""An installation as deploy/systemd runs it: each process by itself, of one version or another, on servers that are there."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psutil

from config.supervisor import ports
from config.supervisor.processes import Child, Wish
from config.supervisor.watch import Watch
from tests.services import FOREIGN

READY_S = 60
# TimeoutStopSec of the units.
STOP_S = 30


class Fleet:
    """Two hosts, two workers and beat. `checkouts` says from which folder each runs, or would next."""

    def __init__(self, folder: Path, **told: str) -> None:
        self._folder = folder
        self._watch = Watch(print)
        self._watch.start()
        self.parts = self._watch.parts
        self.ports = {name: ports.free() for name in ("web-1", "web-2")}
        plain = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.environment: Mapping[str, str] = {**plain, "LETTERLOCK_VAR": str(folder / "var"), **told}

    def url(self, name: str) -> str:
        """Where a web process is behind the gateway."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def migrates(self, checkout: Path) -> None:
        """What letterlock-migrate.service does."""
        command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity", "0"]
        subprocess.run(command, cwd=checkout, env=dict(self.environment), check=True)

    def starts(self, name: str, checkout: Path) -> None:
        """Run this part from there, and wait until it can do its work."""
        ready = self._folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        command = ["manage.py", "worker", "--group", "0"]
        if name == "beat":
            schedule = str(self._folder / "beat")
            command = ["-m", "celery", "-A", "config", "--quiet", "beat", "-l", "WARNING", "--pidfile=", "-s", schedule]
        elif name in self.ports:
            command = ["manage.py", "web", "--port", str(self.ports[name])]
        own = {"PART_NAME": name, "HOST_NAME": name, "READY_FILE": str(ready)}
        self._watch.add(
            Child(
                name=name,
                command=[sys.executable, *command],
                log=self._folder / f"{name}.log",
                environment={**self.environment, **own},
                folder=checkout,
                ready_file=ready,
            )
        )
        deadline = time.monotonic() + READY_S
        while not self._is_ready(name):
            assert time.monotonic() < deadline, self.parts[name].last_words()
            assert not self.parts[name].restarts, self.parts[name].last_words()
            time.sleep(0.05)

    def _is_ready(self, name: str) -> bool:
        part = self.parts[name]
        if name in self.ports:
            try:
                return httpx.get(f"{self.url(name)}/readyz", timeout=10).status_code == 200
            except httpx.TransportError:
                return False
        return part.is_alive if name == "beat" else bool(part.ready_file and part.ready_file.exists())

    def ends(self, name: str) -> None:
        """SIGTERM; it must end by itself."""
        part = self.parts[name]
        assert part.process is not None
        part.wish = Wish.DOWN
        part.signal(part.end)
        part.process.wait(STOP_S)

    def folder_of(self, name: str) -> Path:
        """Which version a part is: the folder in which it runs."""
        return Path(psutil.Process(self.parts[name].pid).cwd())

    def stop(self) -> None:
        """End whatever runs."""
        self._watch.end(list(self.parts.values()), STOP_S)
        self._watch.close()
