"""What counting costs the hot path: microseconds per batch, with shared figures. The bounds are loose; docs/adr/0033 has what was measured."""

import json
import os
import subprocess
import sys

from config.supervisor.system import CHECKOUT

PROGRAM = """
import json, os, time, timeit
from config.metrics import sharing
sharing.join()
import django
django.setup()
from chat import intake
from delivery import measuring
from delivery.drain import Batch
from kernel import metrics
from kernel.errors import Overloaded

now = time.time_ns() // 1_000_000
one = Batch(rows=2, texts=["x"], accepted=[now - 5], to=[("alice", 1, 0), ("bob", 1, 0)])
# 160 messages of seven commits, to two people each.
full = Batch(rows=320, texts=["x"] * 160, accepted=[now - 10 * (n // 25) for n in range(160)], to=[("bob", n, n % 160) for n in range(320)])
accepted, refused = intake.Answer("id", None, "text", None), intake.Answer("id", None, None, Overloaded())

def commit(answers):
    metrics.ACCEPTED.inc(len(answers))
    metrics.ACKS.inc(1)
    intake._count(answers, 0.004)

print(json.dumps({
    name: min(timeit.repeat(work, number=1_000, repeat=7)) * 1_000
    for name, work in {
        "one inc": lambda: metrics.ACCEPTED.inc(1),
        "a drain of 1 message": lambda: measuring.drained(one, by="worker", seconds=0.004),
        "a drain of 160 messages": lambda: measuring.drained(full, by="worker", seconds=0.04),
        "a commit of 1 send": lambda: commit([accepted]),
        "a commit of 50 sends": lambda: commit([accepted] * 50),
        "a commit of 50 sends, 5 refused": lambda: commit([accepted] * 45 + [refused] * 5),
    }.items()
}))
"""


def test_counting_costs_microseconds_per_batch(tmp_path):
    environment = {**os.environ, "METRICS_DIR": str(tmp_path / "metrics"), "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=True
    )
    microseconds = json.loads(done.stdout)
    print({name: round(value, 1) for name, value in microseconds.items()})

    assert microseconds["one inc"] < 50
    assert microseconds["a commit of 50 sends"] < 300
    assert microseconds["a drain of 160 messages"] < 1_000
    # Per batch, not per message.
    assert microseconds["a commit of 50 sends"] < 10 * microseconds["a commit of 1 send"]
    assert microseconds["a drain of 160 messages"] < 20 * microseconds["a drain of 1 message"]
