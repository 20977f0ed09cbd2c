"""What has come to a mailbox that a device of its owner does not have yet: what a push may be about."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import OuterRef, Subquery

from kernel.database import number_array, uuid_array
from messages.kinds import Kind
from messages.models import Mailbox

# Of one device the newest are looked at.
MOST: Final = 200

REACHED = """
SELECT q.device_id, coalesce(b.last_seq, 0), coalesce(c.seq, 0)
FROM unnest(%s::uuid[], %s::uuid[]) AS q(user_id, device_id)
LEFT JOIN message_log_mailbox b ON b.user_id = q.user_id
LEFT JOIN message_log_cursor c ON c.device_id = q.device_id
"""

# Others' messages that the user has not read on another device.
MESSAGES = f"""
SELECT q.device_id, e.seq, e.room_id, m.sender_id
FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[]) AS q(device_id, user_id, seq) CROSS JOIN LATERAL (
    SELECT * FROM message_log_entry e WHERE e.user_id = q.user_id AND e.seq > q.seq AND e.kind = {Kind.MESSAGE.value}
    ORDER BY e.seq DESC LIMIT {MOST}) e
JOIN message_log_message m ON m.id = e.message_id AND m.sender_id <> q.user_id
WHERE NOT EXISTS (SELECT 1 FROM message_log_readposition r
                  WHERE r.user_id = q.user_id AND r.room_id = e.room_id AND r.seq >= e.seq)
"""


class Reached(NamedTuple):
    """The mailbox's newest number, and up to which the device has it."""

    newest: int
    acknowledged: int


class Message(NamedTuple):
    """A message that a device does not have."""

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
        return {device: Reached(newest, acknowledged) for device, newest, acknowledged in cursor.fetchall()}


def messages(asked: Sequence[tuple[UUID, UUID, int]]) -> list[Message]:
    """Of each (device, user, seq): the user's newest messages behind `seq` that are others' and nowhere read."""
    columns = (uuid_array(one for one, _, _ in asked), uuid_array(user for _, user, _ in asked))
    with connection.cursor() as cursor:
        cursor.execute(MESSAGES, (*columns, number_array(seq for _, _, seq in asked)))
        return [Message._make(row) for row in cursor.fetchall()]
