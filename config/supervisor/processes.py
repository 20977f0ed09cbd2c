"""One child process: how it is started, ended, and started again when it dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import psutil

LAUNCH = str(Path(__file__).with_name("launch.py"))

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# A child that lived this long is taken as sound: its next death is its first.
STABLE_S = 10.0

LOG_BYTES = 10_000_000
LOGS_KEPT = 3


class Wish(Enum):
    """What a child is meant to be."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Owner:
    """The user that a server runs as, when we are root."""

    uid: int
    gid: int


@dataclass
class Child:
    """A program to keep running.

    `end` is the signal that asks it to stop; `death` the one that the kernel sends it when we die.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    owner: Owner | None = None
    end: int = signal.SIGTERM
    death: int = signal.SIGKILL
    log_bytes: int = LOG_BYTES
    # Written by the child when it can do its work; removed before each start.
    ready_file: Path | None = None
    # Whether this process of it has been told to stop by somebody else and waits.
    is_leaving: Callable[[int | None], bool] | None = None

    wish: Wish = Wish.DOWN
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    restarts: int = 0

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self.process.pid if self.process is not None and self.is_alive else None

    @property
    def is_alive(self) -> bool:
        """Whether it runs (a stopped one does)."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it now. Call from a thread that outlives it: the kernel ties it to the thread, not to the process."""
        if self.ready_file:
            self.ready_file.unlink(missing_ok=True)
        who = (str(self.owner.uid), str(self.owner.gid)) if self.owner else ("-", "-")
        argv = [sys.executable, "-I", "-S", LAUNCH, str(int(self.death)), str(os.getpid()), *who, *self.command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment),
                cwd=self.folder,
                start_new_session=True,
            )
        self.started_at = time.monotonic()

    def died(self) -> float:
        """Note a death that nobody asked for; answers the seconds to wait before the next start."""
        now = time.monotonic()
        self.failures = 0 if now - self.started_at >= STABLE_S else self.failures + 1
        self.restarts += 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self.failures)
        self.not_before = now + pause
        return pause

    def signal(self, number: int, *, tree: bool = False) -> None:
        """Send a signal to it, with `tree` to all that it has started too; nothing happens if it does not run."""
        if not self.is_alive or self.process is None:
            return
        targets = [self.process.pid]
        if tree:
            targets += [child.pid for child in _descendants(self.process.pid)]
        for pid in targets:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        """End it and all that it has started, without asking."""
        self.signal(signal.SIGKILL, tree=True)
        if self.process is not None:
            self.process.wait()

    def rotate(self) -> None:
        """Keep the log small: copy it aside and empty it in place (it is written in append mode, so no writer notices).

        Raises `OSError` where there is no room for the copy: what was kept before stays, and the log is emptied all the same.
        """
        if not self.log.exists() or self.log.stat().st_size < self.log_bytes:
            return
        copy = self.log.with_suffix(".log.new")
        try:
            copy.write_bytes(self.log.read_bytes())
        except OSError:
            copy.unlink(missing_ok=True)
            os.truncate(self.log, 0)
            raise
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = self.log.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self.log.with_suffix(f".log.{number + 1}"))
        copy.replace(self.log.with_suffix(".log.1"))
        os.truncate(self.log, 0)

    def last_words(self, lines: int = 12) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(max(0, self.log.stat().st_size - 8_192))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
