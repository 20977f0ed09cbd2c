"""How far users have come, and what follows for a message: `delivered` and `read` (docs/protocol.md §3.2).

Nothing is written per message. A user's *delivered* position is the largest cursor of the user's devices, the *read*
position is kept per room; both count in the user's own numbers. So whether Bob has a message of Alice's is one look-up
of the message in Bob's mailbox, compared with Bob's position. What one device sends in one room stands in every
mailbox in the same order, so in a large room a search over a page's messages finds how far everybody has come.

Ids are canonical texts here: making UUIDs of a page's thousands only to print them would cost more than its queries.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Max
from psycopg2.extensions import register_type

from kernel import ports
from kernel.database import UUID_TEXT, uuid_array
from messages.models import Cursor, ReadPosition

# How many (user, message) pairs are looked up for the flags of one page. Rooms beyond it keep false: their messages'
# states are to be had one by one.
PAIRS_A_PAGE: Final = 20_000

SEQS = """
SELECT e.user_id, e.message_id, e.seq
FROM unnest(%s::uuid[], %s::uuid[]) AS p(user_id, message_id)
JOIN message_log_entry e ON e.user_id = p.user_id AND e.message_id = p.message_id
"""

ORIGINS = "SELECT id, sender_id, room_id, device_id FROM message_log_message WHERE id = ANY(%s::uuid[])"

Pair = tuple[str, str]  # (user, message)
# Reader → delivered, and read by room: kernel.ports.BlockPort.frozen_for.
Frozen = Mapping[str, tuple[int, Mapping[str, int]]]


class Held(NamedTuple):
    """A message in a mailbox: the owner's `seq`, the message's ids, `accepted_at` in ms."""

    seq: int
    message: str
    room: str
    sender: str
    device: str
    recipient: str | None
    accepted_at: int


class Origin(NamedTuple):
    """Where a message came from. Ids as the cursor spells them."""

    sender: Any
    room: Any
    device: Any


class Position(NamedTuple):
    """How far a user has come in a room, in the user's own numbers."""

    delivered: int
    read: int


class State(NamedTuple):
    """What is known of a message."""

    delivered: bool
    read: bool


NOTHING: Final = State(False, False)


@contextmanager
def text_cursor() -> Iterator[Any]:
    """A cursor of Django's connection that answers ids as texts."""
    with connection.cursor() as cursor:
        register_type(UUID_TEXT, cursor.cursor)
        yield cursor


def delivered_up_to(users: Collection[str]) -> dict[str, int]:
    """The largest cursor of each user's devices, revoked ones too: what a lost phone had, has been delivered."""
    rows = Cursor.objects.filter(user_id__in=users).values_list("user_id").annotate(Max("seq"))
    return {str(user): seq for user, seq in rows.order_by()}


def disclosed_reads(user: str, rooms: Collection[str]) -> dict[str, int]:
    """How far the user has read these rooms, as far as others may know it; a room that was never read is left out."""
    rows = ReadPosition.objects.filter(user_id=user, room_id__in=rooms, disclosed_seq__gt=0)
    return {str(room): seq for room, seq in rows.values_list("room_id", "disclosed_seq")}


def disclosed_positions(users: Collection[str], room: str, frozen: Frozen) -> dict[str, Position]:
    """How far each user has come in the room, as far as somebody may know for whom these are frozen."""
    delivered = delivered_up_to(users)
    rows = ReadPosition.objects.filter(user_id__in=users, room_id=room)
    read = {str(user): seq for user, seq in rows.values_list("user_id", "disclosed_seq")}
    return {user: capped(Position(delivered.get(user, 0), read.get(user, 0)), user, room, frozen) for user in users}


def frozen_for(viewer: str, readers: Collection[str]) -> Frozen:
    """Who of these blocks the viewer, and where the block froze them."""
    return ports.blocks.frozen_for(UUID(viewer), readers) if readers else {}


def capped(position: Position, user: str, room: str, frozen: Frozen) -> Position:
    """The position, or where a block froze it."""
    if user not in frozen:
        return position
    delivered, reads = frozen[user]
    return Position(min(position.delivered, delivered), min(position.read, reads.get(room, 0)))


def others_in(rooms: Collection[str], user: str) -> dict[str, list[tuple[str, int]]]:
    """Each room's present members but the user, with the time they came (ms)."""
    if not rooms:
        return {}
    found = ports.rosters.members_of([UUID(room) for room in rooms])
    members = {str(room): [(str(member), at) for member, at in joined] for room, joined in found.items()}
    return {room: [member for member in joined if member[0] != user] for room, joined in members.items()}


def seqs_of(pairs: Iterable[Pair]) -> dict[Pair, int]:
    """The number of each message in each user's mailbox; what is not in it is left out."""
    pairs = list(pairs)
    if not pairs:
        return {}
    with text_cursor() as cursor:
        cursor.execute(SEQS, (uuid_array(user for user, _ in pairs), uuid_array(message for _, message in pairs)))
        return {(user, message): seq for user, message, seq in cursor.fetchall()}


def origins_of(cursor: Any, messages: Collection[Any]) -> dict[Any, Origin]:
    """Where these messages came from, by any DB-API cursor; those no longer kept are left out.

    Two statements (entries, then this) instead of a join: the planner, which cannot know that ids prune partitions,
    would at some size of the log begin to scan it.
    """
    if not messages:
        return {}
    cursor.execute(ORIGINS, (uuid_array(messages),))
    return {row[0]: Origin(*row[1:]) for row in cursor.fetchall()}


def states_of(user: str, page: Sequence[Held]) -> dict[str, State]:
    """The state of each message in a page of the user's own mailbox; what is left out is in state `NOTHING`."""
    received = [held for held in page if held.sender != user]
    direct = [held for held in page if held.sender == user and held.recipient is not None]
    group = [held for held in page if held.sender == user and held.recipient is None]
    return {**_of_received(user, received), **_of_direct(user, direct), **_of_group(user, group)}


def _of_received(user: str, page: Sequence[Held]) -> dict[str, State]:
    """Delivered when one of the user's devices has it, read when the user has read it."""
    if not page:
        return {}
    delivered = delivered_up_to([user]).get(user, 0)
    rows = ReadPosition.objects.filter(user_id=user, room_id__in={held.room for held in page})
    read = {str(room): seq for room, seq in rows.values_list("room_id", "seq")}
    return {held.message: State(held.seq <= delivered, held.seq <= read.get(held.room, 0)) for held in page}


def _of_direct(user: str, page: Sequence[Held]) -> dict[str, State]:
    """Delivered and read when the other one has it and has read it."""
    if not page:
        return {}
    peers = {held.room: held.recipient for held in page if held.recipient is not None}
    frozen = frozen_for(user, set(peers.values()))
    delivered = delivered_up_to(set(peers.values()))
    rows = ReadPosition.objects.filter(user_id__in=set(peers.values()), room_id__in=peers)
    disclosed = rows.values_list("user_id", "room_id", "disclosed_seq")
    read = {str(room): seq for user, room, seq in disclosed if peers[str(room)] == str(user)}
    states = {}
    seqs = seqs_of((peers[held.room], held.message) for held in page)
    for held in page:
        peer = peers[held.room]
        seq = seqs.get((peer, held.message))
        if seq is not None:
            reached = capped(Position(delivered.get(peer, 0), read.get(held.room, 0)), peer, held.room, frozen)
            states[held.message] = State(seq <= reached.delivered, seq <= reached.read)
    return states


class _Run:
    """One device's messages in one group on this page, oldest first, and a search for how many of them all others have.

    Whoever has a message has the earlier ones of the run that were for them: so the newest that all have is found by
    asking for the newest, and then by halving. Only those who lack a message need be asked for an earlier one.
    """

    def __init__(self, messages: Sequence[Held], others: Sequence[tuple[str, int]], reached: Mapping[str, int]) -> None:
        self.messages = messages
        self.covered = 0  # so many of the oldest are known to be with everybody
        self._first_joined = min((joined_at for _, joined_at in others), default=None)
        self._behind = others  # those who are not known to have the message before which the search goes on
        self._reached = reached
        self._open = len(messages)  # from this place on they are known not to be
        self._probe = len(messages) - 1

    @property
    def is_over(self) -> bool:
        """Whether `covered` is final."""
        return self.covered >= self._open

    def asked(self) -> list[Pair]:
        """What to look up next. Who came after a message is none of its recipients."""
        held = self.messages[self._probe]
        return [(user, held.message) for user, joined_at in self._behind if joined_at <= held.accepted_at]

    def answered(self, seqs: Mapping[Pair, int]) -> None:
        """Go on with the numbers that were asked for."""
        held = self.messages[self._probe]
        asked = [member for member in self._behind if member[1] <= held.accepted_at]
        behind = [member for member in asked if not self._has(member[0], held.message, seqs)]
        # Said of nobody it would be true, and a message that nobody got is not delivered.
        if not behind and self._first_joined is not None and self._first_joined <= held.accepted_at:
            self.covered = self._probe + 1
        else:
            self._open = self._probe
            self._behind = behind
        self._probe = (self.covered + self._open) // 2

    def _has(self, user: str, message: str, seqs: Mapping[Pair, int]) -> bool:
        seq = seqs.get((user, message))
        return seq is not None and seq <= self._reached[user]


def _of_group(user: str, page: Sequence[Held]) -> dict[str, State]:
    """Delivered and read when all present members who were there when it was sent have it and have read it."""
    by_device: dict[tuple[str, str], list[Held]] = {}
    for held in sorted(page):
        by_device.setdefault((held.room, held.device), []).append(held)
    members = others_in({room for room, _ in by_device}, user)
    frozen = frozen_for(user, {other for others in members.values() for other, _ in others})
    budget = PAIRS_A_PAGE
    runs: list[tuple[_Run, _Run]] = []
    for (room, _), messages in by_device.items():
        others = members.get(room, [])
        # Each search asks for each member at most once per halving.
        budget -= 2 * len(others) * (1 + len(messages).bit_length())
        if budget < 0:
            break
        positions = disclosed_positions([other for other, _ in others], room, frozen)
        delivered = {other: position.delivered for other, position in positions.items()}
        read = {other: position.read for other, position in positions.items()}
        runs.append((_Run(messages, others, delivered), _Run(messages, others, read)))
    _search([run for pair in runs for run in pair])
    return {
        held.message: State(place < reached.covered, place < seen.covered)
        for reached, seen in runs
        for place, held in enumerate(reached.messages)
    }


def _search(runs: Sequence[_Run]) -> None:
    """Run all searches side by side: one look-up for each halving."""
    while active := [run for run in runs if not run.is_over]:
        seqs = seqs_of({pair for run in active for pair in run.asked()})
        for run in active:
            run.answered(seqs)
