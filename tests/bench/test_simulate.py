"""The model of bench/model.py behaves as queues do. How right its figures are, `python -m bench.calibrate` measures and keeps."""

import json

import pytest

from bench.calibrate import BOUND, CHECKED, compared, medians
from bench.model import COMMIT_MOST, DRAIN_MOST, Costs, Plan, simulate
from bench.model import COSTS as KEPT
from bench.simulate import needed
from delivery.drain import BATCH_ROWS
from kernel.batching import Committer

# Of the size of what is measured on two cores.
COSTS = Costs(
    host_message=120e-6, host_cycle=1e-3, database_message=90e-6, database_cycle=1e-3, worker_message=40e-6,
    worker_cycle=0.5e-3, valkey_cycle=0.2e-3, client_message=30e-6, commit_wait=1e-3, drain_wait=1e-3, cold=0.5, aside=0.3,
    spread=0.4, stays=0.01, hop=0.5e-3, host_idle=0.02, other_idle=0.03,
)  # fmt: skip


def test_everything_that_comes_is_delivered_and_takes_as_long_as_its_steps_at_least():
    outcome = simulate(COSTS, Plan(rate=50, seconds=10))

    assert outcome.unfinished == 0
    assert len(outcome.latencies) == pytest.approx(450, rel=0.2)
    assert min(outcome.latencies) > COSTS.host_message + COSTS.database_message + COSTS.worker_message


def test_the_same_seed_is_the_same_run():
    plan = Plan(rate=300, seconds=4)

    assert simulate(COSTS, plan, seed=7).latencies == simulate(COSTS, plan, seed=7).latencies
    assert simulate(COSTS, plan, seed=7).latencies != simulate(COSTS, plan, seed=8).latencies


def test_more_messages_wait_longer_and_too_many_never_arrive():
    p99 = [simulate(COSTS, Plan(rate=rate, seconds=3)).at(0.99) for rate in (100, 2_000, 16_000)]

    assert p99[0] < p99[1] < p99[2] == float("inf")


def test_batches_form_by_themselves():
    """CPU for a message falls with the load, because a commit and a drain take whatever has come meanwhile."""
    quiet, busy = (simulate(COSTS, Plan(rate=rate, seconds=4)) for rate in (50, 2_000))

    assert busy.busy["database"] / 2_000 < quiet.busy["database"] / 50 / 2


def test_more_hosts_are_quicker_and_bursts_are_later():
    few, many = (
        simulate(COSTS, Plan(rate=6_000, hosts=hosts, queues=4, cores=4, apart=True, seconds=3)) for hosts in (1, 4)
    )
    smooth, bursty = (
        simulate(COSTS, Plan(rate=1_000, burst=burst, cores=4, apart=True, seconds=4)) for burst in (1, 200)
    )

    assert many.at(0.5) < few.at(0.5)
    assert smooth.at(0.99) < bursty.at(0.99)


def test_how_many_hosts_and_queues_are_needed():
    assert needed(COSTS, 500, 0.1) == (1, 1)
    hosts, queues = needed(COSTS, 12_000, 0.1)
    assert 1 < hosts
    assert 1 <= queues <= hosts


def test_the_model_is_within_a_quarter_of_what_was_measured():
    """As it is now, fed with what is kept. Who changes it runs `python -m bench.calibrate --fit`."""
    kept = json.loads(KEPT.read_text())
    measured = {rate: medians(kept["windows"][str(rate)]) for rate in CHECKED}

    _, checks, worst = compared(Costs.load(), measured)

    assert worst <= BOUND == 0.25
    assert len(checks) == 2 * len(CHECKED) == 6
    assert [check["model_ms"] for check in checks] == pytest.approx([check["model_ms"] for check in kept["checks"]])


def test_a_batch_is_as_large_as_the_systems():
    assert BATCH_ROWS // 2 == DRAIN_MOST
    assert Committer("one", lambda batch: None)._most == COMMIT_MOST
