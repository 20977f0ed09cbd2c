"""One batch of deliveries, under the queues' locks, in one transaction. Table of contents of delivery.

    lock the group's queues | read the slot map and the oldest pending rows | lock the mailboxes
    | read their last numbers and the blocks | number the entries | write them, forget the pending rows, COMMIT

Three round trips. What is to be pushed is returned and pushed by the caller, after the commit. If this process dies at
any line, the transaction is undone and the next drain of these queues does it all again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg2

from delivery.blocks import MAILBOXES_AND_BLOCKS, Stop, hold_sql
from delivery.judging import Raised, Stopped, judge
from delivery.pending import NewPending, add_sql
from kernel.database import TRANSIENT, Cursor, is_lost, number_array, uuid_array
from kernel.entries import Origin
from messages import log
from messages.entries import MESSAGE_COLUMNS, message_text, origin_of
from messages.kinds import Kind

BATCH_ROWS = 320  # more would make the parts behind it wait for each other: commit, push, the next sends
SLOT_ROWS = 16  # of one slot: the batch is chosen among at most 64 times as many
BATCH_BYTES = 1_048_576

PENDING_COLUMNS = "p.id, p.slot, p.recipients, p.kind, p.message_id, p.room_id, p.sender_id, p.device_id, p.connections_version, p.payload"

# Waits for the locks (at most lock_timeout), or takes only the free ones: then others get their turn first. What was locked is
# noted for TAKE: a queue that came to the group meanwhile is not among it, and its slots are somebody else's.
LOCK_QUEUES = """
SELECT set_config('letterlock.queues', coalesce(array_agg(name)::text, '{{}}'), true)
FROM (SELECT name FROM delivery_queue WHERE "group" = ANY(%s::int[]) ORDER BY name FOR UPDATE {skip}) locked
"""
LOCKED = "current_setting('letterlock.queues')"

# Every change of the map raises one of these (delivery/queuemap.py), and none ever falls.
MAP_VERSION = "(SELECT sum(version) FROM delivery_slot)"

# A statement of its own behind the lock: its snapshot must see what the lock's last holder committed. A message is
# read with the first of its rows only (a room of 1 000 has 64), and a body beyond the batch's bytes not at all. The mark
# holds for the map and the queues that it was made with: a slot that has come since may have older rows.
TAKE = f"""
SELECT * FROM (
    SELECT {PENDING_COLUMNS}, {MESSAGE_COLUMNS}, p.place, {MAP_VERSION} AS map_version,
           pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xmax,
           {LOCKED} AS queues, extract(epoch FROM statement_timestamp())::float AS taken_at,
           coalesce(sum(octet_length(m.ciphertext)) OVER (ORDER BY p.id), 0) - coalesce(octet_length(m.ciphertext), 0) AS before
    FROM (SELECT p.*, lag(p.message_id) OVER (ORDER BY p.id) IS DISTINCT FROM p.message_id AS is_first
          FROM (SELECT p.* FROM delivery_slot s,
                LATERAL (SELECT *, ctid AS place FROM delivery_pending p
                         WHERE p.slot = s.slot AND p.id >= (
                             SELECT CASE WHEN {MAP_VERSION} = %s::bigint AND {LOCKED} = %s THEN %s::bigint ELSE 0 END)
                         ORDER BY p.id LIMIT %s) p
                WHERE s.queue_id = ANY({LOCKED}::varchar[]) ORDER BY p.id LIMIT %s) p) p
    LEFT JOIN message_log_message m ON p.is_first AND m.id = p.message_id AND p.kind = {Kind.MESSAGE.value}
) taken WHERE before < {BATCH_BYTES} ORDER BY 1
"""

LOCK_AND_TAKE = "BEGIN;" + LOCK_QUEUES.format(skip="") + ";" + TAKE
LOCK_AND_TAKE_FREE = "BEGIN;" + LOCK_QUEUES.format(skip="SKIP LOCKED") + ";" + TAKE

# Among MESSAGE_COLUMNS.
RECIPIENT = 4
ACCEPTED_AT = 6
# Behind the columns of the pending row and of its message, TAKE's rows have these.
PLACE = 20
LOOK = slice(21, 25)
TAKEN_AT = 25

# By place: a plan made while the table was empty would join from its side, and walk all of it for every batch. A row has
# the place that TAKE read until the transaction ends, since nobody updates pending rows and only drains delete them.
FORGET = "DELETE FROM delivery_pending WHERE ctid = ANY(%s::tid[])"

SET_ASIDE = """
WITH gone AS (DELETE FROM delivery_pending p WHERE p.slot = %s AND p.id = %s RETURNING *)
INSERT INTO delivery_dead (pending_id, slot, recipients, kind, message_id, room_id, sender_id, device_id,
                           connections_version, payload, created_at, failed_at, error)
SELECT id, slot, recipients, kind, message_id, room_id, sender_id, device_id, connections_version, payload, created_at, now(), %s
FROM gone
"""

# A frozen process whose answer is larger than its socket's buffer keeps its session writing, out of the reach of the
# timeouts, and with it the locks. No healthy one leaves an answer unread for seconds.
END_UNREAD = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND usename = current_user AND application_name LIKE 'letterlock %%'
  AND wait_event = 'ClientWrite' AND query_start < now() - %s * interval '1 second'
"""

OVERDUE = """
SELECT DISTINCT ON (q."group") q."group", p.slot, p.id
FROM delivery_slot s JOIN delivery_queue q ON q.name = s.queue_id,
     LATERAL (SELECT slot, id, created_at FROM delivery_pending p WHERE p.slot = s.slot ORDER BY p.id LIMIT 1) p
WHERE p.created_at < now() - %s * interval '1 millisecond'
ORDER BY q."group", p.id
"""


class Delivery(NamedTuple):
    """A pending row that was taken, with its entry's text and origin."""

    id: int
    slot: int
    recipients: Sequence[str]
    kind: int
    message: str | None
    room: str | None
    sender: str | None
    device: str | None
    connections_version: int
    payload: str | None
    text: str
    origin: Origin | None
    place: str
    # Whether it belongs to a room of two: a message to one recipient, or that such a room was opened.
    is_direct: bool
    accepted_at: int


# (recipient, sender) → what keeps the one's messages from the other.
Stops = dict[tuple[str, str | None], Stop]


class Look(NamedTuple):
    """What a look at the pending rows saw: its oldest row, under which slot map, its snapshot (transaction ids), and in which queues."""

    lowest: int
    map_version: int
    xmin: int
    xmax: int
    queues: str


class Since(NamedTuple):
    """Where a look may begin: at row `id`, while the slot map is of this version and the look is at these queues."""

    map_version: int
    queues: str
    id: int


EVERYTHING = Since(0, "", 0)


@dataclass(slots=True)
class Batch:
    """What a drain did: `rows` taken, and what to push. `to` is (user, seq, index into texts), in order of seq per user."""

    rows: int = 0
    more: bool = False
    look: Look | None = None
    # When its rows were read (PostgreSQL's clock, seconds since 1970): blocks that are older were seen.
    taken_at: float = 0.0
    # How many rows of each slot.
    slots: Mapping[int, int] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    origins: list[Origin | None] = field(default_factory=list)
    # When the message of each text was accepted (ms); 0 for what is no message.
    accepted: list[int] = field(default_factory=list)
    to: list[tuple[str, int, int]] = field(default_factory=list)
    # What a block kept from somebody, what a request box holds, and what follows from it (delivery/blocks.py).
    stopped: list[Stopped] = field(default_factory=list)
    held: list[tuple[str, NewPending, int]] = field(default_factory=list)
    told: set[int] = field(default_factory=set)
    alerts: list[Raised] = field(default_factory=list)


class Poison(Exception):
    """A delivery that failed alone, for a reason that another try will not cure."""

    def __init__(self, slot: int, id: int, reason: str) -> None:
        super().__init__(f"pending row {id} of slot {slot}: {reason}")
        self.slot = slot
        self.id = id
        self.reason = reason


def drain_batch(cursor: Cursor, *, groups: Sequence[int], since: Since, rows: int, skip_locked: bool = False) -> Batch:
    """Deliver the oldest pending rows of these groups' queues, from `since` on; see the module's drawing.

    Raises `Poison` when a single row was taken and failed, else what went wrong (`psycopg2.Error`, …); the caller rolls
    back and decides (delivery/drainer.py). `skip_locked` leaves out queues that somebody else is draining.
    """
    found = take(cursor, groups=groups, since=since, rows=rows, skip_locked=skip_locked)
    if not found:
        cursor.execute("COMMIT")
        return Batch()
    try:
        return deliver(cursor, found, full=len(found) >= min(SLOT_ROWS, rows))
    except TRANSIENT:
        raise
    except Exception as error:
        # A statement that does not fit the schema is no row's fault.
        if len(found) > 1 or is_lost(error) or isinstance(error, psycopg2.ProgrammingError):
            raise
        raise Poison(found[0][1], found[0][0], f"{type(error).__name__}: {error}") from error


def take(cursor: Cursor, *, groups: Sequence[int], since: Since, rows: int, skip_locked: bool) -> list[tuple[Any, ...]]:
    """Lock the queues; read the oldest deliveries of the slots that they own now."""
    statements = LOCK_AND_TAKE_FREE if skip_locked else LOCK_AND_TAKE
    cursor.execute(statements, (number_array(groups), *since, min(SLOT_ROWS, rows), rows))
    return cursor.fetchall()


def deliver(cursor: Cursor, found: Sequence[tuple[Any, ...]], *, full: bool) -> Batch:
    """Write the entries of these rows, forget them, commit."""
    deliveries = deliveries_of(found)
    # Cut off by bytes: there may be more although the rows are few.
    full = full or found[-1][-1] + BATCH_BYTES // 16 > BATCH_BYTES
    slots = Counter([delivery.slot for delivery in deliveries])
    batch = Batch(len(deliveries), full, Look(deliveries[0].id, *found[0][LOOK]), found[0][TAKEN_AT], slots)
    mailboxes, stops, map_version = open_mailboxes(cursor, deliveries)
    if map_version != found[0][LOOK][0]:
        # Slots have moved, or a request box was emptied, since these were taken: there may be older ones now.
        cursor.execute("ROLLBACK")
        return Batch(more=True)
    entries = number(deliveries, mailboxes.last_seqs, stops, batch)
    write(cursor, deliveries, entries, mailboxes, batch)
    return batch


def deliveries_of(found: Sequence[tuple[Any, ...]]) -> list[Delivery]:
    """The deliveries of rows of TAKE. Raises `LookupError` for one whose message is not stored."""
    spelled: dict[str, tuple[str, Origin, bool, int]] = {}
    deliveries: list[Delivery] = []
    for row in found:
        id, kind, message, payload = row[0], row[3], row[4], row[9]
        if kind != Kind.MESSAGE:
            deliveries.append(Delivery._make((*row[:10], payload, None, row[PLACE], True, 0)))
            continue
        if row[10] is not None:
            columns = row[10:20]
            spelled[message] = (
                message_text(*columns),
                origin_of(columns),
                columns[RECIPIENT] is not None,
                columns[ACCEPTED_AT],
            )
        if message not in spelled:
            raise LookupError(f"pending row {id} names a message that is not stored")
        text, origin, is_direct, accepted_at = spelled[message]
        deliveries.append(Delivery._make((*row[:10], text, origin, row[PLACE], is_direct, accepted_at)))
    return deliveries


def open_mailboxes(cursor: Cursor, deliveries: Sequence[Delivery]) -> tuple[log.Mailboxes, Stops, int]:
    """Lock the recipients' mailboxes; then, in a later statement, read their last numbers, what keeps whom from whom, and the
    version of the slot map.

    Later, because a block locks the blocker's mailbox row before it writes: once it is answered, this sees it.
    """
    users = sorted({user for delivery in deliveries for user in delivery.recipients})
    pairs = {(user, delivery.sender) for delivery in deliveries if delivery.sender for user in delivery.recipients}
    asked = (uuid_array(users), uuid_array([pair[0] for pair in pairs]), uuid_array([pair[1] for pair in pairs]))
    read = cursor.mogrify(MAILBOXES_AND_BLOCKS, asked)
    cursor.execute(log.lock_mailboxes_sql(cursor, users) + b";" + read)
    opened = _opened(cursor)
    if len(opened[0].last_seqs) < len(users):
        # First deliveries of new users. ON CONFLICT waits for whoever makes the same mailbox now.
        missing = sorted(set(users) - opened[0].last_seqs.keys())
        cursor.execute(
            log.make_mailboxes_sql(cursor, missing) + b";" + log.lock_mailboxes_sql(cursor, users) + b";" + read
        )
        opened = _opened(cursor)
    return opened


def _opened(cursor: Cursor) -> tuple[log.Mailboxes, Stops, int]:
    mailboxes = log.Mailboxes({}, {})
    stops: Stops = {}
    version = 0
    for user, last_seq, place, sender, *stop in cursor.fetchall():
        if sender is None:
            mailboxes.last_seqs[user], mailboxes.places[user], version = last_seq, place, stop[-1]
        else:
            stops[user, sender] = Stop(*stop)
    return mailboxes, stops, version


def number(
    deliveries: Sequence[Delivery],
    last_seqs: dict[str, int],
    stops: Stops,
    batch: Batch,
) -> list[log.NewEntry]:
    """Give each recipient the next number for each delivery, in the order of the pending rows; fills `batch`, raises `last_seqs`."""
    entries: list[log.NewEntry] = []
    index_of: dict[str, int] = {}
    for delivery in deliveries:
        message = delivery.message if delivery.kind == Kind.MESSAGE else None
        index = index_of.get(message) if message else None
        if index is None:
            index = len(batch.texts)
            batch.texts.append(delivery.text)
            batch.origins.append(delivery.origin)
            batch.accepted.append(delivery.accepted_at)
            if message:
                index_of[message] = index
        for user in delivery.recipients:
            if stops and (stop := stops.get((user, delivery.sender))) and is_kept_off(delivery, user, stop, batch):
                continue
            seq = last_seqs[user] = last_seqs[user] + 1
            entries.append(log.NewEntry(user, seq, delivery.kind, message, delivery.room, delivery.payload))
            batch.to.append((user, seq, index))
    return entries


def is_kept_off(delivery: Delivery, user: str, stop: Stop, batch: Batch) -> bool:
    """Whether a block or the request box keeps this from the user; notes in `batch` what follows from that."""
    if stop.everywhere or (stop.direct and delivery.is_direct):
        # In a group the sender cannot leave one member out: nobody is told, nobody alerted.
        if delivery.is_direct and delivery.message and delivery.sender and delivery.device and delivery.room:
            ids = (delivery.message, delivery.room, delivery.sender, delivery.device, user)
            batch.stopped.append(Stopped(*ids, delivery.accepted_at, delivery.connections_version, stop.known_version))
        return True
    if stop.held and delivery.is_direct:
        row = NewPending(delivery.slot, [user], *delivery[3:9], delivery.payload)
        batch.held.append((user, row, delivery.id))
        return True
    return False


def write(
    cursor: Cursor,
    deliveries: Sequence[Delivery],
    entries: Sequence[log.NewEntry],
    mailboxes: log.Mailboxes,
    batch: Batch,
) -> None:
    """Write the entries, forget the pending rows and commit, in one round trip; what was stopped costs some more."""
    statements = [log.append_entries_sql(cursor, entries, mailboxes)] if entries else []
    if batch.stopped:
        batch.alerts, rejections = judge(cursor, batch.stopped)
        batch.told = {row.slot for row in rejections}
        batch.more = batch.more or bool(rejections)
        statements += [add_sql(cursor, rejections)] if rejections else []
    if batch.held:
        statements.append(hold_sql(cursor, batch.held))
    statements.append(cursor.mogrify(FORGET, ('{"' + '","'.join([each.place for each in deliveries]) + '"}',)))
    cursor.execute(b";".join([*statements, b"COMMIT"]))


def set_aside(cursor: Cursor, *, slot: int, id: int, error: str) -> None:
    """Move one delivery that cannot be made to the dead ones, so that its queue goes on."""
    cursor.execute(SET_ASIDE, (slot, id, error[:2000]))


def overdue(cursor: Cursor, *, age_ms: int) -> dict[int, tuple[int, int]]:
    """For each group that has one: the (slot, id) of its oldest delivery that is older than `age_ms`."""
    cursor.execute(OVERDUE, (age_ms,))
    return {group: (slot, id) for group, slot, id in cursor.fetchall()}


def end_unread(cursor: Cursor, *, seconds: int) -> int:
    """End our sessions whose client has not read an answer for this long; answers how many."""
    cursor.execute(END_UNREAD, (seconds,))
    (ended,) = cursor.fetchone() or (0,)
    return int(ended)
