"""The baseline as a system that the bench starts: servers as ours are, and the chat on them."""

import os
import subprocess
import sys
from pathlib import Path

from bench.machine import ROOT
from bench.systems import Started, free_ports
from config.supervisor.system import System as Servers


class Baseline(Started):
    """The tutorial's chat on one Daphne, with a PostgreSQL and a Valkey of the same make and tuning as ours."""

    def __init__(self, directory: Path) -> None:
        self._servers = Servers(directory / "baseline", web=0, workers=0, beat=False)
        self._servers.start()
        try:
            self._begin(directory)
        except BaseException:
            self._servers.stop()
            raise

    def _begin(self, directory: Path) -> None:
        env = {
            "DATABASE_URL": self._servers.database_url,
            "VALKEY_URL": self._servers.valkey_url,
            "DJANGO_SETTINGS_MODULE": "bench.baseline.settings",
        }
        subprocess.run([sys.executable, "-m", "bench.baseline"], cwd=ROOT, env=os.environ | env, check=True)
        port = free_ports(1)[0]
        command = [
            sys.executable,
            "-m",
            "daphne",
            "-b",
            "127.0.0.1",
            "-p",
            str(port),
            "bench.baseline.asgi:application",
        ]
        super().__init__(command, env, [f"http://127.0.0.1:{port}"], "/", "web", directory / "baseline.log")
        self.roots |= {part.pid: name for name, part in self._servers.parts.items() if part.pid}

    def stop(self) -> None:
        """The chat first, then its servers."""
        super().stop()
        self._servers.stop()
