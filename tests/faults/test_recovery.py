"""How strikes and their recoveries are counted and judged."""

from dataclasses import replace

from tests.faults.recovery import Recovery, spans


def recovery(struck, recovered):
    return Recovery("kill -9 a worker", 2.0, struck, recovered)


def test_each_moment_counts_once_also_when_one_strikes_while_another_lasts():
    away, meanwhile, again, later = recovery(10, 90), recovery(20, 55), recovery(60, 92), recovery(100, 101)

    assert spans([meanwhile, away, later, again]) == [(10, 92), (100, 101)]
    assert spans([]) == []


def test_a_recovery_may_take_as_long_as_is_promised_and_longer_in_a_crowd():
    took = replace(recovery(0, 2.4), recovery=2.4)

    assert replace(took, recovery=2.0).is_in_time
    assert not took.is_in_time
    assert replace(took, crowd=2.5).is_in_time
    assert not replace(took, recovery=60.0, crowd=3.9).is_in_time
    assert replace(took, recovery=60.0, crowd=4.1).is_in_time
    # Who is refused for longer than is promised has not been served, however soon the rest was.
    assert not replace(took, recovery=0.0, refused=2.4).is_in_time
