"""Delivery's copy of the blocks: written in the transaction of a block, read by the drain and by whatever shows messages.

A row says what keeps a sender's messages from a recipient. Whoever writes it holds the recipient's mailbox row, which a
drain locks before it reads the copy; so once a block is answered, nothing of the blocked one's is delivered any more.
What was delivered before, but to none of the recipient's devices, is hidden where the mailbox is read (`hides`).
What follows for who wrote all the same, delivery/judging.py says.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.db import IntegrityError, connection, transaction

from delivery import wake
from delivery.pending import NewPending, raw_cursor
from delivery.slots import slot_of
from kernel import limits, ports
from kernel.database import Cursor, number_array, uuid_array
from kernel.entries import Entry, Origin
from kernel.errors import Unavailable
from kernel.ports import Barrier
from messages import log, positions

# Reports are kept for as long as a message may wait to be drained, and a good while longer.
REPORTS_KEPT_S: Final = 3_600

# Freezes what the sender may learn at the time of the block; a block that is there already keeps its own.
PUT = """
INSERT INTO delivery_blockcopy AS k (recipient_id, sender_id, everywhere, direct, held, known_version, hides_after, frozen_reads, blocked_at)
SELECT n.*, CASE WHEN n.everywhere THEN (SELECT coalesce(max(c.seq), 0) FROM message_log_cursor c WHERE c.user_id = n.recipient) END,
       %s::jsonb, now()
FROM (SELECT %s::uuid AS recipient, %s::uuid, %s::boolean AS everywhere, %s::boolean, %s::boolean, %s::bigint) n
ON CONFLICT (recipient_id, sender_id) DO UPDATE SET
    everywhere = excluded.everywhere, direct = excluded.direct, held = excluded.held, known_version = excluded.known_version,
    hides_after = CASE WHEN k.everywhere AND excluded.everywhere THEN k.hides_after ELSE excluded.hides_after END,
    frozen_reads = CASE WHEN k.everywhere AND excluded.everywhere THEN k.frozen_reads ELSE excluded.frozen_reads END,
    blocked_at = CASE WHEN k.direct AND excluded.direct THEN k.blocked_at ELSE excluded.blocked_at END
"""
LIFT = "DELETE FROM delivery_blockcopy WHERE recipient_id = %s AND sender_id = %s"

HIDES = "SELECT sender_id, hides_after FROM delivery_blockcopy WHERE recipient_id = %s::uuid AND everywhere"
FROZEN = """
SELECT recipient_id, hides_after, frozen_reads FROM delivery_blockcopy
WHERE recipient_id = ANY(%s::uuid[]) AND sender_id = %s::uuid AND everywhere
"""
BETWEEN = "SELECT 1 FROM delivery_blockcopy WHERE recipient_id = %s::uuid AND sender_id = %s::uuid AND direct"
# Of both directions of a block, either will do: both have `direct`.
BETWEEN_SINCE = """
SELECT recipient_id, blocked_at FROM delivery_blockcopy WHERE sender_id = %s AND recipient_id = ANY(%s::uuid[]) AND direct
"""
# In the order of the key, for whoever does the same at the same time.
PARTED = """
WITH apart AS (
    SELECT recipient_id, sender_id FROM delivery_blockcopy
    WHERE direct AND ((sender_id = %s AND recipient_id = ANY(%s::uuid[])) OR (recipient_id = %s AND sender_id = ANY(%s::uuid[])))
    ORDER BY recipient_id, sender_id FOR UPDATE
)
UPDATE delivery_blockcopy k SET blocked_at = clock_timestamp() FROM apart a
WHERE (k.recipient_id, k.sender_id) = (a.recipient_id, a.sender_id)
"""
MOMENTS = "SELECT blocked_at FROM delivery_blockcopy WHERE recipient_id = %s AND direct"

# Those of these members who are told nothing of what the user does just now: one blocks the other, or (in a room of two)
# holds the other's messages.
SILENT = """
SELECT recipient_id FROM delivery_blockcopy WHERE sender_id = %s::uuid AND recipient_id = ANY(%s::uuid[]) AND (direct OR %s)
UNION ALL
SELECT sender_id FROM delivery_blockcopy WHERE recipient_id = %s::uuid AND sender_id = ANY(%s::uuid[]) AND (direct OR %s)
"""

# (reader, sender) pairs of which the sender must learn nothing. Pair by pair: no plan may walk the table.
DEAF_PAIRS = """
SELECT n.reader, n.sender FROM unnest(%s::uuid[], %s::uuid[]) AS n(reader, sender),
     LATERAL (SELECT 1 FROM delivery_blockcopy k WHERE k.recipient_id = n.reader AND k.sender_id = n.sender AND k.everywhere LIMIT 1) k
"""

# The drain's block step, in one statement with the mailboxes' last numbers; pair by pair like `DEAF_PAIRS`. The last column of
# a mailbox's line is the version of the slot map: another than TAKE saw, and a request box was emptied in between, whose
# messages come before those that were taken.
MAILBOXES_AND_BLOCKS = """
SELECT b.user_id, b.last_seq, b.ctid, NULL::uuid, false, false, false, (SELECT sum(version) FROM delivery_slot)
FROM message_log_mailbox b WHERE b.user_id = ANY(%s::uuid[])
UNION ALL
SELECT k.* FROM unnest(%s::uuid[], %s::uuid[]) AS n(recipient, sender),
     LATERAL (SELECT k.recipient_id, NULL::bigint, NULL::tid, k.sender_id, k.everywhere, k.direct, k.held, k.known_version
              FROM delivery_blockcopy k WHERE k.recipient_id = n.recipient AND k.sender_id = n.sender LIMIT 1) k
"""

HOLD = """
INSERT INTO delivery_held (recipient_id, sender_id, pending_id, slot, kind, message_id, room_id, device_id,
                           connections_version, payload, created_at)
SELECT n.*, now()
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[], %s::smallint[], %s::smallint[], %s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::text[]) n
"""
# Of each pair, how many are held.
HELD = """
SELECT n.recipient, n.sender, (SELECT count(*) FROM (
    SELECT 1 FROM delivery_held h WHERE h.recipient_id = n.recipient AND h.sender_id = n.sender LIMIT %s) h)
FROM unnest(%s::uuid[], %s::uuid[]) AS n(recipient, sender)
"""
# With the ids that they had: so they stand before what the sender has written since. Ids below a drain's mark would be
# looked past; the slot's version makes every drain look again from the beginning (delivery/drain.py, TAKE). A message
# that is not kept any more is gone.
RELEASE = """
WITH gone AS (DELETE FROM delivery_held WHERE recipient_id = %s AND sender_id = %s RETURNING *)
INSERT INTO delivery_pending (id, slot, recipients, kind, message_id, room_id, sender_id, device_id, connections_version, payload, created_at)
SELECT pending_id, slot, ARRAY[recipient_id], kind, message_id, room_id, sender_id, device_id, connections_version, payload, now()
FROM gone WHERE message_id IS NULL OR (SELECT true FROM message_log_message m WHERE m.id = gone.message_id)
"""
LOOK_AGAIN = "UPDATE delivery_slot SET version = version + 1 WHERE slot = %s"
FORGET_HELD = "DELETE FROM delivery_held WHERE recipient_id = %s AND sender_id = %s"

# An earlier report of as much is worth more than this one.
REPORT = """
INSERT INTO delivery_syncreport (device_id, version, reported_at)
SELECT %s::uuid, %s, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM delivery_syncreport WHERE device_id = %s::uuid AND version >= %s)
"""
FORGET_REPORTS = """
DELETE FROM delivery_syncreport r WHERE r.device_id = %s::uuid AND EXISTS (
    SELECT FROM delivery_syncreport n WHERE n.device_id = r.device_id AND n.version > r.version
           AND n.reported_at < now() - %s * interval '1 second')
"""


class Stop(NamedTuple):
    """What keeps a sender's messages from a recipient; see `kernel.ports.Barrier`."""

    everywhere: bool
    direct: bool
    held: bool
    known_version: int | None


# --- the port ----------------------------------------------------------------------------------------------------------


class Blocks:
    """The port of kernel/ports.py (`BlockPort`), on Django's connection."""

    def put(self, cursor: Any, barriers: Collection[Barrier]) -> None:
        """See `kernel.ports.BlockPort.put`."""
        raw = raw_cursor(cursor)
        users = sorted({str(barrier.recipient) for barrier in barriers})
        # What is there is locked before what is missing is made, as a drain does it: else the two could wait for each other.
        lock = log.lock_mailboxes_sql(raw, users)
        cursor.execute(lock + b";" + log.make_mailboxes_sql(raw, users) + b";" + lock)
        for barrier in barriers:
            recipient, sender = str(barrier.recipient), str(barrier.sender)
            if not (barrier.everywhere or barrier.direct or barrier.held):
                cursor.execute(LIFT, (recipient, sender))
                continue
            reads = _reads(barrier.recipient, barrier.sender) if barrier.everywhere else {}
            flags = (barrier.everywhere, barrier.direct, barrier.held, barrier.known_version)
            cursor.execute(PUT, (orjson.dumps(reads).decode(), recipient, sender, *flags))

    def release(self, cursor: Any, *, recipient: UUID, sender: UUID) -> None:
        """See `kernel.ports.BlockPort.release`."""
        slot = slot_of(recipient)
        cursor.execute("SELECT pg_current_xact_id()")
        try:
            cursor.execute(RELEASE, (str(recipient), str(sender)))
        except IntegrityError as error:
            # Another of the same slot has released the same entry, and it is not delivered yet: it was one row for both.
            raise Unavailable(retry_after=1) from error
        if cursor.rowcount > 0:
            cursor.execute(LOOK_AGAIN, (slot,))
            transaction.on_commit(lambda: wake.slots({slot}))

    def forget_held(self, cursor: Any, *, recipient: UUID, sender: UUID) -> None:
        """See `kernel.ports.BlockPort.forget_held`."""
        cursor.execute(FORGET_HELD, (str(recipient), str(sender)))

    def reported(self, cursor: Any, *, device: UUID, version: int) -> None:
        """See `kernel.ports.BlockPort.reported`."""
        cursor.execute(REPORT, (str(device), version, str(device), version))
        cursor.execute(FORGET_REPORTS, (str(device), REPORTS_KEPT_S))

    def hidden_from(self, user: UUID) -> Mapping[str, int]:
        """See `kernel.ports.BlockPort.hidden_from`."""
        with positions.text_cursor() as cursor:
            return hides(cursor, str(user))

    def frozen_for(self, viewer: UUID, readers: Collection[str]) -> Mapping[str, tuple[int, Mapping[str, int]]]:
        """See `kernel.ports.BlockPort.frozen_for`."""
        with positions.text_cursor() as cursor:
            cursor.execute(FROZEN, (uuid_array(readers), str(viewer)))
            return {reader: (delivered, _json(reads)) for reader, delivered, reads in cursor.fetchall()}

    def is_between(self, one: UUID, other: UUID) -> bool:
        """See `kernel.ports.BlockPort.is_between`."""
        with connection.cursor() as cursor:
            cursor.execute(BETWEEN, (str(one), str(other)))
            return cursor.fetchone() is not None

    def between(self, user: UUID, others: Collection[UUID]) -> Mapping[UUID, datetime]:
        """See `kernel.ports.BlockPort.between`."""
        with connection.cursor() as cursor:
            cursor.execute(BETWEEN_SINCE, (str(user), uuid_array(others)))
            return dict(cursor.fetchall())

    def parted(self, user: UUID, others: Collection[UUID]) -> None:
        """See `kernel.ports.BlockPort.parted`."""
        with connection.cursor() as cursor:
            cursor.execute(PARTED, (str(user), uuid_array(others), str(user), uuid_array(others)))

    def moments_of(self, user: UUID) -> Collection[datetime]:
        """See `kernel.ports.BlockPort.moments_of`."""
        with connection.cursor() as cursor:
            cursor.execute(MOMENTS, (str(user),))
            return [blocked_at for (blocked_at,) in cursor.fetchall()]


def _reads(recipient: UUID, sender: UUID) -> dict[str, int]:
    """How far the recipient has read the rooms that both are in, as others may know it."""
    shared = ports.rosters.shared_rooms(recipient, sender)
    return positions.disclosed_reads(str(recipient), [str(room) for room in shared])


def _json(value: Any) -> Mapping[str, int]:
    found: Mapping[str, int] = orjson.loads(value) if isinstance(value, str) else value
    return found


# --- what exits ask ----------------------------------------------------------------------------------------------------


def hides(cursor: Any, user: str) -> dict[str, int]:
    """See `kernel.ports.BlockPort.hidden_from`; any cursor that answers ids as texts."""
    cursor.execute(HIDES, (user,))
    return dict(cursor.fetchall())


def read_page(cursor: Cursor, user: str, after: int, limit: int) -> list[Entry]:
    """A page of the user's mailbox as the user's blocks allow it (`messages.log.read_after`)."""
    found = log.read_after(cursor, user, after, limit)
    # In this order: a block that is answered between the two hides what was read.
    above = hides(cursor, user)
    if not above:
        return found
    return [
        log.hidden(entry.seq) if entry.origin and entry.seq > above.get(entry.origin.sender, entry.seq) else entry
        for entry in found
    ]


def silent(cursor: Cursor, user: str, members: Iterable[str], *, in_direct_room: bool) -> set[str]:
    """Those of a room's other members who are not told that the user writes."""
    others = uuid_array(members)
    cursor.execute(SILENT, (user, others, in_direct_room, user, others, in_direct_room))
    return {row[0] for row in cursor.fetchall()}


def deaf_pairs(pairs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these (reader, sender) pairs of which the sender must learn nothing."""
    with positions.text_cursor() as cursor:
        cursor.execute(DEAF_PAIRS, _columns(pairs))
        return set(cursor.fetchall())


def deaf_pairs_sql(cursor: Cursor, owed: Mapping[str, Sequence[Origin]]) -> bytes | None:
    """The statement that finds the (reader, sender) pairs of which the sender must learn nothing; None without pairs."""
    pairs = {(reader, origin.sender) for reader, origins in owed.items() for origin in origins}
    if not pairs:
        return None
    return cursor.mogrify(DEAF_PAIRS, _columns(pairs))


def _columns(pairs: Collection[tuple[str, str]]) -> tuple[str, str]:
    """Pairs of users as the two arrays that are unnested side by side."""
    return uuid_array(pair[0] for pair in pairs), uuid_array(pair[1] for pair in pairs)


# --- at the drain ------------------------------------------------------------------------------------------------------


def hold_sql(cursor: Cursor, asked: Sequence[tuple[str, NewPending, int]]) -> bytes:
    """The statement that lays deliveries aside: (recipient, delivery, id of its pending row). A full box takes no more."""
    pairs = sorted({(recipient, row.sender or "") for recipient, row, _ in asked})
    cursor.execute(HELD, (limits.HELD, *_columns(pairs)))
    left = {(recipient, sender): limits.HELD - count for recipient, sender, count in cursor.fetchall()}
    held = []
    for each in asked:
        pair = each[0], each[1].sender
        left[pair] -= 1
        if left[pair] >= 0:
            held.append(each)
    rows = [row for _, row, _ in held]
    return cursor.mogrify(
        HOLD,
        (
            uuid_array(recipient for recipient, _, _ in held),
            log.nullable(row.sender for row in rows),
            number_array(id for _, _, id in held),
            number_array(row.slot for row in rows),
            number_array(row.kind for row in rows),
            log.nullable(row.message for row in rows),
            log.nullable(row.room for row in rows),
            log.nullable(row.device for row in rows),
            number_array(row.connections_version for row in rows),
            [row.payload for row in rows],
        ),
    )
