"""A user's own mailbox, read in pages: the whole of it, what a device lacks, one room backwards, one message.

What is here is what was delivered to the user: what was said before joining, or was kept out by a block, is not there
to leak; a former member keeps what came before. Every page costs a bounded number of rows, whatever the mailbox holds.
The entries are spelled by messages/entries.py, as on the socket.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson

from kernel import limits, ports
from kernel.database import uuid_array
from kernel.errors import NotFound
from messages import positions
from messages.entries import HIDDEN, message_text
from messages.kinds import Kind
from messages.log import SELECT_STORED
from messages.models import Cursor, Entry, Mailbox
from messages.positions import NOTHING, Held, State

# How many numbers one page of `sent` or `received` looks through: of somebody who sends little, a page may be empty
# and yet have a next one.
LOOKED_THROUGH: Final = 1_000
# The bodies of one page, in bytes: a page ends early rather than grow.
PAGE_BYTES: Final = 2_097_152

LINES_AFTER = """
SELECT seq, kind, message_id, payload FROM message_log_entry WHERE user_id = %s AND seq > %s ORDER BY seq LIMIT %s
"""
LINES_OF_ROOM = """
SELECT seq, kind, message_id, payload FROM message_log_entry
WHERE user_id = %s AND room_id = %s AND seq < %s ORDER BY seq DESC LIMIT %s
"""
LINE = f"""
SELECT seq, kind, message_id, payload FROM message_log_entry
WHERE user_id = %s AND message_id = %s AND kind = {Kind.MESSAGE.value}
"""
# A length is read without its body.
LENGTHS = "SELECT id, octet_length(ciphertext) FROM message_log_message WHERE id = ANY(%s::uuid[])"
OF_DIRECTION = "SELECT id FROM message_log_message WHERE id = ANY(%s::uuid[]) AND (sender_id = %s) = %s"


class Line(NamedTuple):
    """An entry's row; ids are canonical texts."""

    seq: int
    kind: int
    message: str | None
    payload: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Entries as JSON objects, ready to be put into an answer; `next` as docs/protocol.md §3 has it."""

    entries: list[orjson.Fragment]
    last_seq: int
    next: int | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a message stands with one of its recipients."""

    user: str
    delivered: bool
    read: bool


@dataclass(frozen=True, slots=True)
class MessageState:
    """A message as an entry of the asker's mailbox; `deliveries` for its sender only."""

    entry: dict[str, Any]
    deliveries: list[Delivery] | None


# --- the mailbox ----------------------------------------------------------------------------------------------------


def read_mailbox(user: UUID, *, after: int, limit: int, direction: str | None = None) -> Page:
    """Entries behind `after`, in order; with a direction (`sent`, `received`) only messages of that one."""
    last_seq = last_seq_of(user)
    if direction is not None:
        lines, up_to = _directed(user, after, limit, sent=direction == "sent")
    else:
        # Numbers have no gaps: a page of so many entries ends at that number.
        lines, up_to = _lines(LINES_AFTER, user, after, limit), after + limit
    page = _fitting(lines)
    if len(page) < len(lines):
        up_to = page[-1].seq
    return Page(_rendered(user, page), last_seq, up_to if up_to < last_seq else None)


def read_undelivered(user: UUID, device: UUID, *, limit: int) -> tuple[Page, int]:
    """What this device has not acknowledged, in order, and up to where it has."""
    acknowledged = acknowledged_by(device)
    return read_mailbox(user, after=acknowledged, limit=limit), acknowledged


def read_room(user: UUID, room: UUID, *, before: int, limit: int) -> Page:
    """The user's entries of one room below `before`, newest first. Raises `NotFound` for one that never was."""
    lines = _lines(LINES_OF_ROOM, user, room, before, limit + 1)
    if not lines:
        check_knows_room(user, room)
    page = _fitting(lines[:limit])
    return Page(_rendered(user, page), last_seq_of(user), page[-1].seq if len(lines) > len(page) else None)


def get_message(user: UUID, message_id: UUID) -> MessageState:
    """A message of the user's mailbox with its state; to its sender, how it stands with each recipient."""
    lines = _lines(LINE, user, message_id)
    stored = _stored(lines)
    if not stored or _hidden(user, lines, stored):
        raise NotFound("there is no such message")
    held = _held(lines[0].seq, stored[str(message_id)])
    states = positions.states_of(str(user), [held])
    entry: dict[str, Any] = orjson.loads(_object(lines[0], stored, states))
    return MessageState(entry, _deliveries(held) if held.sender == str(user) else None)


def last_seq_of(user: UUID) -> int:
    """The newest number of the user's mailbox, 0 for an empty one."""
    return Mailbox.objects.filter(user_id=user).values_list("last_seq", flat=True).first() or 0


def acknowledged_by(device: UUID) -> int:
    """Up to where the device has acknowledged."""
    return Cursor.objects.filter(device_id=device).values_list("seq", flat=True).first() or 0


def check_knows_room(user: UUID, room: UUID) -> None:
    """Raise `NotFound` unless the user is in the room or has been. A room that one is not in does not exist."""
    if Entry.objects.filter(user_id=user, room_id=room).order_by("seq").values("seq").first() is not None:
        return
    # A new room's first entry may still be on its way.
    if all(member != user for member, _ in ports.rosters.members_of([room]).get(room, ())):
        raise NotFound("there is no such room")


# --- parts ----------------------------------------------------------------------------------------------------------


def _lines(sql: str, *parameters: Any) -> list[Line]:
    with positions.text_cursor() as cursor:
        cursor.execute(sql, parameters)
        return [Line(*row) for row in cursor.fetchall()]


def _directed(user: UUID, after: int, limit: int, *, sent: bool) -> tuple[list[Line], int]:
    """Messages of one direction, and the number up to which has been looked."""
    window = _lines(LINES_AFTER, user, after, max(limit, LOOKED_THROUGH))
    messages = [line for line in window if line.kind == Kind.MESSAGE and line.message is not None]
    with positions.text_cursor() as cursor:
        cursor.execute(OF_DIRECTION, (uuid_array(line.message for line in messages), user, sent))
        wanted = {row[0] for row in cursor.fetchall()}
    found = [line for line in messages if line.message in wanted]
    if len(found) > limit:
        return found[:limit], found[limit - 1].seq
    return found, window[-1].seq if window else after


def _fitting(lines: Sequence[Line]) -> Sequence[Line]:
    """The first of these lines, as many as have bodies of `PAGE_BYTES` together; one at least."""
    if len(lines) * limits.BODY_BYTES <= PAGE_BYTES:
        return lines
    with positions.text_cursor() as cursor:
        cursor.execute(LENGTHS, (uuid_array(line.message for line in lines if line.message is not None),))
        lengths = dict(cursor.fetchall())
    total = 0
    for place, line in enumerate(lines):
        total += lengths.get(line.message, 0)
        if total > PAGE_BYTES and place > 0:
            return lines[:place]
    return lines


def _stored(lines: Iterable[Line]) -> dict[str, tuple[Any, ...]]:
    """The rows of these lines' messages (`MESSAGE_COLUMNS`) by id; those no longer kept are left out."""
    ids = [line.message for line in lines if line.kind == Kind.MESSAGE]
    if not ids:
        return {}
    with positions.text_cursor() as cursor:
        cursor.execute(SELECT_STORED, (uuid_array(ids),))
        return {row[0]: row for row in cursor.fetchall()}


def _hidden(user: UUID, lines: Iterable[Line], stored: dict[str, tuple[Any, ...]]) -> list[str]:
    """The messages that a block of the user's hides. Their numbers stay."""
    above = ports.blocks.hidden_from(user)
    if not above:
        return []
    return [
        line.message
        for line in lines
        if line.message in stored and line.seq > above.get(stored[line.message][2], line.seq)
    ]


def _held(seq: int, row: Sequence[Any]) -> Held:
    id, room, sender, device, recipient, _sent_at, accepted_at, *_ = row
    return Held(seq, id, room, sender, device, recipient, accepted_at)


def _rendered(user: UUID, lines: Sequence[Line]) -> list[orjson.Fragment]:
    """The lines as JSON objects, with the states that hold now."""
    stored = _stored(lines)
    for message in _hidden(user, lines, stored):
        del stored[message]
    held = [_held(line.seq, stored[line.message]) for line in lines if line.message in stored]
    states = positions.states_of(str(user), held)
    return [orjson.Fragment(_object(line, stored, states)) for line in lines]


def _object(line: Line, stored: dict[str, tuple[Any, ...]], states: dict[str, State]) -> str:
    if line.kind != Kind.MESSAGE:
        text = line.payload or HIDDEN
    elif line.message is None or line.message not in stored:  # no longer kept, or hidden; the number stays
        text = HIDDEN
    else:
        state = states.get(line.message, NOTHING)
        columns = (*stored[line.message], *state)
        text = message_text(*columns)
    return f'{{"seq":{line.seq},{text}}}'


def _deliveries(held: Held) -> list[Delivery]:
    """How a message stands with each recipient who is still in the room.

    Recipients are those who were in the room when it was accepted, and whoever has it.
    """
    if held.recipient is not None:
        candidates = [(held.recipient, 0)]
    else:
        candidates = positions.others_in([held.room], held.sender).get(held.room, [])
    users = [user for user, _ in candidates]
    seqs = positions.seqs_of((user, held.message) for user in users)
    reached = positions.disclosed_positions(users, held.room, positions.frozen_for(held.sender, users))
    found = []
    for user, joined_at in candidates:
        seq = seqs.get((user, held.message))
        if seq is not None:
            found.append(Delivery(user, seq <= reached[user].delivered, seq <= reached[user].read))
        elif joined_at <= held.accepted_at:
            found.append(Delivery(user, False, False))
    return found
