"""What a process of ours sets for its interpreter (kernel/interpreter.py)."""

import subprocess
import sys

LOOK = "import gc, accounts; from kernel import interpreter; interpreter.settle(); print(gc.get_freeze_count(), *gc.get_threshold())"


def test_what_was_imported_is_not_looked_through_again():
    said = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True).stdout
    frozen, young, *_ = map(int, said.split())

    assert frozen > 1_000
    assert young == 10_000
