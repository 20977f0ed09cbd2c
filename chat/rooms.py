"""Rooms and who is in them: create, list, add, remove, give roles, leave, hand over (docs/protocol.md §3).

Every change is one transaction:

    lock the room's row  →  check the role  →  write  →  members_version + 1  →  an entry for every member  →  COMMIT

The row is locked FOR UPDATE. Sends read it FOR KEY SHARE, which waits for that lock, and compare `members_version`:
so once a removal is answered, the removed member can post nothing more, in any process. (FOR NO KEY UPDATE would let
them pass.) The entry is a pending delivery like a message, so it comes in order with the room's messages, and goes to
those who were in the room before or are in it now: the removed one learns it too.
Nothing of a room is cached here; who caches compares versions.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, Q

from accounts import holders
from accounts import users as accounts
from chat import across_blocks, roles
from chat.models import Membership, Room
from chat.outdating import block_lifted, user_rekeyed  # noqa: F401 - of the port, like those below
from chat.roles import Role
from connections import policy
from delivery.webpush import mutes
from kernel import limits, ports
from kernel.errors import InvalidInput, NotFound, TooLarge

# The number of `Kind.ROOM` (messages/models.py), which is part of the stored format.
ENTRY_KIND: Final = 3
# How many users one entry names. Whoever finds this many reads the room: a list of 1 000 in each of 1 000 mailboxes
# would cost 40 MB.
USERS_NAMED: Final = 100
# How many members all rooms of one page have together; a page ends early rather than grow.
PAGE_MEMBERS: Final = 5_000


class Member(NamedTuple):
    """Somebody in a room; `joined_at` in ms."""

    user: UUID
    username: str
    role: str
    joined_at: int


@dataclass(frozen=True, slots=True)
class RoomState:
    """A room as its members see it; `created_at` in ms, members by their ids."""

    id: UUID
    kind: str
    members_version: int
    epoch: int
    history: str
    created_at: int
    members: Sequence[Member]
    # By the one who asks.
    is_muted: bool


# --- looking -------------------------------------------------------------------------------------------------------


def get_room(user: UUID, room_id: UUID) -> RoomState:
    """The room, for one of its members. Raises `NotFound` for everybody else."""
    return _states([_get_for_member(user, room_id)], user)[0]


def list_rooms(user: UUID, *, after: UUID | None, limit: int) -> tuple[list[RoomState], UUID | None]:
    """Up to `limit` of the user's rooms by id, behind `after`; and what to pass as `after` for more, None at the end."""
    mine = Membership.objects.filter(user_id=user).exclude(room_id__in=policy.hidden_rooms(user)).order_by("room_id")
    if after is not None:
        mine = mine.filter(room_id__gt=after)
    ids = list(mine.values_list("room_id", flat=True)[: limit + 1])
    page = _fitting(ids[:limit])
    rooms = _states(Room.objects.filter(id__in=page).order_by("id"), user)
    return rooms, page[-1] if len(page) < len(ids) else None


def members_of(room_ids: Collection[UUID]) -> dict[UUID, list[tuple[UUID, int]]]:
    """The port of kernel/ports.py: each room's members with the time they came (ms), by their ids."""
    found: dict[UUID, list[tuple[UUID, int]]] = {}
    rows = Membership.objects.filter(room_id__in=room_ids).order_by("room_id", "user_id")
    for room_id, user_id, joined_at in rows.values_list("room_id", "user_id", "joined_at"):
        found.setdefault(room_id, []).append((user_id, _ms(joined_at)))
    return found


def shared_rooms(one: UUID, other: UUID) -> list[UUID]:
    """The port of kernel/ports.py: the rooms that both are in."""
    theirs = Membership.objects.filter(user_id=other).values("room_id")
    return list(Membership.objects.filter(user_id=one, room_id__in=theirs).values_list("room_id", flat=True))


def groups_shared(one: UUID, others: Collection[UUID]) -> set[UUID]:
    """The port of kernel/ports.py: those of `others` who are in a group with this one."""
    mine = Membership.objects.filter(user_id=one, room__kind=Room.Kind.GROUP).values("room_id")
    return set(Membership.objects.filter(user_id__in=others, room_id__in=mine).values_list("user_id", flat=True))


def direct_peers(user: UUID) -> set[UUID]:
    """The port of kernel/ports.py: the other users of this one's direct rooms."""
    pairs = Room.objects.filter(Q(first_user=user) | Q(second_user=user)).values_list("first_user", "second_user")
    return {peer for pair in pairs for peer in pair if peer and peer != user}


# --- policy --------------------------------------------------------------------------------------------------------


def check_may_open(by: UUID, peer: UUID, *, field: str) -> None:
    """Whether `by` may open a direct room with this user; `field` is where the request names the user.

    In the transaction that makes the room, like `check_may_add`: no block comes in between.
    """
    accounts.check_not_suspended(by)
    _check_reachable([peer], field)
    policy.check_may_open(by, peer, field=field)


def check_may_add(by: UUID, users: Collection[UUID], *, field: str) -> None:
    """Whether `by`, who is not suspended, may bring these people into a group."""
    _check_reachable(users, field)
    policy.check_may_add(by, users, field=field)


def _check_reachable(users: Collection[UUID], field: str) -> None:
    # A suspended account is answered like none: it is nobody's business.
    found = accounts.existing(users)
    if missing := [user for user in users if user not in found]:
        raise NotFound(f"there is no user {missing[0]}", field=field)


# --- making rooms --------------------------------------------------------------------------------------------------


def open_direct(by: UUID, peer: UUID, *, device: UUID | None = None) -> tuple[RoomState, bool]:
    """The one room of these two, and whether it was made now. Whoever else asks at the same time gets the same room."""
    if by == peer:
        raise InvalidInput("the peer must be somebody else", field="peer")
    first, second = sorted((by, peer))
    room = Room.objects.filter(first_user=first, second_user=second).first()
    created = False
    if room is None:
        room, created = _make_direct(by, peer, device)
    return _states([room], by)[0], created


@transaction.atomic
def _make_direct(by: UUID, peer: UUID, device: UUID | None) -> tuple[Room, bool]:
    holders.hold([by, peer])
    check_may_open(by, peer, field="peer")
    first, second = sorted((by, peer))
    # The constraint a_pair_has_one_direct_room decides who makes it: the second waits for the first one's commit.
    room, created = Room.objects.get_or_create(
        first_user=first, second_user=second, defaults={"kind": Room.Kind.DIRECT}
    )
    if created:
        _join(room, {first: Role.MEMBER, second: Role.MEMBER})
        # Whoever does not let the opener through is not told of the room either.
        _announce(room, "created", by, [first, second], tell=[first, second], as_sender=True)
        policy.room_opened(by, peer, room.id, device=device)
    return room, created


@transaction.atomic
def create_group(by: UUID, members: Collection[UUID], *, history: str = Room.History.JOINED) -> RoomState:
    """Make a group of `by`, its owner, and these members; `history`: what who comes later may read."""
    others = [user for user in dict.fromkeys(members) if user != by]
    if not others:
        raise InvalidInput("a group has at least one member beside you", field="members")
    _check_size(len(others) + 1)
    holders.hold([by, *others])
    accounts.check_not_suspended(by)
    check_may_add(by, others, field="members")
    room = Room.objects.create(kind=Room.Kind.GROUP, history=history)
    everybody = {by: Role.OWNER, **dict.fromkeys(others, Role.MEMBER)}
    _join(room, everybody)
    _announce(room, "created", by, everybody, tell=everybody)
    return _states([room], by)[0]


# --- changing them -------------------------------------------------------------------------------------------------


@transaction.atomic
def add_members(by: UUID, room_id: UUID, users: Collection[UUID]) -> RoomState:
    """Bring users in as plain members. Those who are in already stay as they are."""
    _get_for_member(by, room_id)
    # Whoever changes keys outdates the epochs of the rooms that the user is in by then: nobody comes in unseen by that.
    holders.hold(users)
    # Books before rooms, as who lifts a block has it.
    policy.hold(by)
    room, present = _change(by, room_id)
    roles.check_may_add(present, by)
    new = [user for user in dict.fromkeys(users) if user not in present]
    if new:
        _check_size(len(present) + len(new))
        check_may_add(by, new, field="users")
        _join(room, dict.fromkeys(new, Role.MEMBER))
        _next_version(room, outdated=Room.Stale.JOINED if room.history == Room.History.JOINED else None)
        _announce(room, "added", by, new, role=Role.MEMBER, tell=[*present, *new])
    return _states([room], by)[0]


@transaction.atomic
def remove_member(by: UUID, room_id: UUID, user: UUID) -> None:
    """Put a member out. When this has returned, nothing that the member sends is accepted any more."""
    room, present = _change(by, room_id)
    roles.check_may_remove(present, by, user)
    Membership.objects.filter(room=room, user_id=user).delete()
    _next_version(room, outdated=Room.Stale.LEFT)
    _announce(room, "removed", by, [user], tell=present)
    across_blocks.parted(user, present.keys() - {user})


@transaction.atomic
def set_role(by: UUID, room_id: UUID, user: UUID, role: str) -> RoomState:
    """Make a member an admin or a plain member."""
    room, present = _change(by, room_id)
    roles.check_may_set_role(present, by, user, role)
    if present[user] != role:
        Membership.objects.filter(room=room, user_id=user).update(role=role)
        _next_version(room)
        _announce(room, "role", by, [user], role=role, tell=present)
    return _states([room], by)[0]


@transaction.atomic
def leave(by: UUID, room_id: UUID) -> None:
    """Go. The owner goes last, or hands over first."""
    room, present = _change(by, room_id)
    roles.check_may_leave(present, by)
    Membership.objects.filter(room=room, user_id=by).delete()
    _next_version(room, outdated=Room.Stale.LEFT)
    _announce(room, "left", by, [by], tell=present)
    across_blocks.parted(by, present.keys() - {by})


@transaction.atomic
def hand_over(by: UUID, room_id: UUID, user: UUID) -> RoomState:
    """Make another member the owner; the old one becomes an admin."""
    room, present = _change(by, room_id)
    roles.check_may_hand_over(present, by, user)
    # In this order: a_group_has_one_owner is checked row by row.
    Membership.objects.filter(room=room, user_id=by).update(role=Role.ADMIN)
    Membership.objects.filter(room=room, user_id=user).update(role=Role.OWNER)
    _next_version(room)
    _announce(room, "owner", by, [user], role=Role.OWNER, tell=present)
    return _states([room], by)[0]


def mute(user: UUID, room_id: UUID, *, is_muted: bool, device: UUID) -> None:
    """Push nothing of this room to the user's devices; or again. Nobody else learns of it."""
    _get_for_member(user, room_id)
    mutes.put(user, room_id, is_muted=is_muted, device=device)


# --- parts ---------------------------------------------------------------------------------------------------------


def _get_for_member(user: UUID, room_id: UUID) -> Room:
    """The only way to a room on a user's behalf. To others it does not exist."""
    room = Room.objects.filter(id=room_id, memberships__user_id=user).first()
    if room is None:
        raise NotFound("there is no such room")
    return room


def _change(by: UUID, room_id: UUID) -> tuple[Room, dict[UUID, str]]:
    """Lock a group for a change by one of its members; answers it with everybody's role."""
    # Looked at before it is locked: a stranger must not be able to hold up a room.
    _get_for_member(by, room_id)
    room = Room.objects.select_for_update().get(id=room_id)
    present = dict(Membership.objects.filter(room=room).values_list("user_id", "role"))
    if by not in present:
        raise NotFound("there is no such room")
    accounts.check_not_suspended(by)
    roles.check_is_group(room.kind)
    return room, present


def _check_size(members: int) -> None:
    if members > limits.MEMBERS:
        raise TooLarge(f"a room has at most {limits.MEMBERS} members")


def _join(room: Room, users: dict[UUID, Any]) -> None:
    Membership.objects.bulk_create(Membership(room=room, user_id=user, role=role) for user, role in users.items())


def _next_version(room: Room, *, outdated: Room.Stale | None = None) -> None:
    """Another version of the members; `outdated`: and a reason why the room's epoch must not be sealed under any more."""
    room.members_version += 1  # the row is ours until the commit
    if outdated is not None and room.epoch:
        room.stale |= outdated
    Room.objects.filter(id=room.id).update(members_version=room.members_version, stale=room.stale)


def _announce(
    room: Room,
    change: str,
    by: UUID,
    users: Iterable[UUID],
    *,
    tell: Iterable[UUID],
    role: str | None = None,
    as_sender: bool = False,
) -> None:
    """Put the change into the mailboxes, in this transaction (docs/protocol.md §3.2, kind `room`)."""
    payload = {
        "room": str(room.id),
        "change": change,
        "by": str(by),
        "users": [str(user) for user in users][:USERS_NAMED],
        "role": role,
        "members_version": room.members_version,
    }
    # Else none: who is in a group must be known to everybody in it, whoever blocks whom.
    sender = by if as_sender else None
    with connection.cursor() as cursor:
        ports.mailboxes.put(
            cursor, recipients=list(tell), kind=ENTRY_KIND, payload=payload, room_id=room.id, sender_id=sender
        )


def _states(rooms: Iterable[Room], viewer: UUID) -> list[RoomState]:
    """The rooms with their members, in three queries, as this member sees them."""
    rooms = list(rooms)
    members: dict[UUID, list[Member]] = {room.id: [] for room in rooms}
    rows = Membership.objects.filter(room__in=rooms).order_by("room_id", "user_id")
    columns = rows.values_list("room_id", "user_id", "user__username", "role", "joined_at")
    for room_id, user, username, role, joined_at in columns:
        members[room_id].append(Member(user, username, role, _ms(joined_at)))
    muted = mutes.among(viewer, members.keys())
    return [
        RoomState(
            room.id,
            room.kind,
            room.members_version,
            room.epoch,
            room.history,
            _ms(room.created_at),
            members[room.id],
            room.id in muted,
        )
        for room in rooms
    ]


def _fitting(room_ids: list[UUID]) -> list[UUID]:
    """The first of these rooms, as many as have `PAGE_MEMBERS` members together; one at least."""
    rows = Membership.objects.filter(room_id__in=room_ids).values_list("room_id").annotate(Count("id"))
    sizes = dict(rows.order_by())
    total = 0
    for place, room_id in enumerate(room_ids):
        total += sizes.get(room_id, 0)
        if total > PAGE_MEMBERS and place > 0:
            return room_ids[:place]
    return room_ids


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
