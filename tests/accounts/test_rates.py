"""Rates are counted by all processes together, and go on when Valkey is away (docs/protocol.md §3.4)."""

import secrets
import threading
import time

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from kernel import valkey
from kernel.errors import TooManyRequests
from kernel.limits import RATES, Rate
from kernel.rates import Bucket, Limiter

LOOKUP = RATES["lookup"]


def granted(limiter: Limiter, name: str, subject: str, asked: int) -> int:
    """How many of so many requests are let through."""
    count = 0
    for _ in range(asked):
        try:
            limiter.take(name, subject)
        except TooManyRequests:
            continue
        count += 1
    return count


@pytest.fixture
def subject() -> str:
    return secrets.token_hex(8)


@pytest.fixture(autouse=True)
def unscaled():
    with override_settings(RATE_SCALE=1.0):
        yield


@pytest.fixture
def blind() -> Limiter:
    """A limiter whose Valkey is nowhere."""
    nowhere = valkey.connect("redis://127.0.0.1:1/0")
    return Limiter(lambda: nowhere)


def test_a_burst_is_granted_and_no_more(subject):
    assert granted(Limiter(valkey.client), "lookup", subject, LOOKUP.burst + 20) == LOOKUP.burst


def test_a_refusal_says_when_to_come_back(subject):
    limiter = Limiter(valkey.client)
    granted(limiter, "lookup", subject, LOOKUP.burst)

    with pytest.raises(TooManyRequests) as refusal:
        limiter.take("lookup", subject)

    assert 1 <= refusal.value.retry_after <= 1 / LOOKUP.per_second + 1


def test_what_was_refused_is_not_counted(subject):
    """Whoever keeps asking is not punished: tokens come back at their rate all the same."""
    limiter = Limiter(valkey.client)
    granted(limiter, "send", subject, 0)
    limiter.take("send", subject, cost=RATES["send"].burst)
    deadline = time.monotonic() + 5

    while time.monotonic() < deadline:
        if granted(limiter, "send", subject, 1):
            return
    pytest.fail("no token came back")


def test_processes_count_together(subject):
    """Two limiters stand for two processes; four threads each ask at once."""
    limiters = [Limiter(valkey.client), Limiter(valkey.client)]
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda one=limiter: counts.append(granted(one, "lookup", subject, 20)))
        for limiter in limiters * 4
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert LOOKUP.burst <= sum(counts) <= LOOKUP.burst + 3


def test_a_cost_above_the_burst_is_a_full_bucket(subject):
    limiter = Limiter(valkey.client)

    limiter.take("lookup", subject, cost=10_000)

    assert granted(limiter, "lookup", subject, 1) == 0


def test_without_valkey_each_process_counts_for_itself(subject, blind):
    assert granted(blind, "lookup", subject, LOOKUP.burst + 20) == LOOKUP.burst


def test_without_valkey_nobody_waits_long(subject, blind):
    granted(blind, "send", subject, 1)
    started = time.monotonic()

    granted(blind, "send", subject, 500)

    assert time.monotonic() - started < 0.5


def test_a_wiped_valkey_only_forgets(subject):
    """The script is gone too (SCRIPT FLUSH), and comes back by itself."""
    limiter = Limiter(valkey.client)
    granted(limiter, "lookup", subject, LOOKUP.burst)

    valkey.client().script_flush()
    valkey.client().delete(valkey.key("rate", "lookup", subject))

    assert granted(limiter, "lookup", subject, 1) == 1


def test_one_setting_scales_all_rates(subject):
    with override_settings(RATE_SCALE=0.5):
        assert granted(Limiter(valkey.client), "lookup", subject, LOOKUP.burst) == LOOKUP.burst / 2


@given(
    rate=st.builds(Rate, st.integers(1, 100), st.floats(0.1, 1000)),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20)), max_size=60),
)
def test_a_local_bucket_never_grants_more_than_its_rate(rate, steps):
    bucket, now, taken = Bucket(rate), 0.0, 0

    for pause, cost in steps:
        now += pause
        cost = min(cost, rate.burst)
        wait = bucket.take(cost, now)
        taken += cost if wait == 0.0 else 0
        assert taken <= rate.burst + now * rate.per_second + 1e-3
        if wait:
            assert bucket.take(cost, now + wait + 1e-6) == 0.0
            now += wait + 1e-6
            taken += cost
