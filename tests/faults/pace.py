"""How quick this machine's cores are: recovery is promised for cores of a certain pace, and starting a part is sheer counting."""

import time

COUNTED = 1_000_000
# Seconds for that on the cores for which recovery is promised (docs/faults.md), Python 3.11.
PROMISED_FOR_S = 0.06
MOST = 3.0


def slowness(looks: int = 5) -> float:
    """How many times slower this machine counts than that, in CPU time, the best of some looks: 1 to `MOST`."""
    return min(MOST, max(1.0, min(_counts() for _ in range(looks)) / PROMISED_FOR_S))


def _counts() -> float:
    began, sum_ = time.process_time(), 0
    for number in range(COUNTED):
        sum_ += number
    return time.process_time() - began
