"""Looks that become dear come less often, and never too rarely."""

from contextlib import suppress
from types import SimpleNamespace

import psycopg2
import pytest

from kernel import pacing
from kernel.pacing import Pace


@pytest.fixture
def looked(monkeypatch):
    """Makes a look that takes so many seconds by the clock, and may fail at its end."""
    now = [1_000.0]
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def look(pace, seconds, error=None):
        with suppress(psycopg2.OperationalError), pace.looking():
            now[0] += seconds
            if error:
                raise error

    return look


def test_quick_looks_come_as_often_as_they_are_wanted(looked):
    pace = Pace(share=4, longest_s=2.0)
    assert pace.pause_s(0.5) == 0.5
    looked(pace, 0.01)
    assert pace.pause_s(0.5) == 0.5


def test_dear_looks_take_one_part_of_the_time(looked):
    pace = Pace(share=4, longest_s=2.0)
    looked(pace, 0.3)
    assert pace.pause_s(0.5) == pytest.approx(1.2)
    looked(pace, 0.01)
    assert pace.pause_s(0.5) == 0.5, "only the last one counts"


def test_no_look_is_put_off_for_longer_than_that_however_dear_it_is(looked):
    pace = Pace(share=4, longest_s=2.0)
    looked(pace, 9.0)
    assert pace.pause_s(0.5) == 2.0
    assert pace.pause_s(3.0) == 3.0, "who wants it more rarely still waits as long"


def test_a_look_that_ran_into_its_time_out_was_dear(looked):
    pace = Pace(share=10, longest_s=5.0)
    looked(pace, 3.0, psycopg2.OperationalError("canceling statement due to statement timeout"))
    assert pace.pause_s(1.0) == 5.0
