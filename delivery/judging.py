"""What follows from a message that a block kept from its recipient: an alert for staff, or word to the device that sent it."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from delivery.models import AbuseAlert
from delivery.pending import NewPending
from delivery.slots import slot_of
from kernel.database import Cursor, number_array, uuid_array
from messages.entries import payload_text
from messages.kinds import Kind

# A device that has known of a block for this long, when it sends, is broken or hostile (design §7).
KNOWN_FOR_S: Final = 30

REASON: Final = "blocked"
STATUS: Final = 403

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


def alerts_about(device: UUID) -> list[int]:
    """How many messages each alert about this device counts, the oldest alert first."""
    return list(AbuseAlert.objects.filter(device_id=device).order_by("id").values_list("count", flat=True))
