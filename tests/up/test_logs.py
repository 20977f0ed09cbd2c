"""Logs stay small, and nothing that is written meanwhile goes astray."""

import errno
from pathlib import Path

import pytest

from config.supervisor.processes import Child


def test_a_full_log_is_copied_aside_and_its_writer_goes_on(tmp_path):
    part = Child("part", ["/bin/true"], tmp_path / "part.log", log_bytes=100)
    with part.log.open("ab", buffering=0) as writer:
        for turn in range(5):
            writer.write(b"%d" % turn * 100)
            part.rotate()
        writer.write(b"last")

    kept = {path.name: path.read_bytes()[:1] for path in tmp_path.iterdir()}
    assert kept == {"part.log": b"l", "part.log.1": b"4", "part.log.2": b"3", "part.log.3": b"2"}
    assert part.last_words() == "last"


def test_a_small_log_is_left_alone(tmp_path):
    part = Child("part", ["/bin/true"], tmp_path / "part.log")
    part.rotate()
    part.log.write_text("little\n")
    part.rotate()

    assert [path.name for path in tmp_path.iterdir()] == ["part.log"]


def test_where_there_is_no_room_for_a_copy_the_kept_logs_stay(tmp_path, monkeypatch):
    part = Child("part", ["/bin/true"], tmp_path / "part.log", log_bytes=100)
    part.log.write_bytes(b"1" * 100)
    part.rotate()
    part.log.write_bytes(b"2" * 100)

    def fills(path, data):
        with path.open("wb") as copy:
            copy.write(data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fills)
    with pytest.raises(OSError, match="No space"):
        part.rotate()

    assert {path.name: path.read_bytes()[:1] for path in tmp_path.iterdir()} == {"part.log": b"", "part.log.1": b"1"}
