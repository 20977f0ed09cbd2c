"""Profiles of the server's Python processes while a workload is measured, where py-spy is installed (it is no requirement)."""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from bench.report import RESULTS
from bench.systems import System

_LINE = re.compile(r":\d+\)$")  # py-spy names function, file and line: the line is left out


class Profiler:
    """Records the processes of some groups between `start` and `stop`, as collapsed stacks (`a;b;c 12`)."""

    GROUPS = ("web", "workers")

    def __init__(self, system: System, name: str) -> None:
        self._system, self._name = system, name
        self._recorders: list[tuple[subprocess.Popen[bytes], Path]] = []

    def start(self) -> None:
        """Attach to every process of the groups. Says nothing where py-spy is not there: the figures come anyway."""
        spy = shutil.which("py-spy")
        if spy is None:
            return
        directory = RESULTS / "profiles"
        directory.mkdir(parents=True, exist_ok=True)
        groups = self._system.groups()
        for group in self.GROUPS:
            for pid in groups.get(group, []):
                path = directory / f"{self._name}-{group}-{pid}.txt"
                command = [
                    spy,
                    "record",
                    "--pid",
                    str(pid),
                    "--format",
                    "raw",
                    "--rate",
                    "200",
                    "--threads",
                    "--output",
                    str(path),
                    "--duration",
                    "600",
                    "--nonblocking",
                ]
                self._recorders.append(
                    (subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), path)
                )

    def stop(self) -> None:
        """End the recording; py-spy writes its file on SIGINT."""
        for recorder, _ in self._recorders:
            recorder.send_signal(2)
        for recorder, path in self._recorders:
            recorder.wait(30)
            if path.exists():
                path.with_suffix(".md").write_text(summary(path))
        self._recorders.clear()


def summary(path: Path, *, most: int = 60) -> str:
    """Where the samples of a recording are, in Markdown: by thread, by function itself, and by function with its callees."""
    threads, own, whole = Counter[str](), Counter[str](), Counter[str]()
    for line in path.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [_LINE.sub("", frame) for frame in stack.split(";")]
        threads[frames[0]] += int(count)
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames[1:], int(count)))
    total = sum(threads.values()) or 1
    lines = [f"# {path.stem}: {total} samples of running threads", ""]
    for title, counter in (("Threads", threads), ("Itself", own), ("With what it calls", whole)):
        lines += [f"## {title}", "", "| share | where |", "| ---: | --- |"]
        lines += [f"| {count / total:.1%} | `{name}` |" for name, count in counter.most_common(most)] + [""]
    return "\n".join(lines)
