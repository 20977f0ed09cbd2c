"""Threads whose Django connections stay open: for requests whose statements are worth more than opening a connection.

Under ASGI each request has a thread and a connection of its own. PostgreSQL then starts a process and reads its catalogue
anew, which costs as much as a large group's new epoch itself (docs/adr/0035).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, connection

P = ParamSpec("P")
T = TypeVar("T")


class KeptConnections:
    """`call` waits for its turn: this many are done at once."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    def call(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` in one of the threads; again when the connection was lost, so the second time must be harmless."""
        return self._pool.submit(lambda: _twice(fn, *args, **kwargs)).result()


def _twice(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return fn(*args, **kwargs)
    except (OperationalError, InterfaceError):
        connection.close()
        return fn(*args, **kwargs)
