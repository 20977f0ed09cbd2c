"""What is moved where, from what was measured: pure, so tried by the thousand."""

from hypothesis import given
from hypothesis import strategies as st

from delivery.balance import ENOUGH, WORTH, plan
from delivery.queuemap import QueueLine


def lines(*groups, reserved=()):
    """A queue for each given group, with the slots given: `(group, slots)`."""
    return [
        QueueLine(f"recipients.{n:02d}", group, n in reserved, tuple(slots)) for n, (group, slots) in enumerate(groups)
    ]


def carried(queues, loads, steps=()):
    """Group → load, after these steps."""
    group_of = {line.name: line.group for line in queues}
    at = {slot: line.name for line in queues for slot in line.slots} | {step.slot: step.target for step in steps}
    totals = dict.fromkeys(group_of.values(), 0.0)
    for slot, name in at.items():
        totals[group_of[name]] += loads.get(slot, 0.0)
    return totals


def test_half_of_an_even_load_goes_to_a_new_group():
    queues = lines(*((0, range(n, 64, 8)) for n in range(8)), (1, ()))
    loads = dict.fromkeys(range(64), 10.0)

    made = plan(queues, loads, served={0, 1})

    after = carried(queues, loads, made.steps)
    assert max(after.values()) <= ENOUGH * 320
    assert after == made.after
    assert len(made.steps) in range(28, 33)


def test_within_one_group_nothing_moves_and_it_says_what_would_help():
    queues = lines((0, [1, 2]), (0, [3]))

    made = plan(queues, {1: 100.0, 2: 100.0}, served={0})

    assert made.steps == ()
    assert "queues add" in made.reasons[0]


def test_a_group_without_a_worker_gets_nothing():
    queues = lines((0, [1, 2]), (1, ()))

    made = plan(queues, {1: 100.0, 2: 100.0}, served={0})

    assert made.steps == ()


def test_a_slot_that_is_too_much_alone_is_named():
    queues = lines((0, [1]), (1, [2]))

    made = plan(queues, {1: 100.0, 2: 1.0}, served={0, 1})

    assert made.steps == ()
    assert "slot 1 alone carries 100.0/s" in made.reasons[-1]
    assert "isolate" in made.reasons[-1]


def test_one_slot_that_is_too_much_does_not_keep_the_others_from_being_shared():
    queues = lines((0, [0]), (1, range(1, 11)), (2, [11]))
    loads = {0: 100.0} | dict.fromkeys(range(1, 11), 6.0) | {11: 5.0}

    made = plan(queues, loads, served={0, 1, 2})

    assert {(step.source, step.target) for step in made.steps} == {("recipients.01", "recipients.02")}
    assert made.after == carried(queues, loads, made.steps)
    # Of what these two carry, 65, each has its half but for one slot.
    assert max(made.after[1], made.after[2]) <= 32.5 + 6
    assert any("slot 0 alone carries 100.0/s" in reason for reason in made.reasons)


def test_what_is_left_beside_such_a_slot_is_moved_only_if_it_is_worth_it():
    queues = lines((0, [0]), (1, [1, 2]), (2, [3, 4]))

    made = plan(queues, {0: 100.0, 1: 11.0, 2: 11.0, 3: 10.0, 4: 10.0}, served={0, 1, 2})

    assert made.steps == ()


def test_small_differences_are_left_alone():
    queues = lines((0, [1, 2]), (1, [3, 4]))

    assert plan(queues, {1: 55.0, 2: 55.0, 3: 50.0, 4: 50.0}, served={0, 1}).steps == ()


def test_reserved_queues_neither_give_nor_get_but_count():
    queues = lines((0, [1, 2]), (1, [3]), (1, [4]), reserved={1})
    loads = {1: 100.0, 2: 100.0, 3: 180.0, 4: 0.0}

    made = plan(queues, loads, served={0, 1})

    assert made.steps == ()
    assert made.before == {0: 200.0, 1: 180.0}


slots = st.dictionaries(st.integers(0, 63), st.floats(0, 1000), max_size=64)


@given(
    loads=slots,
    owner=st.lists(st.integers(0, 9), min_size=64, max_size=64),
    groups=st.lists(st.integers(0, 3), min_size=10, max_size=10),
    reserved=st.sets(st.integers(0, 9), max_size=3),
    served=st.sets(st.integers(0, 3)),
)
def test_whatever_was_measured_no_group_gets_fuller_than_the_fullest_was(loads, owner, groups, reserved, served):
    queues = lines(
        *((group, [s for s in range(64) if owner[s] == n]) for n, group in enumerate(groups)), reserved=reserved
    )
    by_name = {line.name: line for line in queues}

    made = plan(queues, loads, served)

    before, after = carried(queues, loads), carried(queues, loads, made.steps)
    assert len({step.slot for step in made.steps}) == len(made.steps)
    for step in made.steps:
        source, target = by_name[step.source], by_name[step.target]
        assert step.slot in source.slots
        assert source.group != target.group
        assert not source.reserved and not target.reserved
        assert {source.group, target.group} <= served
        assert step.load == loads[step.slot] > 0
    if made.steps:
        touched = {by_name[name].group for step in made.steps for name in (step.source, step.target)}
        assert max(after[group] for group in touched) <= max(before[group] for group in touched) + 1e-6
        assert sum(load**2 for load in after.values()) < sum(load**2 for load in before.values())
        assert max(made.before.values()) > WORTH * sum(made.before.values()) / len(made.before)
    assert made.reasons
