"""Where the figures of all processes of one machine come together: mapped files in the folder METRICS_DIR.

    <kind>_<identity>.db   prometheus_client's own: the counters, histograms or gauges of one process
    <identity>.alive       who that is, locked by it for as long as it lives, however it ends
    <kind>_past.db         what processes that have ended had counted, so that their files do not pile up

No process is told of another's death: the kernel lets go of the lock, and whoever collects sees it (docs/adr/0033).
"""

import contextlib
import fcntl
import json
import os
import platform
import secrets
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from prometheus_client import Metric, values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from config import running

COUNTED = ("counter", "histogram")
KINDS = (*COUNTED, "gauge_livesum")
PAST = "past"
FILE_BYTES = 1 << 17
# A collector that was frozen must not hold up the others for longer; they read without tidying.
TURN_S = 0.04


class Member(NamedTuple):
    """A process that counts into the folder."""

    identity: str
    process: str
    pid: int
    version: str
    python: str


# Set by `join`: our folder, and the file whose lock says that we live.
_folder: Path | None = None
_alive: int | None = None


def join() -> None:
    """Count into METRICS_DIR from now on. Must come before `kernel.metrics` is imported: values stay where they were made.

    If the folder cannot be written (no space, no right), this process counts for itself and says so.
    """
    global _folder, _alive
    folder = Path(settings.METRICS_DIR)
    identity = f"{os.getpid()}-{secrets.token_hex(4)}"
    try:
        running.private(folder)
        # Not only when somebody collects: a process that ends at once, again and again, must not fill the disk.
        with _turn(folder) as is_ours:
            if is_ours:
                _bury(folder, _members(folder)[1])
        _alive = _lock_for_life(folder, identity)
        for kind in KINDS:
            with (folder / f"{kind}_{identity}.db").open("xb") as file:
                # Its blocks now: a full disk is an error here, and the end of the process once the file is mapped.
                os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
    except OSError as error:
        print(f"figures are not shared, {folder} cannot be used: {error}", file=sys.stderr)
        return
    _folder = folder
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: identity)


def _lock_for_life(folder: Path, identity: str) -> int:
    """Put our `.alive` in place, already locked. The file stays open until the process ends."""
    draft = folder / f".{identity}"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    me = Member(identity, settings.PART_NAME, os.getpid(), settings.VERSION, platform.python_version())
    os.write(descriptor, json.dumps(me).encode())
    draft.rename(folder / f"{identity}.alive")
    return descriptor


def clear(folder: Path) -> None:
    """Begin anew: nothing that counts into this folder runs."""
    for path in (*folder.glob("*.db"), *folder.glob("*.alive"), *folder.glob(".*-*")):
        path.unlink(missing_ok=True)


def collect() -> Iterator[Metric]:
    """Everything that was counted: by the living and the dead processes of the folder, or by this one alone."""
    # Here and not above: importing it makes the metrics, and that must come after `join`.
    from config.metrics import processes
    from kernel.metrics import REGISTRY

    if _folder is None:
        yield from REGISTRY.collect()
        return
    with _turn(_folder) as is_ours:
        members, dead = _members(_folder)
        if is_ours:
            _bury(_folder, dead)
        yield from _merged(_folder, {member.identity for member in members})
    yield from processes.figures(members)


@contextlib.contextmanager
def _turn(folder: Path) -> Iterator[bool]:
    """Only one collects at a time, or one of them might see a dead process's counts twice; False if it took too long."""
    with (folder / "collecting").open("a") as file:
        deadline = time.monotonic() + TURN_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    yield False
                    return
                time.sleep(0.002)
            else:
                yield True
                return


def _members(folder: Path) -> tuple[list[Member], list[str]]:
    """The processes that live, and the identities of those that do not."""
    living: list[Member] = []
    dead: list[str] = []
    for path in sorted(folder.glob("*.alive")):
        with contextlib.suppress(FileNotFoundError), path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                living.append(Member._make(json.load(file)))
            else:
                dead.append(path.stem)
    return living, dead


def _bury(folder: Path, dead: Iterable[str]) -> None:
    """Add what these have counted to the past and forget them. Gauges go: they say how things are now."""
    for kind in COUNTED:
        _read(folder / f"{kind}_{PAST}.db")
    for identity in dead:
        for kind in COUNTED:
            if found := _read(folder / f"{kind}_{identity}.db"):
                past = MmapedDict(str(folder / f"{kind}_{PAST}.db"))
                for key, value in found:
                    past.write_value(key, past.read_value(key)[0] + value, 0.0)
                past.close()
        for kind in KINDS:
            (folder / f"{kind}_{identity}.db").unlink(missing_ok=True)
        (folder / f"{identity}.alive").unlink(missing_ok=True)


def _read(path: Path) -> list[tuple[str, float]]:
    """What was counted there. What cannot be read, after the machine lost its power, is removed: it must stop nobody."""
    try:
        with path.open("rb") as file:
            (used,) = struct.unpack("i", file.read(4))
        if used < 0:
            raise ValueError("a length below 0")
        return [(key, value) for key, value, _, _ in MmapedDict.read_all_values_from_file(path)]
    except FileNotFoundError:
        return []
    except (struct.error, RuntimeError, ValueError):
        path.unlink()
        return []


def _merged(folder: Path, living: set[str]) -> Iterable[Metric]:
    try:
        return MultiProcessCollector.merge(_files(folder, living))
    except FileNotFoundError:  # it was not our turn, and somebody has buried what we were about to read
        return MultiProcessCollector.merge(_files(folder, living))


def _files(folder: Path, living: set[str]) -> list[str]:
    """What to add up: of the dead all but their gauges."""
    return [
        str(path)
        for path in folder.glob("*.db")
        if not path.name.startswith("gauge") or path.stem.rpartition("_")[2] in living
    ]
