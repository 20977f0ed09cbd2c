"""CPU and memory of groups of processes, from /proc.

A group's CPU is the sum of utime + stime + cutime + cstime over its live processes: a child that exits leaves the sum by
its own entry and comes back by its parent's cutime and cstime when it is reaped, so nothing is lost or counted twice
(PostgreSQL's backends and Valkey's rewrite children come and go).
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/<pid>/stat. `cpu` in seconds, with reaped children."""

    pid: int
    parent: int
    cpu: float


@dataclass(frozen=True, slots=True)
class Sample:
    """Cumulative seconds at a moment: per group, and of the whole machine (over all cores). `stolen` is what the machine
    wanted and its host gave to others: no process of ours had it."""

    at: float
    groups: Mapping[str, float]
    busy: float
    idle: float
    stolen: float


def processes() -> dict[int, Process]:
    """Every process of the machine that we may see."""
    found: dict[int, Process] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (process := _process(int(name))) is not None:
            found[process.pid] = process
    return found


def _process(pid: int) -> Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name may hold blanks and brackets
    return Process(pid=pid, parent=int(fields[1]), cpu=sum(map(int, fields[11:15])) / TICK)


def command(pid: int) -> str:
    """The command line, blanks between the words; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def tree(roots: Mapping[int, str], group_of: Callable[[str], str | None]) -> dict[str, list[int]]:
    """The groups of all processes below `roots` (pid: group). A process takes the group that `group_of` finds in its
    command line, else its parent's."""
    children: dict[int, list[int]] = {}
    table = processes()
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    groups: dict[str, list[int]] = {}

    def walk(pid: int, inherited: str) -> None:
        group = group_of(command(pid)) or inherited
        groups.setdefault(group, []).append(pid)
        for child in children.get(pid, ()):
            if child not in roots:
                walk(child, group)

    for pid, group in roots.items():
        if pid in table:
            walk(pid, group)
    return groups


def sample(groups: Mapping[str, Iterable[int]]) -> Sample:
    """Read the counters of these groups now."""
    cpu = {}
    for name, pids in groups.items():
        cpu[name] = sum(process.cpu for pid in pids if (process := _process(pid)) is not None)
    fields = [int(word) / TICK for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    stolen = fields[7]
    return Sample(at=time.monotonic(), groups=cpu, busy=sum(fields) - idle - stolen, idle=idle, stolen=stolen)


@dataclass(frozen=True, slots=True)
class Spent:
    """Between two samples: seconds per group, the length of the window, and the machine's busy, idle and stolen share."""

    seconds: float
    groups: Mapping[str, float]
    busy: float
    idle: float
    stolen: float


def between(first: Sample, last: Sample) -> Spent:
    """What was spent from one sample to the other."""
    groups = {name: max(0.0, last.groups[name] - first.groups.get(name, 0.0)) for name in last.groups}
    total = (last.busy - first.busy) + (last.idle - first.idle) + (last.stolen - first.stolen) or 1.0
    return Spent(
        seconds=last.at - first.at,
        groups=groups,
        busy=(last.busy - first.busy) / total,
        idle=(last.idle - first.idle) / total,
        stolen=(last.stolen - first.stolen) / total,
    )


def wait_quiet(most: float, *, idle: float = 0.9, for_s: float = 2.0) -> bool:
    """Wait until the machine has been this idle for a while, at most `most` seconds; whether it came to that."""
    deadline, quiet = time.monotonic() + most, 0.0
    before = sample({})
    while time.monotonic() < deadline:
        time.sleep(0.25)
        now = sample({})
        spent = between(before, now)
        before, quiet = now, quiet + spent.seconds if spent.idle >= idle else 0.0
        if quiet >= for_s:
            return True
    return False


def memory(pids: Iterable[int]) -> dict[str, int]:
    """Resident and proportional set size of these processes together, in bytes."""
    total = {"rss": 0, "pss": 0}
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        for line in text.splitlines():
            key, _, value = line.partition(":")
            if key in ("Rss", "Pss"):
                total[key.lower()] += int(value.split()[0]) * 1024
    return total


def listener(port: int) -> int | None:
    """The process that listens on this TCP port, the oldest one where several share it."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                sockets.add(f"socket:[{words[9]}]")
    owners = [int(name) for name in os.listdir("/proc") if name.isdigit() and not sockets.isdisjoint(_open_files(name))]
    return min(owners, default=None)


def _open_files(pid: str) -> list[str]:
    """What the descriptors of a process point to; those that vanish meanwhile are left out."""
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found
