"""Processes that share figures, live and die: real processes, without a system around them."""

import os
import signal
import subprocess
import sys

import pytest

from config.supervisor.system import CHECKOUT

# Joins, counts what it is told on its standard input, and answers with what all have counted.
PROGRAM = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
from config.metrics import sharing
sharing.join()
from kernel import metrics
for line in sys.stdin:
    match line.split():
        case ["accept", number]:
            metrics.ACCEPTED.inc(int(number))
        case ["refuse", *codes]:
            metrics.refused(codes)
        case ["open", number]:
            metrics.SOCKETS.set(int(number))
        case ["took", *seconds]:
            metrics.ACCEPT_TO_PUSH.observe_counted({float(each): 2 for each in seconds})
        case ["leave"]:
            break
    samples = [sample for metric in sharing.collect() for sample in metric.samples]
    print({(s.name, *s.labels.values()): s.value for s in samples}, flush=True)
"""


class Counting:
    """One such process."""

    def __init__(self, folder, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            cwd=CHECKOUT,
            env={**os.environ, "METRICS_DIR": str(folder), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, line="look"):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return eval(self.process.stdout.readline())

    def dies(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.wait()


@pytest.fixture
def counting(tmp_path):
    made = []

    def make(**environment):
        made.append(Counting(tmp_path / "metrics", **environment))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.communicate()


def test_they_are_added_up_whoever_is_asked(counting):
    one, two = counting(PART_NAME="web-1"), counting(PART_NAME="worker-1")
    one("accept 3")
    one("open 2")
    one("took 0.003 0.003 0.7")
    two("accept 4")
    two("open 5")
    two("took 0.004")
    two("refuse invalid not_found invalid")

    for each in (one, two):
        found = each()
        assert found["letterlock_messages_accepted_total",] == 7
        assert found["letterlock_sockets_open",] == 7
        assert found["letterlock_messages_refused_total", "invalid"] == 2
        assert found["letterlock_accept_to_push_seconds_bucket", "0.002"] == 0
        assert found["letterlock_accept_to_push_seconds_bucket", "0.005"] == 4
        assert found["letterlock_accept_to_push_seconds_bucket", "1.0"] == 6
        assert found["letterlock_accept_to_push_seconds_count",] == 6
        assert found["letterlock_accept_to_push_seconds_sum",] == pytest.approx(2 * (0.003 + 0.7 + 0.004))
        assert {key[1] for key in found if key[0] == "letterlock_process_info"} == {"web-1", "worker-1"}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_dead_have_counted_and_are_nowhere(counting, tmp_path, number):
    one, two = counting(), counting()
    one("open 1")
    two("accept 4")
    two("open 5")
    two("took 0.1")
    two.dies(number)

    for _ in range(3):
        found = one()
        assert found["letterlock_messages_accepted_total",] == 4
        assert found["letterlock_accept_to_push_seconds_count",] == 2
        assert found["letterlock_sockets_open",] == 1
        assert sum(key[0] == "letterlock_process_info" for key in found) == 1
    assert one("accept 1")["letterlock_messages_accepted_total",] == 5
    assert len(list((tmp_path / "metrics").glob("*.db"))) == 3 + 2


def test_one_that_ends_again_and_again_leaves_no_pile(counting, tmp_path):
    for _ in range(4):
        one = counting()
        one("accept 1")
        one.dies()

    assert len(list((tmp_path / "metrics").glob("*.alive"))) == 1
    assert counting()()["letterlock_messages_accepted_total",] == 4


def test_a_frozen_one_lives_and_one_frozen_while_collecting_holds_nobody_up(counting, tmp_path):
    import fcntl

    one, two = counting(), counting()
    two("open 5")
    two.process.send_signal(signal.SIGSTOP)
    with (tmp_path / "metrics" / "collecting").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)

        assert one("open 1")["letterlock_sockets_open",] == 6
    two.process.send_signal(signal.SIGCONT)
    two.dies()
    assert one()["letterlock_sockets_open",] == 1


def test_without_a_folder_each_counts_for_itself(counting, tmp_path):
    (tmp_path / "metrics").write_text("in the way")
    one, two = counting(), counting()
    one("accept 3")

    assert two("accept 1")["letterlock_messages_accepted_total",] == 1
    two("open 1")
    two.process.kill()
    assert "figures are not shared" in two.process.stderr.read()


def test_what_a_former_system_counted_is_cleared(counting, tmp_path):
    from config.metrics import sharing

    one = counting()
    one("accept 3")
    one.dies()
    (tmp_path / "metrics" / "kept.txt").write_text("not ours")

    sharing.clear(tmp_path / "metrics")

    assert {path.name for path in (tmp_path / "metrics").iterdir()} == {"collecting", "kept.txt"}
    assert counting()()["letterlock_messages_accepted_total",] == 0


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\xff" * 5_000, b"\x40\x00\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00"])
def test_what_a_loss_of_power_damaged_stops_nobody(counting, tmp_path, damage):
    one = counting()
    one("accept 3")
    one.dies()
    other = counting()
    other("accept 3")
    other.dies()
    for path in (tmp_path / "metrics").glob("*.db"):
        path.write_bytes(damage)

    assert counting()("accept 1")["letterlock_messages_accepted_total",] == 1
