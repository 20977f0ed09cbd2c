"""What the logs say of a fault: one line, however deep in a library it was met; a mistake of ours keeps its traceback."""

import logging
import sys

import pytest
import redis

from config.logs import OneLine


def logged(error: Exception) -> str:
    """The whole text that the log gets for this error."""
    try:
        raise error
    except Exception:
        record = logging.LogRecord("celery", logging.CRITICAL, __file__, 1, "Couldn't ack %r", ("7",), sys.exc_info())
    assert OneLine().filter(record)
    return logging.Formatter("%(message)s").format(record)


@pytest.mark.parametrize("error", [redis.ConnectionError("gone"), ConnectionResetError("gone"), TimeoutError("gone")])
def test_a_part_that_is_away_is_one_line(error: Exception) -> None:
    assert logged(error) == f"Couldn't ack '7' ({type(error).__name__}: gone)"


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    assert "Traceback" in logged(KeyError("room"))
