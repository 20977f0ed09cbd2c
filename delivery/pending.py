"""What is still to be delivered: add, take, set aside, count. Hand-written SQL over `delivery_pending`."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from delivery import wake
from delivery.slots import slots_of
from kernel.database import Cursor, number_array, uuid_array
from messages.entries import payload_text
from messages.log import nullable

INSERT = """
INSERT INTO delivery_pending (slot, recipients, kind, message_id, room_id, sender_id, device_id, connections_version, payload)
SELECT slot, recipients::uuid[], kind, message_id, room_id, sender_id, device_id, version, payload
FROM unnest(%s::smallint[], %s::text[], %s::smallint[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::text[])
     WITH ORDINALITY AS n(slot, recipients, kind, message_id, room_id, sender_id, device_id, version, payload, place)
ORDER BY place
"""

# An estimate of what waits: ids are given in order, so their span bounds the count from above.
SPAN = """
SELECT coalesce(max(last) - min(first) + 1, 0), coalesce(extract(epoch FROM clock_timestamp() - min(since)), 0)::float
FROM generate_series(0, 63) AS s(slot),
     LATERAL (SELECT id AS first, created_at AS since FROM delivery_pending p WHERE p.slot = s.slot ORDER BY id LIMIT 1) a,
     LATERAL (SELECT id AS last FROM delivery_pending p WHERE p.slot = s.slot ORDER BY id DESC LIMIT 1) b
"""
COUNT = "SELECT count(*) FROM (SELECT 1 FROM delivery_pending LIMIT %s) AS waiting"


class NewPending(NamedTuple):
    """One delivery to be made: one slot's recipients of one message (or of one other entry). Ids are canonical texts."""

    slot: int
    recipients: Sequence[str]
    kind: int
    message: str | None
    room: str | None
    sender: str | None
    device: str | None
    connections_version: int = 0
    payload: str | None = None


def add_sql(cursor: Cursor, rows: Sequence[NewPending]) -> bytes:
    """The statement that adds these deliveries, in the order given."""
    payloads: Any = [row.payload for row in rows]
    if not any(payloads):
        payloads = uuid_array(["NULL"] * len(rows))
    return cursor.mogrify(
        INSERT,
        (
            number_array(row.slot for row in rows),
            "{" + ",".join('"{' + ",".join(row.recipients) + '}"' for row in rows) + "}",
            number_array(row.kind for row in rows),
            nullable(row.message for row in rows),
            nullable(row.room for row in rows),
            nullable(row.sender for row in rows),
            nullable(row.device for row in rows),
            number_array(row.connections_version for row in rows),
            payloads,
        ),
    )


def backlog(cursor: Cursor, most: int) -> tuple[int, float]:
    """How many deliveries wait (an upper estimate; exact, up to `most` + 1, when that is over `most`) and the oldest one's age in seconds."""
    cursor.execute(SPAN)
    rows, age = cursor.fetchone() or (0, 0.0)
    if rows > most:
        cursor.execute(COUNT, (most + 1,))
        (rows,) = cursor.fetchone() or (0,)
    return rows, age


class Mailboxes:
    """The port of kernel/ports.py: entries for mailboxes, put by apps upstream in their own transactions."""

    def put(
        self,
        cursor: Any,
        *,
        recipients: Sequence[UUID] | Sequence[str],
        kind: int,
        payload: Mapping[str, Any],
        message_id: UUID | None = None,
        room_id: UUID | None = None,
        sender_id: UUID | None = None,
        device_id: UUID | None = None,
    ) -> None:
        """See `kernel.ports.MailboxPort.put`."""
        text = payload_text(kind, dict(payload))
        slots = slots_of(recipients)
        rows = [
            NewPending(
                slot,
                [str(user) for user in users],
                kind,
                _text(message_id),
                _text(room_id),
                _text(sender_id),
                _text(device_id),
                0,
                text,
            )
            for slot, users in slots.items()
        ]
        if rows:
            # The low-water mark counts on a transaction's id being older than its rows' (delivery/drainer.py).
            cursor.execute(b"SELECT pg_current_xact_id();" + add_sql(raw_cursor(cursor), rows))
            transaction.on_commit(lambda: wake.slots(slots))


def raw_cursor(cursor: Any) -> Cursor:
    """The psycopg2 cursor inside Django's wrapper, which alone can `mogrify`."""
    return getattr(cursor, "cursor", cursor)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
