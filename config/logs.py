"""How faults are logged: a part that is away is one line, a mistake of ours a traceback."""

import logging

import psycopg2
import redis
from django.db.utils import InterfaceError, OperationalError

AWAY = (redis.RedisError, OSError, psycopg2.OperationalError, psycopg2.InterfaceError, OperationalError, InterfaceError)


class OneLine(logging.Filter):
    """Puts the error in the place of its traceback when it only says that PostgreSQL, Valkey or the broker is away.

    Celery and channels_redis log such a thing with all its frames, and under load many times a second.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, AWAY):
            record.msg = f"{record.getMessage()} ({type(error).__name__}: {' '.join(str(error).split())})"
            record.args = None
            record.exc_info = record.exc_text = None
        return True
