"""Looking into a user's connections: what changed since a version, lists by name, one of them (docs/protocol.md §5.2).

A page costs two or three statements however large it is, each along an index.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from connections.models import Book, Connection
from connections.rules import Side
from kernel.errors import NotFound

SETTINGS: Final = ("who_may_open", "who_may_add", "strangers")
BLOCKED: Final = "blocked"

_COLUMNS: Final = (
    "peer_id", "peer__username", "state", "blocked", "blocked_by", "note", "version", "changed_by", "changed_at",
)  # fmt: skip


class SyncPage(NamedTuple):
    """What changed, by version; `version` is the newest of all when the page was read."""

    connections: list[dict[str, Any]]
    settings: dict[str, str]
    version: int
    next: int | None


class ListPage(NamedTuple):
    """Connections by the peers' names."""

    connections: list[dict[str, Any]]
    version: int
    next: str | None


def changed_since(owner: UUID, version: int, *, limit: int) -> SyncPage:
    """Up to `limit` connections whose newest change is newer than `version`."""
    # The book first: what is committed between the two reads has a greater version, and is sent again, not left out.
    book = get(owner)
    rows = _rows(Connection.objects.filter(owner_id=owner, version__gt=version).order_by("version"), limit + 1)
    found = rows[:limit]
    return SyncPage(found, settings_of(book), book.version, found[-1]["version"] if len(rows) > limit else None)


def listed(owner: UUID, *, state: str | None, name: str, after: str, limit: int) -> ListPage:
    """Up to `limit` connections by name behind `after`: in this state, or `blocked`; with names that begin with `name`."""
    book = get(owner)
    found = Connection.objects.filter(owner_id=owner).order_by("peer__username")
    if state == BLOCKED:
        found = found.filter(blocked=True)
    elif state is not None:
        found = found.filter(state=state)
    if name:
        found = found.filter(peer__username__startswith=name)
    if after:
        found = found.filter(peer__username__gt=after)
    rows = _rows(found, limit + 1)
    page = rows[:limit]
    return ListPage(page, book.version, page[-1]["username"] if len(rows) > limit else None)


def one(owner: UUID, peer: UUID) -> dict[str, Any]:
    """What the owner has with the peer. Raises `NotFound` where there has never been anything."""
    rows = _rows(Connection.objects.filter(owner_id=owner, peer_id=peer), 1)
    if not rows:
        raise NotFound
    return rows[0]


def get(user: UUID) -> Book:
    """The user's book; one that was never written in is as good as any."""
    return Book.objects.filter(user_id=user).first() or Book(user_id=user)


def settings_of(book: Book) -> dict[str, str]:
    """The user's settings, as on the wire."""
    return {name: str(getattr(book, name)) for name in SETTINGS}


def connection_json(row: Connection, username: str) -> dict[str, Any]:
    """*connection* of docs/protocol.md §5.1."""
    return _json(
        row.peer_id, username, row.state, row.blocked, row.blocked_by, row.note, row.version, row.changed_by, row.changed_at,
    )  # fmt: skip


def side_of(row: Connection) -> Side:
    """What the rules need of a row."""
    return Side(row.state, row.blocked, row.blocked_by, row.held, bytes(row.note))


def milliseconds(moment: datetime) -> int:
    """A time as the protocol writes it."""
    return int(moment.timestamp() * 1000)


def _rows(found: QuerySet[Connection], most: int) -> list[dict[str, Any]]:
    rows: Iterable[tuple[Any, ...]] = found.values_list(*_COLUMNS)[:most]
    return [_json(*row) for row in rows]


def _json(
    peer: UUID,
    username: str,
    state: str,
    blocked: bool,
    blocked_by: bool,
    note: Any,
    version: int,
    changed_by: UUID | None,
    changed_at: datetime,
) -> dict[str, Any]:
    return {
        "user": str(peer),
        "username": username,
        "state": str(state),
        "blocked": blocked,
        "blocked_by": blocked_by,
        "note": urlsafe_b64encode(note).rstrip(b"=").decode(),
        "version": version,
        "changed_by": changed_by and str(changed_by),
        "changed_at": milliseconds(changed_at),
    }
