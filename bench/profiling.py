"""Profiles of the server's Python processes while a workload is measured, where py-spy is installed (it is no requirement)."""

import shutil
import subprocess
from pathlib import Path

from bench.report import RESULTS
from bench.systems import System


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
                command = [spy, "record", "--pid", str(pid), "--format", "raw", "--rate", "200", "--output", str(path),
                           "--duration", "600", "--nonblocking"]
                self._recorders.append((subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                                         stderr=subprocess.DEVNULL), path))

    def stop(self) -> None:
        """End the recording; py-spy writes its file on SIGINT."""
        for recorder, _ in self._recorders:
            recorder.send_signal(2)
        for recorder, _ in self._recorders:
            recorder.wait(30)
        self._recorders.clear()
