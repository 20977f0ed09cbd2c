"""Delivery's copy of the blocks: written in the transaction of a block, read by the drain and by whatever shows messages.

A row says what keeps a sender's messages from a recipient. Whoever writes it holds the recipient's mailbox row, which a
drain locks before it reads the copy; so once a block is answered, nothing of the blocked one's is delivered any more.
What was delivered before, but to none of the recipient's devices, is hidden where the mailbox is read (`hides`).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
from django.db import connection, transaction

from delivery import wake
from delivery.models import AbuseAlert
from delivery.pending import NewPending, raw_cursor
from delivery.slots import slot_of
from kernel import limits, ports
from kernel.database import Cursor, number_array, uuid_array
from kernel.entries import Entry, Origin
from kernel.ports import Barrier
from messages import log, positions
from messages.entries import payload_text
from messages.kinds import Kind

# A device that has known of a block for this long, when it sends, is broken or hostile (design §7).
KNOWN_FOR_S: Final = 30
# Reports are kept for as long as a message may wait to be drained, and a good while longer.
REPORTS_KEPT_S: Final = 3_600

REASON: Final = "blocked"
STATUS: Final = 403

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
SELECT b.user_id, b.last_seq, NULL::uuid, false, false, false, (SELECT sum(version) FROM delivery_slot)
FROM message_log_mailbox b WHERE b.user_id = ANY(%s::uuid[])
UNION ALL
SELECT k.* FROM unnest(%s::uuid[], %s::uuid[]) AS n(recipient, sender),
     LATERAL (SELECT k.recipient_id, NULL::bigint, k.sender_id, k.everywhere, k.direct, k.held, k.known_version
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

# For each dropped message: the newest version that its device had reported when it was accepted, and whether it had
# reported the block's long enough before.
KNOWN = """
SELECT (SELECT coalesce(max(r.version), 0) FROM delivery_syncreport r
        WHERE r.device_id = n.device AND r.reported_at <= to_timestamp(n.accepted / 1000.0)),
       EXISTS (SELECT FROM delivery_syncreport r WHERE r.device_id = n.device AND r.version >= n.known
               AND r.reported_at <= to_timestamp(n.accepted / 1000.0) - %s * interval '1 second')
FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) WITH ORDINALITY AS n(device, known, accepted, place) ORDER BY n.place
"""
RAISE = """
INSERT INTO delivery_abusealert AS a (device_id, sender_id, recipient_id, client_name, client_version, state, count, first_at, last_at,
                                      last_message_id, block_version, reported_version, accepted_version, notes)
SELECT n.device, n.sender, n.recipient, coalesce(d.client_name, ''), coalesce(d.client_version, ''), 'open', n.count,
       to_timestamp(n.first / 1000.0), to_timestamp(n.last / 1000.0), n.message, n.block, n.reported, n.accepted, ''
FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[], %s::uuid[], %s::bigint[], %s::bigint[], %s::bigint[])
     AS n(device, sender, recipient, count, first, last, message, block, reported, accepted)
LEFT JOIN LATERAL (SELECT client_name, client_version FROM accounts_device WHERE id = n.device LIMIT 1) d ON true
ON CONFLICT (device_id, recipient_id) WHERE state = 'open' DO UPDATE SET
    count = a.count + excluded.count, last_at = greatest(a.last_at, excluded.last_at), last_message_id = excluded.last_message_id,
    block_version = excluded.block_version, reported_version = excluded.reported_version, accepted_version = excluded.accepted_version
RETURNING a.id, a.device_id, a.sender_id, a.recipient_id, a.count
"""


class Stop(NamedTuple):
    """What keeps a sender's messages from a recipient; see `kernel.ports.Barrier`."""

    everywhere: bool
    direct: bool
    held: bool
    known_version: int | None


class Stopped(NamedTuple):
    """A message of a direct room that a block kept from its recipient. `accepted_at` in ms; ids are canonical texts."""

    message: str
    room: str
    sender: str
    device: str
    recipient: str
    accepted_at: int
    accepted_version: int
    known_version: int | None


class Raised(NamedTuple):
    """An alert that was made or updated: `new` messages in this batch, `total` with all before."""

    id: int
    device: str
    sender: str
    recipient: str
    new: int
    total: int


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
        cursor.execute(RELEASE, (str(recipient), str(sender)))
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


def deaf_pairs_sql(cursor: Cursor, owed: Mapping[str, Sequence[Origin]]) -> bytes | None:
    """The statement that finds the (reader, sender) pairs of which the sender must learn nothing; None without pairs."""
    pairs = {(reader, origin.sender) for reader, origins in owed.items() for origin in origins}
    if not pairs:
        return None
    return cursor.mogrify(DEAF_PAIRS, (uuid_array(pair[0] for pair in pairs), uuid_array(pair[1] for pair in pairs)))


def alerts_about(device: UUID) -> list[int]:
    """How many messages each alert about this device counts, the oldest alert first."""
    return list(AbuseAlert.objects.filter(device_id=device).order_by("id").values_list("count", flat=True))


# --- at the drain ------------------------------------------------------------------------------------------------------


def judge(cursor: Cursor, stopped: Sequence[Stopped]) -> tuple[list[Raised], list[NewPending]]:
    """What follows from messages that were dropped: alerts, made or updated here, and rejections, for the caller to add.

    A device that had reported the block for `KNOWN_FOR_S` when its message was accepted is alerted; any other is told, if
    the sender may know. Rare, and one look and one write for a whole batch.
    """
    asked = [each for each in stopped if each.known_version is not None]
    if not asked:
        return [], []
    columns = (
        uuid_array(each.device for each in asked),
        number_array(each.known_version or 0 for each in asked),
        number_array(each.accepted_at for each in asked),
    )
    cursor.execute(KNOWN, (KNOWN_FOR_S, *columns))
    found = cursor.fetchall()
    knowing = [(each, reported) for each, (reported, knew) in zip(asked, found, strict=True) if knew]
    told = [_rejection(each) for each, (_, knew) in zip(asked, found, strict=True) if not knew]
    return _raise(cursor, knowing) if knowing else [], told


def _raise(cursor: Cursor, knowing: Sequence[tuple[Stopped, int]]) -> list[Raised]:
    groups: dict[tuple[str, str], list[tuple[Stopped, int]]] = {}
    for each, reported in knowing:
        groups.setdefault((each.device, each.recipient), []).append((each, reported))
    newest = [groups[key][-1] for key in sorted(groups)]
    counts = [len(groups[key]) for key in sorted(groups)]
    times = [[each.accepted_at for each, _ in groups[key]] for key in sorted(groups)]
    cursor.execute(
        RAISE,
        (
            uuid_array(each.device for each, _ in newest),
            uuid_array(each.sender for each, _ in newest),
            uuid_array(each.recipient for each, _ in newest),
            number_array(counts),
            number_array(map(min, times)),
            number_array(map(max, times)),
            uuid_array(each.message for each, _ in newest),
            number_array(each.known_version or 0 for each, _ in newest),
            number_array(reported for _, reported in newest),
            number_array(each.accepted_version for each, _ in newest),
        ),
    )
    new = {(each.device, each.recipient): count for (each, _), count in zip(newest, counts, strict=True)}
    return [
        Raised(id, device, sender, recipient, new[device, recipient], count)
        for id, device, sender, recipient, count in cursor.fetchall()
    ]


def hold_sql(cursor: Cursor, asked: Sequence[tuple[str, NewPending, int]]) -> bytes:
    """The statement that lays deliveries aside: (recipient, delivery, id of its pending row). A full box takes no more."""
    pairs = sorted({(recipient, row.sender or "") for recipient, row, _ in asked})
    cursor.execute(HELD, (limits.HELD, uuid_array(pair[0] for pair in pairs), uuid_array(pair[1] for pair in pairs)))
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


def _rejection(each: Stopped) -> NewPending:
    payload = {
        "message": each.message,
        "room": each.room,
        "sender": each.sender,
        "device": each.device,
        "by": each.recipient,
        "reason": REASON,
        "status": STATUS,
    }
    text = payload_text(Kind.REJECTION, payload)
    return NewPending(slot_of(each.sender), [each.sender], Kind.REJECTION, None, each.room, None, None, 0, text)
