"""What the logs say of a fault: one line, however deep in a library it was met; a mistake of ours keeps its traceback."""

import logging
import sys
from collections.abc import Callable

import amqp
import pytest
import redis
from celery import Celery as App
from celery.beat import ScheduleEntry, Scheduler

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


def test_so_it_is_when_a_worker_finds_its_connection_to_rabbitmq_gone() -> None:
    assert logged(amqp.RecoverableConnectionError("Socket was disconnected")) == (
        "Couldn't ack '7' (RecoverableConnectionError: Socket was disconnected)"
    )


def of_beat(error: Exception) -> str:
    """What `celery.beat.Scheduler.apply_entry` logs when a task cannot be sent."""
    scheduler = Scheduler(App(set_as_current=False), lazy=True)
    scheduler.send_task = refuses(error)
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("celery.beat")
    logger.addHandler(handler)
    try:
        scheduler.apply_entry(ScheduleEntry(name="tell-alerts", task="alerts.tell", schedule=1.0, app=scheduler.app))
    finally:
        logger.removeHandler(handler)
    (record,) = [record for record in records if record.levelno == logging.ERROR]
    assert OneLine().filter(record)
    return logging.Formatter("%(message)s").format(record)


def refuses(error: Exception) -> Callable[..., None]:
    def send(*_: object, **__: object) -> None:
        raise error

    return send


def test_so_it_is_when_beat_cannot_send_because_the_disk_of_valkey_is_full() -> None:
    said = of_beat(redis.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"))
    assert "\n" not in said
    assert said.startswith("Message Error: Couldn't apply scheduled task tell-alerts: MISCONF")


def test_a_mistake_in_what_beat_sends_keeps_its_traceback() -> None:
    assert "Traceback" in of_beat(KeyError("room"))


def test_a_mistake_of_ours_keeps_its_traceback() -> None:
    assert "Traceback" in logged(KeyError("room"))
