"""The message table's monthly partitions: made ahead of time, dropped when they are past keeping.

`message_log_message` is partitioned by RANGE(id); ids are UUIDv7, whose first 48 bits are milliseconds, so a month of
ids is a range. What no partition covers goes to the DEFAULT one: nothing is lost when this module has not run.

Safe on a live system: a partition is made beside the table and attached, which lets senders and readers go on. Only the
DEFAULT partition (and, to drop one, the whole table) is locked for a moment; the lock is waited for briefly and asked
for again, because everybody else queues behind whoever waits.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg2 import errors as pg

from kernel.ids import now_ms
from kernel.limits import ID_CLOCK_SKEW_S

logger = logging.getLogger(__name__)

TABLE: Final = "message_log_message"
DEFAULT: Final = f"{TABLE}_default"
# Whoever makes or drops partitions holds this advisory lock until its commit.
LOCK: Final = 7_501_846_226
LOCK_WAIT_MS: Final = 500
TRIES: Final = 20
# Rows that are moved or deleted in one statement.
CHUNK: Final = 5_000
MONTHS_AHEAD: Final = 3

PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = %s::regclass AND c.relname <> %s ORDER BY c.relname
"""


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def at(cls, ms: int) -> "Month":
        """The month of a time in ms since 1970."""
        moment = datetime.fromtimestamp(ms / 1000, UTC)
        return cls(moment.year, moment.month)

    def plus(self, months: int) -> "Month":
        """So many months later, or earlier."""
        years, month = divmod(self.month - 1 + months, 12)
        return Month(self.year + years, month + 1)

    @property
    def starts_at(self) -> int:
        """Its first moment, in ms since 1970."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * 1000

    @property
    def table(self) -> str:
        """The name of its partition."""
        return f"{TABLE}_{self.year:04d}_{self.month:02d}"

    @classmethod
    def of_table(cls, name: str) -> "Month":
        """The month of a partition's name."""
        year, month = name.removeprefix(f"{TABLE}_").split("_")
        return cls(int(year), int(month))


def first_id(ms: int) -> UUID:
    """The smallest id of that time (RFC 9562 §5.7: the first 48 bits are milliseconds)."""
    return UUID(int=ms << 80)


def list_partitions(using: BaseDatabaseWrapper | None = None) -> list[Month]:
    """The months that have a partition."""
    with (using or connection).cursor() as cursor:
        cursor.execute(PARTITIONS, (TABLE, DEFAULT))
        return [Month.of_table(name) for (name,) in cursor.fetchall()]


def ensure(
    months_ahead: int = MONTHS_AHEAD, *, now: int | None = None, using: BaseDatabaseWrapper | None = None
) -> list[Month]:
    """Make the partitions that are missing from this month's to `months_ahead` from now; answers those made.

    May run any number of times, at once in any number of processes, while messages are sent. `now` in ms.
    """
    moment = now_ms() if now is None else now
    # The time of a new message's id may be a day from the server's.
    first = Month.at(moment - ID_CLOCK_SKEW_S * 1000)
    last = Month.at(moment).plus(months_ahead)
    wanted = [month for number in range(months_ahead + 2) if (month := first.plus(number)) <= last]
    database = using or connection
    present = set(list_partitions(database))
    return [month for month in wanted if month not in present and _repeated(database, _make, month)]


def drop_before(day: date, *, using: BaseDatabaseWrapper | None = None) -> list[Month]:
    """Drop the partitions whose ids are all older than the day (UTC); answers the months dropped.

    Their entries keep their numbers in the mailboxes and are shown as hidden.
    """
    bound = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
    database = using or connection
    old = [month for month in list_partitions(database) if month.plus(1).starts_at <= bound]
    dropped = [month for month in old if _repeated(database, _drop, month)]
    _clear_default(database, first_id(Month.at(bound).starts_at))
    return dropped


def drop_old(*, now: int | None = None) -> list[Month]:
    """Drop what MESSAGE_RETENTION_DAYS lets go; nothing when that is 0."""
    days: int = settings.MESSAGE_RETENTION_DAYS
    if days == 0:
        return []
    moment = datetime.fromtimestamp((now_ms() if now is None else now) / 1000, UTC)
    return drop_before((moment - timedelta(days=days)).date())


def oldest_kept_ms(*, now: int | None = None) -> int:
    """The time of the oldest ids that are kept, in ms since 1970; 0 when everything is. An older id is refused."""
    days: int = settings.MESSAGE_RETENTION_DAYS
    if days == 0:
        return 0
    return Month.at((now_ms() if now is None else now) - days * 86_400_000).starts_at


def _repeated(database: BaseDatabaseWrapper, act: Callable[[Any, Month], bool], month: Month) -> bool:
    """Do it in a transaction of its own, waiting for locks only briefly, several times."""
    for tries_left in reversed(range(TRIES)):
        try:
            with transaction.atomic(using=database.alias), database.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
                cursor.execute(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")
                done = act(cursor, month)
                # For a caller whose transaction goes on (a migration).
                cursor.execute("SET LOCAL lock_timeout = DEFAULT")
                return done
        except OperationalError as error:
            if not isinstance(error.__cause__, pg.LockNotAvailable | pg.DeadlockDetected) or tries_left == 0:
                raise
            logger.info("partition %s: busy, once more", month.table)
            # Let those go on who queued behind us.
            time.sleep(0.2)
    return False


def _make(cursor: Any, month: Month) -> bool:
    """Make and attach the partition, unless somebody just has."""
    if _exists(cursor, month.table):
        return False
    low, high = first_id(month.starts_at), first_id(month.plus(1).starts_at)
    cursor.execute(f"CREATE TABLE {month.table} (LIKE {TABLE} INCLUDING ALL)")
    # First of all locks: nobody may put a row of this month there between the move and the end.
    cursor.execute(f"LOCK TABLE {DEFAULT} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(
        f"WITH moved AS (DELETE FROM {DEFAULT} WHERE id >= %s AND id < %s RETURNING *) "
        f"INSERT INTO {month.table} SELECT * FROM moved",
        (low, high),
    )
    cursor.execute(f"ALTER TABLE {TABLE} ATTACH PARTITION {month.table} FOR VALUES FROM (%s) TO (%s)", (low, high))
    return True


def _drop(cursor: Any, month: Month) -> bool:
    """Drop the partition, unless somebody just has."""
    if not _exists(cursor, month.table):
        return False
    # CONCURRENTLY is not to be had beside a DEFAULT partition.
    cursor.execute(f"DROP TABLE {month.table}")
    return True


def _exists(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s)", (table,))
    return cursor.fetchone()[0] is not None


def _clear_default(database: BaseDatabaseWrapper, bound: UUID) -> None:
    """Delete old rows that no partition covered."""
    with database.cursor() as cursor:
        while True:
            cursor.execute(
                f"DELETE FROM {DEFAULT} WHERE id IN (SELECT id FROM {DEFAULT} WHERE id < %s LIMIT %s)", (bound, CHUNK)
            )
            if cursor.rowcount < CHUNK:
                return
