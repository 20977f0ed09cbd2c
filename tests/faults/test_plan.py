"""What a round of strikes is made of, and how some of them are chosen."""

from collections import Counter

import pytest

from tests.faults import plan
from tests.faults.nemesis import NAMES, NOTICED_S
from tests.faults.stand_in import nemesis
from tests.faults.watch import LEAST_SHARE_S, LEAST_WATCH_S, TAKEN_OVER_S

PROFILES = pytest.mark.parametrize("more", [(), ("broker",)], ids=["embedded", "rabbitmq"])


def frozen(*more):
    """How the parts are called that a full round freezes."""
    return {"a web process", "a worker", "beat", "Valkey", "PostgreSQL", *(NAMES[part] for part in more)}


@PROFILES
def test_in_a_full_round_each_kind_strikes_once(more):
    kinds = Counter(strike.what for strike in plan.in_full(nemesis(*more), 0))
    assert set(kinds.values()) == {1}
    # By themselves: broker and beat are there.
    assert {f"SIGSTOP 30 s {part}" for part in frozen(*more)} < kinds.keys()


def test_the_short_run_freezes_both_while_the_broker_is_there():
    kinds = {strike.what for strike in plan.in_short(nemesis(), 0)}
    assert {"SIGSTOP 5 s a web process", "SIGSTOP 9 s a worker"} < kinds


def test_what_is_watched_lasts_long_enough_to_be():
    for lengths in (plan.FULL, plan.SHORT):
        assert lengths.stalled >= TAKEN_OVER_S + LEAST_WATCH_S
        assert lengths.deaf >= NOTICED_S + LEAST_WATCH_S
    # In the short run a frozen host, and a machine cut off, need only recover.
    assert min(plan.FULL.frozen, plan.FULL.out) >= TAKEN_OVER_S + LEAST_SHARE_S


@PROFILES
def test_strikes_are_chosen_by_a_part_of_their_name(more):
    strikes = plan.in_full(nemesis(*more), 0)
    assert {strike.what for strike in plan.only(strikes, "SIGSTOP")} == {
        f"SIGSTOP 30 s {part}" for part in frozen(*more)
    }
    assert {strike.what for strike in plan.only(strikes, "SIGSTOP 30 s beat, SIGSTOP 30 s Valkey")} == {
        "SIGSTOP 30 s beat",
        "SIGSTOP 30 s Valkey",
    }
    assert plan.only(strikes, "") == strikes


def test_a_name_that_no_strike_has_is_refused_with_those_there_are():
    strikes = plan.in_full(nemesis(), 0)
    assert not plan.only(strikes, "sigstop")
    refusal = plan.none_of(strikes, "sigstop")
    assert "'sigstop' in its name" in refusal
    assert all(strike.what in refusal for strike in strikes)
