"""The low-water mark: where a drain starts to look, without ever looking past something for long."""

from hypothesis import given
from hypothesis import strategies as st

from delivery.drainer import FULL_LOOK_S, MARK_TRAILS_S, Mark


def test_the_first_look_is_a_full_one():
    assert Mark().value(1_000.0) == 0


def test_it_trails_behind_what_was_taken():
    mark = Mark()
    mark.value(1_000.0)
    mark.taken(50, 1_000.0)

    assert mark.value(1_000.0 + MARK_TRAILS_S - 0.1) == 0
    assert mark.value(1_000.0 + MARK_TRAILS_S) == 50


def test_now_and_then_it_looks_at_everything_and_then_goes_on():
    mark = Mark()
    mark.value(1_000.0)
    mark.taken(50, 1_000.0)
    assert mark.value(1_000.0 + MARK_TRAILS_S) == 50

    assert mark.value(1_000.0 + FULL_LOOK_S) == 0
    assert mark.value(1_000.0 + FULL_LOOK_S + 0.1) == 50


@given(steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 100), st.booleans()), max_size=80))
def test_it_is_never_ahead_of_what_was_the_oldest_some_seconds_ago(steps):
    mark, now, lowest, taken = Mark(), 1_000.0, 0, []
    full_look = -1e9
    for wait, advance, takes in steps:
        now += wait
        value = mark.value(now)
        known = [id for at, id in taken if now - at >= MARK_TRAILS_S]
        assert value <= max(known, default=0)
        if value == 0:
            full_look = now
        assert now - full_look < FULL_LOOK_S or value == 0
        if takes:
            lowest += advance
            mark.taken(lowest, now)
            taken.append((now, lowest))
