"""What has come to a mailbox that a device of its owner does not have yet: what a push may be about."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, Subquery

from kernel.database import number_array, uuid_array
from messages.kinds import Kind
from messages.models import Mailbox

# A look goes through so many numbers of a mailbox.
MOST: Final = 200

REACHED = """
SELECT q.device_id, coalesce(b.last_seq, 0), coalesce(c.seq, 0), statement_timestamp()
FROM unnest(%s::uuid[], %s::uuid[]) AS q(user_id, device_id)
LEFT JOIN message_log_mailbox b ON b.user_id = q.user_id
LEFT JOIN message_log_cursor c ON c.device_id = q.device_id
"""

# Others' messages that the user has not read on another device; the first of each sender in each room speaks for the later ones.
# Bounded by numbers: what is read or one's own counts too, or a look would walk through all of it. Step by step by index
# (LIMIT keeps the planner from joining whole tables).
MESSAGES = f"""
SELECT q.device_id, min(e.seq), e.room_id, m.sender_id
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[]) AS q(device_id, user_id, seq) CROSS JOIN LATERAL (
    SELECT * FROM message_log_entry e
    WHERE e.user_id = q.user_id AND e.seq > q.seq AND e.seq <= q.seq + {MOST} AND e.kind = {Kind.MESSAGE.value}
      AND e.seq > coalesce((SELECT r.seq FROM message_log_readposition r
                            WHERE r.user_id = q.user_id AND r.room_id = e.room_id), 0)
    ORDER BY e.seq LIMIT {MOST}) e
CROSS JOIN LATERAL (SELECT sender_id FROM message_log_message WHERE id = e.message_id LIMIT 1) m
WHERE m.sender_id <> q.user_id
GROUP BY q.device_id, e.room_id, m.sender_id
"""


class Reached(NamedTuple):
    """The mailbox's newest number, up to which the device has it, and when that was so by PostgreSQL's clock."""

    newest: int
    acknowledged: int
    at: datetime


class Message(NamedTuple):
    """The first of a sender's messages in a room, among those that were looked at for a device."""

    device: UUID
    seq: int
    room: UUID
    sender: UUID


def last_seq_of(user: UUID) -> int:
    """The mailbox's newest number."""
    return Mailbox.objects.filter(user_id=user).values_list("last_seq", flat=True).first() or 0


def newest_of(user: str) -> Subquery:
    """For a query over rows whose field `user` names a user: the mailbox's newest number."""
    return Subquery(Mailbox.objects.filter(user_id=OuterRef(user)).values("last_seq")[:1])


def reached(pairs: Sequence[tuple[UUID, UUID]]) -> dict[UUID, Reached]:
    """Device → where it and its mailbox are, of these (user, device)."""
    with connection.cursor() as cursor:
        cursor.execute(REACHED, (uuid_array(user for user, _ in pairs), uuid_array(device for _, device in pairs)))
        return {device: Reached(*reached) for device, *reached in cursor.fetchall()}


def messages(asked: Sequence[tuple[UUID, UUID, int]]) -> list[Message]:
    """Of each (device, user, seq): the messages behind `seq` that are others' and nowhere read, one of each sender in each room.

    It looks at the `MOST` numbers behind `seq` and no further, whatever is in them: a mailbox costs that many steps at most.
    For what lies behind them ask again from there.
    """
    columns = (uuid_array(one for one, _, _ in asked), uuid_array(user for _, user, _ in asked))
    with connection.cursor() as cursor:
        cursor.execute(MESSAGES, (*columns, number_array(seq for _, _, seq in asked)))
        return [Message._make(row) for row in cursor.fetchall()]
