"""When the client tries again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.protocol.backoff import Backoff
from client.protocol.closing import REASONS, Next, next_after
from tests.client.test_frames import PAGE


@given(st.integers(0, 10_000), st.floats(0, 0.999), st.floats(0, 600))
def test_it_jitters_fully_within_half_a_second_and_thirty(failures, chance, retry_after):
    delay = Backoff(failures).delay(chance)

    assert 0 <= delay <= 30
    assert Backoff(failures).delay(0) == 0
    assert Backoff(failures).ceiling == min(30, 0.5 * 2 ** min(failures, 10))
    assert Backoff(failures).delay(chance, retry_after) >= retry_after


def test_thirty_stable_seconds_are_a_new_start():
    assert Backoff(7).after(lasted_s=31) == Backoff()
    assert Backoff(7).after(lasted_s=29) == Backoff(7)


def test_every_close_code_of_the_page_is_obeyed():
    import re

    table = re.findall(r"^\| `(\d{4})` \| (\w+) \| ([\w ,]+) \|", PAGE, flags=re.MULTILINE)
    assert {int(code) for code, _, _ in table} == set(REASONS)
    for code, name, reconnect in table:
        assert REASONS[int(code)][0] == name
        assert (next_after(int(code)) is Next.STOP) == (reconnect == "no")
        assert (next_after(int(code)) is Next.REFRESH) == (reconnect == "after refresh")


@pytest.mark.parametrize("code", [None, 1000, 1006, 1011, 4999])
def test_any_other_end_is_followed_by_a_new_try(code):
    assert next_after(code) is Next.RECONNECT
