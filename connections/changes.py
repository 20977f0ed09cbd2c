"""Every change of connections: one transaction, seen by both sides' devices and by delivery at the same moment.

    lock both books, by user id  →  read both rows  →  is the device up to date?  →  rules
    →  if a block is lifted: lock their direct room  →  write, versions + 1  →  an entry for every side that changed
    →  delivery's copy (locks mailboxes: last)  →  COMMIT

A book's row is the lock under which everything of its user's connections is written, so versions have no gaps and two
people who change what they have with each other come one behind the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import OperationalError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import devices
from accounts import users as accounts
from connections import book as books
from connections import rules
from connections.models import Book, Connection
from connections.rules import Action, Outcome, Side
from kernel import limits, ports, rates
from kernel.database import TRANSIENT
from kernel.errors import AckBeyondSent, Conflict, DomainError, InvalidInput, NotFound, TooLarge
from kernel.ports import Barrier

# The number of `Kind.CONNECTION` (messages/kinds.py), which is part of the stored format.
ENTRY_KIND: Final = 4
# When nothing has ever been changed.
EPOCH: Final = datetime.fromtimestamp(0, UTC)
# A row that its owner has made, not others: only these count against the owner's limit.
OWN: Final = Q(changed_by__isnull=False) | Q(state__in=("requested", "contact")) | Q(blocked=True)


class ConnectionChanged(Conflict):
    """The device did not know of the newest change of this connection (docs/protocol.md §5.3)."""

    code = "connection_changed"
    title = "The connection has changed since."


class DevicesLag(DomainError):
    """Under `restrict`: a block that not all devices have stored cannot be lifted yet; `devices` names them."""

    code = "devices_lag"
    title = "Not all of your devices have stored the block yet."
    status = 423


@dataclass(frozen=True, slots=True)
class Request:
    """What a device asks for. `base_version`: what it had stored when its user pressed the button."""

    action: Action
    base_version: int
    user: UUID | None = None
    username: str | None = None
    note: bytes = b""
    # The same, as the device spelled it.
    raw: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The connection afterwards, and the version of all the user's connections."""

    connection: dict[str, Any]
    version: int


@dataclass(slots=True)
class Half:
    """One user's side of a pair, under the lock of the user's book."""

    book: Book
    row: Connection
    # The peer's.
    username: str

    @property
    def side(self) -> Side:
        """What the rules need."""
        return books.side_of(self.row)

    @property
    def is_new(self) -> bool:
        """Whether there has never been anything on this side."""
        return self.row._state.adding

    @property
    def json(self) -> dict[str, Any]:
        """What the owner's devices are told."""
        return books.connection_json(self.row, self.username)


# --- what devices ask --------------------------------------------------------------------------------------------------


def change(user: UUID, device: UUID, request: Request) -> Answer:
    """Make a change, or find it made. Raises `ConnectionChanged`, `DevicesLag`, and what the rules refuse."""
    rates.take("connection", user)
    peer = _peer(user, request)
    # Each change may be told to the peer: nobody is kept busy by somebody who presses buttons.
    rates.take("connection_pair", f"{user}:{peer}")
    try:
        return _change(user, device, peer, request)
    except OperationalError as error:
        if not isinstance(error.__cause__, TRANSIENT):
            raise
        # Somebody else was in the way, and PostgreSQL chose this one to give way.
        return _change(user, device, peer, request)


@transaction.atomic
def _change(user: UUID, device: UUID, peer: UUID, request: Request) -> Answer:
    own, other = lock_pair(user, peer)
    if request.base_version > own.book.version:
        raise InvalidInput("base_version is newer than your connections", field="base_version")
    if not rules.is_so(request.action, own.side, note=request.note):
        _check_up_to_date(user, device, own, request)
        disclose: bool = settings.DISCLOSE_BLOCKS
        outcome = rules.decide(request.action, own.side, other.side, disclose=disclose, note=request.note)
        _check_space(own, other, request.action)
        if request.action is Action.UNBLOCK:
            ports.rosters.block_lifted(user, peer, is_open=not other.row.blocked)
        _write(own, other, outcome, device)
    return Answer(own.json, own.book.version)


@transaction.atomic
def change_settings(user: UUID, wanted: Mapping[str, str]) -> dict[str, str]:
    """Change some of the user's settings; all of them afterwards."""
    own = lock_books(user)[user]
    before = books.settings_of(own)
    if before == {**before, **wanted}:
        return before
    own.version += 1
    own.settings_version = own.version
    for name, value in wanted.items():
        setattr(own, name, value)
    own.save()
    after = books.settings_of(own)
    _tell(user, {"version": own.version, "settings": after})
    return after


@transaction.atomic
def synced(user: UUID, device: UUID, version: int) -> int:
    """The device has stored everything up to this version; answers the newest that it has reported."""
    if version > books.get(user).version:
        raise AckBeyondSent("your connections have no such version yet", field="version")
    newest = devices.synced(device, version)
    with connection.cursor() as cursor:
        ports.blocks.reported(cursor, device=device, version=version)
    return newest


# --- what the sender service tells -------------------------------------------------------------------------------------


def room_opened(by: UUID, peer: UUID, room: UUID, *, device: UUID | None) -> None:
    """A direct room was made, in the caller's transaction, which checked under the books' locks that it may be.

    Call it last: it may lock mailboxes.
    """
    own, other = lock_pair(by, peer)
    if other.row.blocked:
        other.row.hidden_room = room
        other.row.save(update_fields=["hidden_room"])
    waits = other.book.strangers == Book.Strangers.REQUESTS
    outcome = rules.decide_opening(own.side, other.side, strangers_wait=waits)
    if outcome.own != own.side or outcome.peer != other.side:
        _check_space(own, other, Action.ADD)
        _write(own, other, outcome, device)


def lock_books(*users: UUID) -> dict[UUID, Book]:
    """The users' books, locked in the order of ids, made if they are missing. In the caller's transaction."""
    wanted = sorted(set(users))
    asked = Book.objects.filter(user_id__in=wanted)
    # Missing ones first: whoever waits for somebody else's INSERT must hold no book.
    there = set(asked.values_list("user_id", flat=True))
    if missing := [Book(user_id=user) for user in wanted if user not in there]:
        Book.objects.bulk_create(missing, ignore_conflicts=True)
    return {book.user_id: book for book in asked.select_for_update().order_by("user_id")}


def lock_pair(user: UUID, peer: UUID) -> tuple[Half, Half]:
    """Both sides of a pair, locked: the user's and the peer's. Rows that are not there are new ones, not stored."""
    locked = lock_books(user, peer)
    stored = Connection.objects.filter(Q(owner_id=user, peer_id=peer) | Q(owner_id=peer, peer_id=user))
    rows = {row.owner_id: row for row in stored}
    names = accounts.names([user, peer])

    def half(owner: UUID, other: UUID) -> Half:
        row = rows.get(owner) or Connection(owner_id=owner, peer_id=other, version=0, changed_at=EPOCH)
        return Half(locked[owner], row, names[other])

    return half(user, peer), half(peer, user)


# --- parts -------------------------------------------------------------------------------------------------------------


def _peer(user: UUID, request: Request) -> UUID:
    """Whom the request is about."""
    if request.username is not None:
        peer, field = accounts.look_up(request.username, asked_by=user).pk, "username"
    else:
        assert request.user is not None
        peer, field = request.user, "user"
    if peer == user:
        raise InvalidInput("this must be somebody else", field=field)
    # A suspended account is answered like none where somebody new is asked for.
    is_there = accounts.existing([peer]) if request.action is Action.ADD else accounts.names([peer])
    if peer not in is_there:
        raise NotFound("there is no such user", field=field)
    return peer


def _check_up_to_date(user: UUID, device: UUID, own: Half, request: Request) -> None:
    """The rule of `CONNECTION_CONSISTENCY` (docs/protocol.md §5.3)."""
    if settings.CONNECTION_CONSISTENCY == "restrict":
        if request.action is Action.BLOCK:
            return
        if request.action is Action.UNBLOCK:
            _check_all_know(user, device, own.row.blocked_version, request.base_version)
            return
    # Only the user's own devices: what the peer does in between must not keep anybody from blocking the peer.
    if request.base_version < own.row.own_version:
        changed_at = own.row.own_changed_at
        raise ConnectionChanged(
            connection=own.json,
            version=own.book.version,
            request=dict(request.raw or {}),
            changed_by=own.row.own_changed_by and str(own.row.own_changed_by),
            changed_at=changed_at and books.milliseconds(changed_at),
        )


def _check_all_know(user: UUID, device: UUID, version: int, base_version: int) -> None:
    """Whether the device that asks and every other one that counts have stored this version."""
    lagging = devices.behind(user, version=version, grace_days=settings.CONNECTION_DEVICE_GRACE)
    # The one that asks says itself what it knows: its report may be under way.
    found = [each for each in lagging if each.pk != device]
    if base_version < version:
        found += [each for each in devices.list_live(user) if each.pk == device]
    if found:
        raise DevicesLag(
            devices=[
                {
                    "id": str(each.pk),
                    "name": each.name,
                    "last_seen_at": each.last_seen_at and books.milliseconds(each.last_seen_at),
                }
                for each in found
            ]
        )


def _check_space(own: Half, other: Half, action: Action) -> None:
    """The limit of the owner's connections; and of those that others have made there. A block is told in any case."""
    if own.is_new and _count(own.book.user_id, OWN) >= limits.CONNECTIONS:
        raise TooLarge(f"you have at most {limits.CONNECTIONS} connections")
    if action is Action.ADD and other.is_new and _count(other.book.user_id, Q(state="incoming")) >= limits.CONNECTIONS:
        raise TooLarge("this user has too many requests")


def _count(owner: UUID, which: Q) -> int:
    return Connection.objects.filter(which, owner_id=owner)[: limits.CONNECTIONS].count()


def _write(own: Half, other: Half, outcome: Outcome, device: UUID | None) -> None:
    """Write what became of both sides, tell their devices, and bring delivery's copy in line: in this order."""
    before = {*_barriers(own, other)}
    for half, side, changed_by in ((own, outcome.own, device), (other, outcome.peer, None)):
        if side != half.side:
            _apply(half, side, changed_by)
    after = _barriers(own, other)
    user, peer = own.book.user_id, other.book.user_id
    with connection.cursor() as cursor:
        if changed := [barrier for barrier in after if barrier not in before]:
            ports.blocks.put(cursor, changed)
        if outcome.release:
            ports.blocks.release(cursor, recipient=user, sender=peer)
        if outcome.forget:
            ports.blocks.forget_held(cursor, recipient=user, sender=peer)
        if outcome.forget_there:
            ports.blocks.forget_held(cursor, recipient=peer, sender=user)


def _apply(half: Half, side: Side, changed_by: UUID | None) -> None:
    """Make a half so. Its owner's devices are told unless all that changed is what is held."""
    row, before = half.row, half.side
    row.held = side.held
    if _seen(side) == _seen(before):
        row.save(update_fields=["held"])
        return
    half.book.version += 1
    Book.objects.filter(user_id=half.book.user_id).update(version=half.book.version)
    row.version = half.book.version
    row.blocked_version = _since(side.blocked, row.blocked_version, row.version)
    row.blocked_by_version = _since(side.blocked_by, row.blocked_by_version, row.version)
    row.state, row.blocked, row.blocked_by, row.note = side.state, side.blocked, side.blocked_by, side.note
    if not row.blocked:
        row.hidden_room = None
    row.changed_by, row.changed_at = changed_by, timezone.now()
    if changed_by is not None:
        row.own_version, row.own_changed_by, row.own_changed_at = row.version, changed_by, row.changed_at
    row.save()
    _tell(half.book.user_id, {"version": row.version, "connection": half.json})


def _seen(side: Side) -> tuple[Any, ...]:
    return side.state, side.blocked, side.blocked_by, side.note


def _since(is_so: bool, since: int, now: int) -> int:
    """The version at which it became so: 0 while it is not."""
    return (since or now) if is_so else 0


def _barriers(own: Half, other: Half) -> tuple[Barrier, Barrier]:
    """What delivery must know of the pair, in both directions."""
    return _barrier(own.row, other.row), _barrier(other.row, own.row)


def _barrier(recipient: Connection, sender: Connection) -> Barrier:
    known = [version for version in (sender.blocked_version, sender.blocked_by_version) if version]
    return Barrier(
        recipient.owner_id,
        sender.owner_id,
        everywhere=recipient.blocked,
        direct=recipient.blocked or sender.blocked,
        held=recipient.held,
        known_version=min(known, default=None),
    )


def _tell(user: UUID, payload: Mapping[str, Any]) -> None:
    """An entry for all the user's devices, in this transaction, in order with the messages."""
    with connection.cursor() as cursor:
        ports.mailboxes.put(cursor, recipients=[user], kind=ENTRY_KIND, payload=payload)
