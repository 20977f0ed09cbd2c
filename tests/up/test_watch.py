"""The watch over the parts goes on, whatever becomes of those who are told: with its thread the kernel would end every part."""

import errno
import os
import signal
import sys

import pytest

from config.supervisor.processes import Child
from config.supervisor.watch import Watch
from tests.cast import until


def on_a_full_disk(line):
    raise OSError(errno.ENOSPC, "No space left on device")


def into_a_closed_pipe(line):
    # What `rich` makes of BrokenPipeError.
    raise SystemExit(1)


@pytest.mark.parametrize("tell", [on_a_full_disk, into_a_closed_pipe])
async def test_a_part_is_started_again_although_nobody_can_be_told(tmp_path, tell):
    watch = Watch(tell)
    part = Child("part", [sys.executable, "-c", "import signal; signal.pause()"], tmp_path / "part.log")
    watch.add(part)
    watch.start()
    try:
        await until(lambda: part.pid, "the part runs")
        first = part.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: part.pid not in (None, first), "the part runs again")
        assert watch.is_alive()
    finally:
        watch.end([part], 5)
        watch.close()
