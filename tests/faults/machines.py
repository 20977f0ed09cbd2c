"""What a fault test needs of this machine's kernel: a network of its own, a disk of its own, a clock of its own.

Each says in words why it cannot be had (`Unable`), so that the report can say what was not looked at. In CI that is a failure.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path

DISK_BYTES = 8 << 30
_numbers = count(1)


class Unable(Exception):
    """This machine cannot do it; the text says why."""


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unable(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout.strip()}")


def _as_root() -> None:
    if os.geteuid():
        raise Unable("only root may do this")


class Network:
    """A second machine as far as its network goes: a namespace, and one link to it that can lose every packet."""

    def __init__(self) -> None:
        _as_root()
        for tool in ("ip", "tc"):
            if shutil.which(tool) is None:
                raise Unable(f"`{tool}` is not installed (iproute2)")
        number = next(_numbers)
        name = f"ll{os.getpid()}n{number}"
        self._name, self._near, self._far = name, f"{name}a", f"{name}b"
        third, fourth = os.getpid() % 250, number * 4 % 252
        self.near, self.far = f"10.213.{third}.{fourth + 1}", f"10.213.{third}.{fourth + 2}"
        self.command = [shutil.which("ip") or "ip", "netns", "exec", self._name]
        try:
            _run("ip", "netns", "add", self._name)
            _run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self._far, "netns", self._name)
            _run("ip", "addr", "add", f"{self.near}/30", "dev", self._near)
            _run("ip", "link", "set", self._near, "up")
            _run(*self.command, "ip", "addr", "add", f"{self.far}/30", "dev", self._far)
            _run(*self.command, "ip", "link", "set", self._far, "up")
            _run(*self.command, "ip", "link", "set", "lo", "up")
            self.cut(yes=True)
            self.cut(yes=False)
        except Unable:
            self.close()
            raise

    def cut(self, *, yes: bool) -> None:
        """Lose every packet, both ways, without a word to either side (a queue of no length); or no longer."""
        order = ["replace", "dev", "{}", "root", "pfifo", "limit", "0"] if yes else ["del", "dev", "{}", "root"]
        _run("tc", "qdisc", *(word.format(self._near) for word in order))
        _run(*self.command, "tc", "qdisc", *(word.format(self._far) for word in order))

    def close(self) -> None:
        """Take it down; the links go with it."""
        with contextlib.suppress(Unable):
            _run("ip", "netns", "del", self._name)


class Disk:
    """A file system of its own in a folder, that can be filled to the last byte."""

    def __init__(self, folder: Path) -> None:
        _as_root()
        if shutil.which("mkfs.ext4") is None:
            raise Unable("`mkfs.ext4` is not installed (e2fsprogs)")
        self.folder, self._image = folder, folder.with_suffix(".img")
        folder.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(DISK_BYTES)
        _run("mkfs.ext4", "-q", "-m", "0", str(self._image))
        _run("mount", "-o", "loop", str(self._image), str(folder))
        folder.chmod(0o755)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"

    def fill(self) -> None:
        """Leave no byte."""
        free = os.statvfs(self.folder)
        with self._ballast.open("wb") as ballast:
            with contextlib.suppress(OSError):
                os.posix_fallocate(ballast.fileno(), 0, free.f_bavail * free.f_frsize)
            # What the file system kept for its own bookkeeping, byte by byte at the end.
            with contextlib.suppress(OSError):
                os.lseek(ballast.fileno(), 0, os.SEEK_END)
                while os.write(ballast.fileno(), bytes(4096)):
                    pass

    def drain(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Take it away; nothing may use it any more."""
        with contextlib.suppress(Unable):
            _run("umount", str(self.folder))
        self._image.unlink(missing_ok=True)


class Clock:
    """The wall clock of the processes that run with `environment`: it can be set while they run (clock.c)."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Unable("there is no C compiler to make clock.c with")
        library, self._file = folder / "clock.so", folder / "clock.offset"
        _run(compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(Path(__file__).with_name("clock.c")), "-ldl")
        self.set(0)
        self.environment: dict[str, str] = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(self._file)}

    def set(self, seconds: int) -> None:
        """So much later than the truth; a negative number is earlier."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(descriptor, seconds.to_bytes(8, sys.byteorder, signed=True), 0)
        os.close(descriptor)

    def read(self) -> int:
        """What a new process takes for the time, in seconds since 1970."""
        environment = {**os.environ, **self.environment}
        return int(subprocess.run(["date", "+%s"], env=environment, capture_output=True, check=True).stdout)

    def is_read_by(self, pid: int) -> bool:
        """Whether this process goes by it: it has the offset in its memory (clock.c)."""
        return str(self._file) in Path(f"/proc/{pid}/maps").read_text()
