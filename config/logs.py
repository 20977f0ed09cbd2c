"""How faults are logged: a part that is away is one line, a mistake of ours a traceback."""

import datetime as dt
import json
import logging
import os
from typing import Any

import amqp
import kombu.exceptions
import psycopg2
import redis
from celery.beat import SchedulingError
from django.core.exceptions import RequestAborted
from django.db.utils import InterfaceError, OperationalError

AWAY: tuple[type[Exception], ...] = (
    *(redis.RedisError, OSError, amqp.ConnectionError, kombu.exceptions.OperationalError),
    *(psycopg2.OperationalError, psycopg2.InterfaceError, OperationalError, InterfaceError),
)


class OneLine(logging.Filter):
    """Puts the error in the place of its traceback when it only says that PostgreSQL, Valkey or the broker is away.

    Celery and channels_redis log such a thing with all its frames, and under load many times a second.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, SchedulingError):
            # Beat could not send a task. It logs where it stands itself, behind the first line.
            error = error.__cause__ or error.__context__
        if isinstance(error, AWAY):
            told = record.getMessage().partition("\n")[0]
            record.msg = f"{told} ({type(error).__name__}: {' '.join(str(error).split())})"
            record.args = None
            record.exc_info = record.exc_text = None
        return True


class HungUp(logging.Filter):
    """Drops what asyncio says when a client hangs up in the middle of a request: Django leaves the task that noticed it behind."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether it is about anything else."""
        return not (record.exc_info and isinstance(record.exc_info[1], RequestAborted))


# What every record has; whatever else is in one was given as `extra`.
OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """One JSON object per line: time, level, logger, process, pid, message, the record's `extra`, and `exception`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": self._process,
            "pid": os.getpid(),
            "message": record.getMessage(),
        }
        extra = {name: value for name, value in vars(record).items() if name not in OF_EVERY_RECORD}
        if extra:
            line["extra"] = extra
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, default=repr, skipkeys=True)
