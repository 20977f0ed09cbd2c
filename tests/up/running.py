"""`manage.py up` as somebody runs it: a process of its own, whose output is read as a person would."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Self, TypeVar

import psutil

from config.supervisor import ports
from config.supervisor.system import CHECKOUT
from tests.services import FOREIGN, services

START_S = 150

Told = TypeVar("Told")


class Up:
    """One `manage.py up` in a folder of its own under this run's temporary folder; of another version in its `checkout`.

    `again`: not for the first time; its database is there.
    """

    def __init__(
        self,
        name: str,
        *arguments: str,
        port: int | None = None,
        checkout: Path = CHECKOUT,
        again: bool = False,
        **environment: str,
    ) -> None:
        self.checkout = checkout
        self.var = services().folder / f"up-{name}"
        self.port = port or ports.free()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            key: value for key, value in os.environ.items() if key not in (*FOREIGN, "SECRET_KEY", "LOG_LEVEL")
        }
        data = f"{self.var}-data"
        if again:
            services().copy_model(self.var, Path(data))
        self.environment |= {"LETTERLOCK_VAR": str(self.var), "LETTERLOCK_DATA": data, "COLUMNS": "120", **environment}
        self.lines: list[str] = []
        self._queue: queue.Queue[str] = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(self.port), *arguments],
            cwd=self.checkout,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        with self.process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip())
                self._queue.put(line)

    def says(self, words: str, seconds: float = START_S) -> str:
        """Wait until it prints a line with these words; answers that line."""
        deadline = time.monotonic() + seconds
        while True:
            for line in list(self.lines):
                if words in line:
                    return line
            left = deadline - time.monotonic()
            assert left > 0, f"it did not say {words!r} in {seconds} s, but:\n" + "\n".join(self.lines)
            assert self.process.poll() is None or self._queue.qsize(), f"it ended without {words!r}:\n" + "\n".join(
                self.lines
            )
            try:
                self._queue.get(timeout=min(left, 0.2))
            except queue.Empty:
                continue

    def ready(self) -> Self:
        """Wait for the ready line."""
        self.says(f"ready {self.url}")
        return self

    def family(self) -> dict[str, psutil.Process]:
        """Its children by what they are."""
        found = {}
        for child, command in commands(psutil.Process(self.process.pid).children()):
            found |= {name: child for name, mark in MARKS.items() if mark in command}
        return found

    def everybody(self) -> list[psutil.Process]:
        """All processes that it has started, and those that they have."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> float:
        """Ask it to end and wait; answers the seconds it took."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - started

    def manage(self, *arguments: str) -> str:
        """What another command prints beside it, with no URLs in its environment."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.checkout,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


MARKS = {
    "postgres": "bin/postgres",
    "valkey": "valkey-server",
    "web": "manage.py web",
    "worker": "manage.py worker",
    "beat": " beat ",
}


def living(processes: Iterable[psutil.Process], ask: Callable[[psutil.Process], Told]) -> list[Told]:
    """What those processes answer that still live.

    Among all that `up` has started there are always some about to end: PostgreSQL has a process for each session.
    """
    told = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie's exception is one of these, too
            told.append(ask(process))
    return told


def commands(processes: Iterable[psutil.Process]) -> list[tuple[psutil.Process, str]]:
    """Those that still live, each with its command line."""
    return living(processes, lambda process: (process, " ".join(process.cmdline())))


def gone(processes: list[psutil.Process], seconds: float = 5) -> list[psutil.Process]:
    """Wait until these have ended; answers those that have not."""
    return psutil.wait_procs(processes, timeout=seconds)[1]


def files_below(folder: Path) -> list[Path]:
    """Every file in it."""
    return [path for path in folder.rglob("*") if path.is_file()]
