"""Who may reach whom: the one place that decides it for rooms and profiles (docs/protocol.md §5.4, §5.5).

What keeps messages from people is decided at the drain, by delivery's own copy; `changes` writes it in the same transaction.
A check that precedes a write is made in the write's transaction and holds the book of whoever does it. Every block of
theirs, in either direction, needs that lock: so once a block is answered, nothing that it forbids is committed any more.
"""

from collections.abc import Collection
from uuid import UUID

from connections.changes import lock_books, lock_pair, room_opened
from connections.models import Book, Connection
from connections.rules import Blocked
from kernel.errors import Forbidden

__all__ = (
    "blocked_among",
    "check_does_not_block",
    "check_may_add",
    "check_may_open",
    "contacts_of",
    "hidden_rooms",
    "hold",
    "may_see_profile",
    "room_opened",
)


class NotReachable(Forbidden):
    """This user lets only contacts do this."""

    code = "not_reachable"
    title = "This user lets only contacts do this."


def may_see_profile(viewer: UUID, user: UUID) -> bool:
    """Whether `viewer` may look up `user`: not where `user` blocks `viewer`, and that one was told."""
    return not Connection.objects.filter(owner_id=viewer, peer_id=user, blocked_by=True).exists()


def contacts_of(user: UUID) -> Collection[UUID]:
    """Whom the user has as a contact."""
    rows = Connection.objects.filter(owner_id=user, state=Connection.State.CONTACT)
    return list(rows.values_list("peer_id", flat=True))


def blocked_among(user: UUID, others: Collection[UUID]) -> Collection[UUID]:
    """Those of `others` whom the user blocks."""
    rows = Connection.objects.filter(owner_id=user, peer_id__in=others, blocked=True)
    return list(rows.values_list("peer_id", flat=True))


def check_does_not_block(user: UUID, peer: UUID, *, field: str) -> None:
    """Raises `Blocked` for somebody who does what is for the two of them, and blocks the other."""
    _check_no_block(bool(blocked_among(user, [peer])), False, field)


def hold(user: UUID) -> None:
    """Nothing of the user's connections changes while the caller's transaction goes on. Before the locks of rooms."""
    lock_books(user)


def check_may_open(by: UUID, peer: UUID, *, field: str) -> None:
    """Whether `by` may open a direct room with `peer`. Raises `Blocked`, `NotReachable`; in the caller's transaction."""
    own, other = lock_pair(by, peer)
    _check_no_block(own.row.blocked, own.row.blocked_by, field)
    # Behind a block that was not told it must look as it looks to the one who asks.
    seen = own.row if other.row.blocked else other.row
    if other.book.who_may_open == Book.Audience.CONTACTS and seen.state != Connection.State.CONTACT:
        raise NotReachable(field=field)


def check_may_add(by: UUID, users: Collection[UUID], *, field: str) -> None:
    """Whether `by` may bring these into a group. Raises `Blocked`, `NotReachable`; in the caller's transaction."""
    lock_books(by)
    blocks = Connection.objects.filter(owner_id=by, peer_id__in=users)
    for row in blocks:
        _check_no_block(row.blocked, row.blocked_by, field)
    theirs = {row.owner_id: row for row in Connection.objects.filter(owner_id__in=users, peer_id=by)}
    # A block that was not told is answered as many a user answers whom nobody blocks.
    if any(row.blocked for row in theirs.values()):
        raise NotReachable(field=field)
    contacts = {user for user, row in theirs.items() if row.state == Connection.State.CONTACT}
    choosy = Book.objects.filter(user_id__in=users, who_may_add=Book.Audience.CONTACTS)
    if choosy.exclude(user_id__in=contacts).exists():
        raise NotReachable(field=field)


def hidden_rooms(user: UUID) -> Collection[UUID]:
    """Direct rooms that those whom the user blocks have opened since, and that the user is not shown while it lasts."""
    found = Connection.objects.filter(owner_id=user, blocked=True, hidden_room__isnull=False)
    return {room for room in found.values_list("hidden_room", flat=True) if room}


def _check_no_block(blocked: bool, blocked_by: bool, field: str) -> None:
    if blocked or blocked_by:
        raise Blocked(field=field, by="you" if blocked else "peer")
