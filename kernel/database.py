"""Raw PostgreSQL sessions for the hot path: settings that no frozen peer can hold up, and a small pool for reads.

The ORM serves all that is not hot. A session here is in autocommit mode; its users write BEGIN and COMMIT themselves,
so that they ride on the first and last statement instead of costing round trips of their own.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from django.conf import settings

from kernel.prepared import PreparedConnection, PreparedCursor

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

Connection = psycopg2.extensions.connection
Cursor = psycopg2.extensions.cursor

# Design §3: a frozen or cut-off process cannot hold others up.
SESSION = {
    "idle_in_transaction_session_timeout": "2000",
    "lock_timeout": "1000",
    "statement_timeout": "8000",
    "jit": "off",
    # The hot statements are prepared (kernel/prepared.py); without this PostgreSQL would plan the first five calls anew.
    "plan_cache_mode": "force_generic_plan",
    # A plan is kept while its table grows from nothing to millions: it must be the one by index from the start.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}

# Options of Django's connection that raw sessions set for themselves.
OWN_OPTIONS = frozenset({"application_name", "connect_timeout", "options", "tcp_user_timeout"})
OWN_OPTIONS |= {"keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"}

# Ids stay text on the hot path: making UUID objects only to print them again would cost more than the statement.
UUID_TEXT = psycopg2.extensions.new_type((2950,), "UUID_TEXT", psycopg2.extensions.UNICODE)
UUID_TEXTS = psycopg2.extensions.new_array_type((2951,), "UUID_TEXTS", UUID_TEXT)

# What another try may cure without us changing anything: lock timeouts, deadlocks, cancelled statements.
TRANSIENT = (
    psycopg2.errors.LockNotAvailable,
    psycopg2.errors.DeadlockDetected,
    psycopg2.errors.SerializationFailure,
    psycopg2.errors.QueryCanceled,
)
# The session is gone: open another. Some of it comes with a code: connection, resources, operator, system (classes
# 08, 53, 57, 58), a transaction that was idle for too long, a server that has become a read-only standby, and a session
# whose prepared statements are gone, or no longer fit a table that was changed since.
LOST = (psycopg2.OperationalError, psycopg2.InterfaceError)
LOST_CLASSES = frozenset({"08", "53", "57", "58"})
LOST_CODES = frozenset({"25006", "25P03", "25P04", "0A000", "26000", "42P05"})


def connect(name: str, **session: str) -> Connection:
    """Open a session in autocommit mode, named `letterlock <name>`; `session` overrides settings of `SESSION`."""
    database = settings.DATABASE_DIRECT
    options = " ".join(f"-c {key}={value}" for key, value in {**SESSION, **session}.items())
    # What the URL's query says, such as sslmode, holds for these sessions too.
    options_of_url: dict[str, Any] = dict(database["OPTIONS"])
    asked = {key: value for key, value in options_of_url.items() if key not in OWN_OPTIONS}
    connection = psycopg2.connect(
        **asked,
        dbname=database["NAME"],
        user=database["USER"] or None,
        password=database["PASSWORD"] or None,
        host=database["HOST"] or None,
        port=database["PORT"] or None,
        application_name=f"letterlock {name}",
        options=options,
        connect_timeout=3,
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=3,
        tcp_user_timeout=10_000,
        connection_factory=PreparedConnection,
        cursor_factory=PreparedCursor,
    )
    connection.autocommit = True
    psycopg2.extensions.register_type(UUID_TEXT, connection)
    psycopg2.extensions.register_type(UUID_TEXTS, connection)
    return connection


def is_lost(error: BaseException) -> bool:
    """Whether the session that raised this is gone, or its server cannot work now (rather than the statement refused)."""
    if isinstance(error, TRANSIENT):
        return False
    code = getattr(error, "pgcode", None)
    if code is None:
        return isinstance(error, LOST)
    return code[:2] in LOST_CLASSES or code in LOST_CODES


def uuid_array(values: Iterable[object]) -> str:
    """A `uuid[]` literal. Values must be UUIDs or their canonical text: nothing is quoted here."""
    return "{" + ",".join(map(str, values)) + "}"


def number_array(values: Iterable[int]) -> str:
    """An integer array literal."""
    return "{" + ",".join(map(str, values)) + "}"


def bytes_array(values: Iterable[bytes]) -> str:
    """A `bytea[]` literal in hex."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


class Session:
    """One raw session that opens itself again after it was lost. Not for use by several threads."""

    def __init__(self, name: str, **session: str) -> None:
        self._name = name
        self._settings = session
        self._connection: Connection | None = None

    def cursor(self) -> Cursor:
        """A cursor on a live session; raises `psycopg2.OperationalError` when there is none to be had."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._name, **self._settings)
        return self._connection.cursor()

    def rollback(self) -> None:
        """Leave whatever transaction was open; never raises."""
        if self._connection is None or self._connection.closed:
            return
        try:
            if self._connection.info.transaction_status != psycopg2.extensions.TRANSACTION_STATUS_IDLE:
                with self._connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self.close()

    def close(self) -> None:
        """Drop the session; the next `cursor()` opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg2.Error:
                logger.debug("a lost session could not be closed")


class Readers:
    """A few threads, each with a session of its own, for reads from the event loop."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reader")
        self._local = threading.local()

    async def run(self, fn: Callable[Concatenate[Cursor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn(cursor, …)` in one of the threads. Raises what `fn` raises; a lost session is tried twice."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: self.call(fn, *args, **kwargs))

    def call(self, fn: Callable[Concatenate[Cursor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same in the calling thread, with that thread's session."""
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = Session("reader")
        try:
            return self._once(session, fn, *args, **kwargs)
        except psycopg2.Error as error:
            if not is_lost(error):
                raise
            return self._once(session, fn, *args, **kwargs)

    def _once(self, session: Session, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            with session.cursor() as cursor:
                return fn(cursor, *args, **kwargs)
        except psycopg2.Error as error:
            session.rollback()
            if is_lost(error):
                session.close()
            raise

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
