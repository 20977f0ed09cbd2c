"""Acknowledging and reading: positions that only go forward, and what senders may learn of it (docs/protocol.md §4.2).

A receipt names, per (room, sending device), the newest of the sender's own messages covered; all earlier ones of that
device in that room are covered with it. Live frames are hints: after a reconnect, a client asks `receipts_of_room`.
Acknowledgements on sockets are gathered in memory (delivery/acks.py); here is what REST does, and reading for both.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from accounts import users as accounts
from kernel import ports
from kernel.database import number_array, uuid_array
from kernel.errors import AckBeyondSent
from kernel.forms import BIGINT
from messages import history, positions
from messages.kinds import Kind
from messages.models import Cursor, ReadPosition

# How many of the newest entries in a covered range are looked at for live receipts. A hint may be incomplete.
LOOKED_AT: Final = 500
# Receipts in one frame: well below 64 KiB.
RECEIPTS_A_FRAME: Final = 200
# The receipts query looks at so many of the caller's newest messages in a room, in large rooms at fewer
# (`LOOK_UPS` / members), and for a member whom that does not reach, at the newest entries that the member has.
OWN_MESSAGES: Final = 200
LOOKED_THROUGH: Final = 1_000
LOOK_UPS: Final = 10_000

RANGE = f"""
SELECT seq, message_id FROM message_log_entry
WHERE user_id = %s::uuid AND seq > %s AND seq <= %s AND kind = {Kind.MESSAGE.value}
      AND (%s::uuid IS NULL OR room_id = %s::uuid)
ORDER BY seq DESC LIMIT {LOOKED_AT}
"""

# The newest of these messages (numbered from the newest) that each member has below the member's position.
NEWEST_REACHED = """
SELECT p.user_id, (
    SELECT n.message_id FROM unnest(%s::uuid[]) WITH ORDINALITY AS n(message_id, place)
    JOIN message_log_entry e ON e.user_id = p.user_id AND e.message_id = n.message_id
    WHERE e.seq <= p.seq ORDER BY n.place LIMIT 1)
FROM unnest(%s::uuid[], %s::bigint[]) AS p(user_id, seq)
"""

# The newest messages of a room that each member has at or below the member's position.
NEWEST_HELD = f"""
SELECT p.user_id, e.message_id
FROM unnest(%s::uuid[], %s::bigint[]) AS p(user_id, seq), LATERAL (
    SELECT message_id, e.seq FROM message_log_entry e
    WHERE e.user_id = p.user_id AND e.room_id = %s AND e.kind = {Kind.MESSAGE.value} AND e.seq <= p.seq
    ORDER BY e.seq DESC LIMIT %s) e
ORDER BY p.user_id, e.seq DESC
"""


class Covered(NamedTuple):
    """The newest message of a device in a room that somebody now has, or has read."""

    sender: UUID
    room: UUID
    device: UUID
    message: UUID


class Receipt(NamedTuple):
    """How far a member has come with the messages of one of the caller's devices; None is nowhere."""

    user: str
    device: str
    delivered: str | None
    read: str | None


# --- moving forward --------------------------------------------------------------------------------------------------


@transaction.atomic
def acknowledge(user: UUID, device: UUID, seq: int) -> int:
    """Everything up to `seq` is on this device. Answers the device's cursor, which never goes back.

    Raises `AckBeyondSent` above the mailbox's newest number. The senders learn of it after the commit.
    """
    _check_exists(user, seq)
    before = positions.delivered_up_to([str(user)]).get(str(user), 0)
    Cursor.objects.bulk_create([Cursor(device_id=device, user_id=user, seq=0)], ignore_conflicts=True)
    # Conditional, so that of two acknowledgements at once the greater wins whatever their order.
    Cursor.objects.filter(device_id=device, seq__lt=seq).update(seq=seq)
    transaction.on_commit(partial(_tell_delivered, user, before, seq))
    return history.acknowledged_by(device)


@transaction.atomic
def read(user: UUID, device: UUID, room: UUID, seq: int) -> int:
    """The user has read the room up to `seq`. Answers the position, which never goes back.

    The user's other devices learn of it after the commit; the senders too, while the user's read receipts are on.
    Raises `AckBeyondSent` above the mailbox's newest number, `NotFound` for a room that is not the user's.
    """
    _check_exists(user, seq)
    history.check_knows_room(user, room)
    ReadPosition.objects.bulk_create([ReadPosition(user_id=user, room_id=room, seq=0)], ignore_conflicts=True)
    mine = ReadPosition.objects.filter(user_id=user, room_id=room)
    reached, disclosed = mine.select_for_update().values_list("seq", "disclosed_seq").get()
    if seq <= reached:
        return int(reached)
    # What is read while receipts are off stays private until something later is read with them on.
    disclose = accounts.discloses_reading(user)
    mine.update(seq=seq, disclosed_seq=seq if disclose else disclosed)
    transaction.on_commit(partial(_tell_read, user, device, room, seq, disclosed if disclose else seq))
    return seq


def _check_exists(user: UUID, seq: int) -> None:
    last_seq = history.last_seq_of(user)
    if seq > last_seq:
        raise AckBeyondSent(f"the mailbox ends at {last_seq}", field="seq")


# --- telling ---------------------------------------------------------------------------------------------------------


def covered(
    cursor: Any, user: UUID | str, after_seq: int, up_to_seq: int, room: UUID | str | None = None
) -> list[Covered]:
    """Others' messages in (`after_seq`, `up_to_seq`] of the user's mailbox: the newest of each sending device per room.

    Any DB-API cursor will do; ids come as it spells them. Of a longer range only the newest `LOOKED_AT` entries count.
    """
    cursor.execute(RANGE, (str(user), after_seq, up_to_seq, _text(room), _text(room)))
    ids = [row[1] for row in cursor.fetchall()]
    origins = positions.origins_of(cursor, ids)
    newest: dict[tuple[Any, Any], Covered] = {}
    for id in ids:
        if id in origins and str(origins[id].sender) != str(user):
            sender, room_id, device = origins[id]
            newest.setdefault((room_id, device), Covered(sender, room_id, device, id))
    return list(newest.values())


def may_learn(reader: UUID, senders: Iterable[UUID]) -> set[UUID]:
    """Which of these senders may learn how far the reader has come: those whom the reader blocks learn no more."""
    blocked = ports.blocks.hidden_from(reader)
    return {sender for sender in senders if sender != reader and str(sender) not in blocked}


def _tell_delivered(user: UUID, before: int, seq: int) -> None:
    if seq > before:
        _tell_senders(user, "delivered", _covered(user, before, seq))


def _tell_read(user: UUID, device: UUID, room: UUID, seq: int, disclosed: int) -> None:
    ports.hints.send([user], {"type": "read", "room": str(room), "seq": seq}, exclude_device=device)
    if seq > disclosed:
        _tell_senders(user, "read", _covered(user, disclosed, seq, room))


def _covered(user: UUID, after: int, up_to: int, room: UUID | None = None) -> list[Covered]:
    with connection.cursor() as cursor:
        return covered(cursor, user, after, up_to, room)


def _tell_senders(user: UUID, what: str, found: Sequence[Covered]) -> None:
    learners = may_learn(user, {item.sender for item in found})
    by_sender: dict[UUID, list[dict[str, str]]] = {}
    for item in found:
        if item.sender in learners:
            receipt = {"room": str(item.room), "user": str(user), "device": str(item.device), what: str(item.message)}
            by_sender.setdefault(item.sender, []).append(receipt)
    for sender, receipts in by_sender.items():
        for start in range(0, len(receipts), RECEIPTS_A_FRAME):
            frame = {"type": "receipts", "receipts": receipts[start : start + RECEIPTS_A_FRAME]}
            ports.hints.send([sender], frame)


# --- asking ----------------------------------------------------------------------------------------------------------


def receipts_of_room(user: UUID, room: UUID) -> list[Receipt]:
    """Per member and sending device of the user, the newest of the user's messages that the member has, and has read.

    Exact for the user's newest messages in the room (`OWN_MESSAGES`, fewer where there are many members); for a member
    who is further behind, for the newest entries that the member has.
    """
    history.check_knows_room(user, room)
    members = [member for member, _ in positions.others_in([str(room)], str(user)).get(str(room), [])]
    if not members:
        return []
    positions_of = positions.disclosed_positions(members, str(room), positions.frozen_for(str(user), members))
    with positions.text_cursor() as cursor:
        query = _Query(cursor, str(user), str(room))
        by_device = query.own_messages(most=max(10, min(OWN_MESSAGES, LOOK_UPS // len(members))))
        delivered, read = (
            query.newest_covered([(member, position[place]) for member, position in positions_of.items()], by_device)
            for place in (0, 1)
        )
    return [Receipt(*key, delivered.get(key), read.get(key)) for key in sorted(delivered.keys() | read.keys())]


class _Query:
    """The receipts query of one user in one room; ids are texts."""

    def __init__(self, cursor: Any, user: str, room: str) -> None:
        self._cursor = cursor
        self._user = user
        self._room = room

    def own_messages(self, *, most: int) -> dict[str, list[str]]:
        """The user's newest messages per sending device, newest first."""
        self._cursor.execute(NEWEST_HELD, (*_columns([(self._user, BIGINT)]), self._room, LOOKED_THROUGH))
        ids = [message for _, message in self._cursor.fetchall()]
        origins = positions.origins_of(self._cursor, ids)
        own = [id for id in ids if id in origins and origins[id].sender == self._user][:most]
        by_device: dict[str, list[str]] = {}
        for id in own:
            by_device.setdefault(origins[id].device, []).append(id)
        return by_device

    def newest_covered(
        self, at: Sequence[tuple[str, int]], by_device: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], str]:
        """For each (member, position) and device, the newest of the user's messages at or below the position."""
        at = [(member, seq) for member, seq in at if seq > 0]
        found: dict[tuple[str, str], str] = {}
        for device, messages in by_device.items():
            self._cursor.execute(NEWEST_REACHED, (uuid_array(messages), *_columns(at)))
            found |= {(member, device): id for member, id in self._cursor.fetchall() if id is not None}
        reached = {member for member, _ in found}
        if behind := [(member, seq) for member, seq in at if member not in reached]:
            found |= self._newest_held(behind)
        return found

    def _newest_held(self, at: Sequence[tuple[str, int]]) -> dict[tuple[str, str], str]:
        """The same, asked from the members' side: among the newest entries that each has."""
        most = max(10, min(LOOKED_THROUGH, LOOK_UPS // len(at)))
        self._cursor.execute(NEWEST_HELD, (*_columns(at), self._room, most))
        held = self._cursor.fetchall()
        origins = positions.origins_of(self._cursor, {id for _, id in held})
        found: dict[tuple[str, str], str] = {}
        for member, id in held:  # newest first
            if id in origins and origins[id].sender == self._user:
                found.setdefault((member, origins[id].device), id)
        return found


def _columns(at: Sequence[tuple[str, int]]) -> tuple[str, str]:
    """The array literals of members and of their positions."""
    return uuid_array(member for member, _ in at), number_array(seq for _, seq in at)


def _text(value: UUID | str | None) -> str | None:
    return None if value is None else str(value)
