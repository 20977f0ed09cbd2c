"""Threads whose Django connections stay open: for requests whose statements are worth more than opening a connection.

Under ASGI each request has a thread and a connection of its own. PostgreSQL then starts a process and reads its catalogue
anew, which costs as much as a large group's new epoch itself (docs/adr/0035).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection
from psycopg2.errors import DeadlockDetected

from kernel.database import is_lost

P = ParamSpec("P")
T = TypeVar("T")


class KeptConnections:
    """`call` waits for its turn: this many are done at once."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` in one of the threads, as `with_kept_connection` does."""
        return self._pool.submit(lambda: with_kept_connection(fn, *args, **kwargs)).result()


def with_kept_connection(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call with this thread's Django connection, which stays open between calls; again when it was lost or a deadlock was broken.

    The second time must be harmless. What ran out of time is not asked again: whoever waits would wait twice as long.
    """
    try:
        return fn(*args, **kwargs)
    except (OperationalError, InterfaceError) as error:
        # Without a cause it is Django that says so: the connection is closed.
        if error.__cause__ is None or is_lost(error.__cause__):
            connection.close()
        elif not isinstance(error.__cause__, DeadlockDetected):
            raise
        return fn(*args, **kwargs)
