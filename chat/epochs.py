"""Rooms' epochs (docs/protocol.md §6.4): make them, read them, give their keys to who comes later.

A new epoch is one transaction:

    lock the room's row  →  members and everybody's present keys are those of the roster  →  record and wraps
    →  the room has this epoch and nothing outdates it  →  an entry for every member  →  COMMIT

Whoever changes members holds the same row; whoever changes keys writes them first and then outdates the rooms, which
waits for it, and nobody joins a room meanwhile (accounts/holders.py, `hold`). So an epoch is either made for what holds
now, or outdated in the moment that it is committed.

A large group's epoch is 1 000 wraps: they stay one string of bytes from the request to the statement that stores them.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from accounts import userkeys
from accounts.holders import KeysMissing
from chat import across_blocks, epoch_documents
from chat.epoch_documents import STRIDE, NewEpoch, Record, Roster, Wrap
from chat.models import EpochWrap, Membership, Room, RoomEpoch, reasons_of
from chat.refusals import DeviceNotListed
from kernel import limits, ports, rates
from kernel.database import bytes_array, number_array, uuid_array
from kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from kernel.kept import KeptConnections
from kernel.sealed import WRAP, Envelope, b64, envelope_json

# The number of `Kind.EPOCH` (messages/kinds.py), which is part of the stored format.
ENTRY_KIND: Final = 5
USERS_NAMED: Final = 100

WRAPLESS = """
SELECT m.user_id FROM chat_membership m LEFT JOIN chat_epochwrap w ON (w.room_id, w.epoch, w.user_id) = (m.room_id, %s, m.user_id)
WHERE m.room_id = %s AND w.user_id IS NULL
"""
MEMBERS = "SELECT user_id FROM chat_membership WHERE room_id = %s"
ROOM = "SELECT * FROM chat_room WHERE id = %s FOR UPDATE"
ROOM_OF_MEMBER = """
SELECT r.* FROM chat_room r JOIN chat_membership m ON m.room_id = r.id WHERE r.id = %s AND m.user_id = %s
"""
NEWEST = "SELECT id, epoch, payload, digest FROM chat_roomepoch WHERE room_id = %s AND epoch = %s"
# In one round trip: the record, everybody's wrap, and the room, which has this epoch from now on.
INSERT_EPOCH = """
INSERT INTO chat_roomepoch (room_id, epoch, payload, signature, digest, creator_id, device, roster)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
INSERT_WRAPS = f"""
INSERT INTO chat_epochwrap (user_id, room_id, epoch, version, sealed)
SELECT u, %s, %s, v, substring(%s::bytea FROM (n::int - 1) * {STRIDE} + 1 FOR {WRAP})
FROM unnest(%s::uuid[], %s::int[]) WITH ORDINALITY AS w (u, v, n)
"""
MAKE_NEWEST = "UPDATE chat_room SET epoch = %s, stale = 0, grace_until = now() + %s * interval '1 second' WHERE id = %s"
# Who has a wrap keeps it, whatever others upload; only the owner replaces it.
ADD_WRAPS = """
INSERT INTO chat_epochwrap (user_id, room_id, epoch, version, sealed)
SELECT %s::uuid, %s::uuid, e, v, s FROM unnest(%s::int[], %s::int[], %s::bytea[]) AS w (e, v, s)
ON CONFLICT (user_id, room_id, epoch) DO {update}
"""
REPLACE = "UPDATE SET version = excluded.version, sealed = excluded.sealed"

_threads: Final = KeptConnections("epoch", 3)


class EpochExists(Conflict):
    """Somebody else has made this epoch; `epoch` is the room's newest."""

    code = "epoch_exists"
    title = "This epoch exists."


class MembersChanged(Conflict):
    """The room's members are not those for whom the epoch was made; `members_version` is the present one."""

    code = "members_changed"
    title = "The members have changed."


class UserkeysChanged(Conflict):
    """The roster does not name the members' present keys; `users` are those at fault, of more than 100 the first 100."""

    code = "userkeys_changed"
    title = "Keys of members have changed."


@dataclass(frozen=True, slots=True)
class EpochState:
    """How a room stands. `epoch`: 0 for none; `wanting`: members with keys who have no wrap of the newest epoch."""

    epoch: int
    reasons: list[str]
    members_version: int
    history: str
    wanting: list[UUID]


class EpochView(NamedTuple):
    """An epoch as one user sees it: the signed record, and the user's own wrap if there is one."""

    room: UUID
    epoch: int
    creator: UUID
    device: UUID
    record: dict[str, Any]
    version: int | None
    sealed: bytes | None

    def json(self) -> dict[str, Any]:
        """As it goes over the wire."""
        own = None if self.sealed is None else epoch_documents.wrap_json(self.version or 0, self.sealed)
        return {
            "room": self.room,
            "epoch": self.epoch,
            "creator": self.creator,
            "device": self.device,
            "record": self.record,
            "wrap": own,
        }


# --- looking -----------------------------------------------------------------------------------------------------------


def state(user: UUID, room_id: UUID) -> EpochState:
    """The room's newest epoch, for a member. Raises `NotFound`."""
    room = _room_of_member(user, room_id)
    wanting: list[UUID] = []
    if room.epoch:
        with connection.cursor() as cursor:
            cursor.execute(WRAPLESS, (room.epoch, room_id))
            wrapless = [member for (member,) in cursor.fetchall()]
        wanting = across_blocks.seen_by(user, room, userkeys.current(wrapless)) if wrapless else []
    return EpochState(
        _last_shown(user, room, room.epoch), reasons_of(room.stale), room.members_version, room.history, wanting
    )


def list_epochs(user: UUID, room_id: UUID, *, first: int, last: int) -> tuple[list[EpochView], int | None]:
    """Epochs `first` to `last` of a room, in order, at most a page; and where the next page begins, None at the end.

    Members see all of them, each with their own wrap; who is no member any more, those that they have a wrap of.
    Raises `NotFound`.
    """
    room = Room.objects.filter(id=room_id).first()
    last = _last_shown(user, room, last) if room else 0
    rows = _without_roster(RoomEpoch.objects.filter(room_id=room_id, epoch__gte=first, epoch__lte=last))
    if not Membership.objects.filter(room_id=room_id, user_id=user).exists():
        own = EpochWrap.objects.filter(user_id=user, room_id=room_id)
        if not own.exists():
            raise NotFound("there is no such room")
        rows = rows.filter(epoch__in=own.values("epoch"))
    found = list(rows.order_by("epoch")[: limits.PAGE_EPOCHS + 1])
    page = found[: limits.PAGE_EPOCHS]
    following = found[limits.PAGE_EPOCHS].epoch if len(found) > len(page) else None
    wraps = EpochWrap.objects.filter(user_id=user, room_id=room_id, epoch__in=[row.epoch for row in page])
    by_epoch = {wrap.epoch: wrap for wrap in wraps}
    return [_view(row, by_epoch.get(row.epoch)) for row in page], following


def roster(user: UUID, room_id: UUID, epoch: int) -> list[list[Any]]:
    """The list that the epoch's record signs, for members and for whoever can open it. Raises `NotFound`."""
    row = RoomEpoch.objects.select_related("room").filter(room_id=room_id, epoch=epoch).first()
    is_in = Membership.objects.filter(room_id=room_id, user_id=user)
    if (
        row is None
        or not (is_in.exists() or EpochWrap.objects.filter(user_id=user, room_id=room_id, epoch=epoch).exists())
        or epoch > _last_shown(user, row.room, epoch)
    ):
        raise NotFound("there is no such epoch")
    return epoch_documents.roster_json(row.roster)


def list_keys(
    user: UUID, *, after: tuple[UUID, int] | None, limit: int
) -> tuple[list[EpochView], tuple[UUID, int] | None]:
    """All epochs of which the user has a wrap, by room and number, behind `after`; and what to pass for more.

    What is made meanwhile in a room that is behind the reader is not missed: it is newer than the reader's start, so an
    `epoch` entry tells of it.
    """
    rows = EpochWrap.objects.filter(user_id=user).order_by("room_id", "epoch")
    if after is not None:
        room_id, epoch = after
        rows = rows.filter(Q(room_id__gt=room_id) | Q(room_id=room_id, epoch__gt=epoch))
    found = list(rows[: limit + 1])
    page = found[:limit]
    newest = across_blocks.horizons(user, {wrap.room_id for wrap in page})
    shown = [wrap for wrap in page if wrap.epoch <= newest.get(wrap.room_id, wrap.epoch)]
    epochs = _epochs_of(shown)
    views = [_view(epochs[wrap.room_id, wrap.epoch], wrap) for wrap in shown]
    return views, (page[-1].room_id, page[-1].epoch) if len(found) > limit else None


# --- making ------------------------------------------------------------------------------------------------------------


def create(by: UUID, device: UUID, room_id: UUID, new: NewEpoch) -> int:
    """Make the room's next epoch; answers its number. The same again is taken as the first time.

    Raises `NotFound`, `KeysMissing`, `DeviceNotListed`, `EpochExists`, `MembersChanged`, `UserkeysChanged`, `Blocked`,
    `InvalidInput`, `TooManyRequests`.
    """
    # Looked at before it is locked: a stranger must not be able to hold up a room.
    room = _threads.call(_room_of_member, by, room_id)
    # Not in there: what is called again must not count again.
    take_turn(room_id, by, device, is_early=room.epoch > 0 and not room.stale)
    return _threads.call(_create, by, device, room_id, new)


def _create(by: UUID, device: UUID, room_id: UUID, new: NewEpoch) -> int:
    with transaction.atomic():
        (room,) = Room.objects.raw(ROOM, [room_id])
        members, true = userkeys.lines_of(MEMBERS, room_id)
        if str(by) not in members:
            raise NotFound("there is no such room")
        # Behind the lock: a device that was revoked while it waited makes nothing.
        record = _signed_record(by, device, room_id, new)
        last = next(iter(RoomEpoch.objects.raw(NEWEST, [room_id, room.epoch])), None)
        if last is not None and record.epoch == last.epoch and bytes(last.payload) == new.envelope.payload:
            return record.epoch
        _check_is_next(room, last, record)
        if new.members_version != room.members_version:
            raise MembersChanged(members_version=room.members_version)
        _check_roster(new.roster, across_blocks.true_roster(by, room, true))
        _store(room, record, new)
        payload = {
            "room": str(room.id),
            "epoch": record.epoch,
            "creator": str(by),
            "device": str(device),
            "hash": b64(new.envelope.digest),
        }
        # In a direct room it is from one to the other, and a block is between them; in a group everybody must know.
        sender = by if room.kind == Room.Kind.DIRECT else None
        with connection.cursor() as cursor:
            ports.mailboxes.put(
                cursor, recipients=members, kind=ENTRY_KIND, payload=payload, room_id=room.id, sender_id=sender
            )
    return record.epoch


def add_wraps(by: UUID, device: UUID, room_id: UUID, user: UUID, wraps: Mapping[int, Wrap]) -> None:
    """Give a member the keys of epochs: to another one who came later, where the history is for all, or anew to oneself.

    Raises `NotFound`, `Forbidden`, `KeysMissing`, `DeviceNotListed`, `UserkeysChanged`.
    """
    _room_of_member(by, room_id)
    with transaction.atomic():
        # Nobody is put out, and no epoch is made, between the checks and the writing; sends go on.
        room = Room.objects.select_for_update(no_key=True).get(id=room_id)
        _check_may_give(room, by, device, user, wraps)
        _add(room, user, wraps, is_own=user == by)


def _check_may_give(room: Room, by: UUID, device: UUID, user: UUID, wraps: Mapping[int, Wrap]) -> None:
    _room_of_member(by, room.id)
    # A wrap stays where it is put, and the server cannot tell a key from garbage: who holds no more than a token puts none.
    _listed_key(by, device)
    if user != by:
        if room.history != Room.History.ALL:
            raise Forbidden("what was before is not for who comes later in this room")
        if not Membership.objects.filter(room=room, user_id=user).exists():
            raise NotFound("this user is not in the room", field="user")
    keys = userkeys.current([user]).get(user)
    if keys is None:
        raise KeysMissing(field="user")
    if any(wrap.version != keys.uek_version for wrap in wraps.values()):
        raise UserkeysChanged(users=[str(user)])
    own = EpochWrap.objects.filter(user_id=by, room=room, epoch__in=list(wraps)).values_list("epoch", flat=True)
    if missing := wraps.keys() - set(own):
        raise NotFound(f"you have no key of epoch {min(missing)}", field="wraps")


def _add(room: Room, user: UUID, wraps: Mapping[int, Wrap], *, is_own: bool) -> None:
    chosen = sorted(wraps.items())
    with connection.cursor() as cursor:
        cursor.execute(
            ADD_WRAPS.format(update=REPLACE if is_own else "NOTHING"),
            (
                user,
                room.id,
                number_array(epoch for epoch, _ in chosen),
                number_array(wrap.version for _, wrap in chosen),
                bytes_array(wrap.sealed for _, wrap in chosen),
            ),
        )


def take_turn(room_id: object, user: object, device: object, *, is_early: bool = False) -> None:
    """Count an attempt of this device in this room; `is_early`: there is an epoch, and it would do. Raises `TooManyRequests`."""
    rates.take("epoch", f"{room_id}:{device}")
    if is_early:
        rates.take("epoch_early", f"{room_id}:{user}")


# --- parts -------------------------------------------------------------------------------------------------------------


def _room_of_member(user: UUID, room_id: UUID) -> Room:
    for room in Room.objects.raw(ROOM_OF_MEMBER, [room_id, user]):
        return room
    raise NotFound("there is no such room")


def _last_shown(user: UUID, room: Room, epoch: int) -> int:
    """The number up to which the user is shown epochs, at most this one."""
    if room.kind != Room.Kind.DIRECT:
        return epoch
    return min(epoch, across_blocks.horizons(user, [room.id]).get(room.id, epoch))


def _listed_key(user: UUID, device: UUID) -> bytes:
    """The signing key of the user's device. Raises `DeviceNotListed`, `KeysMissing`, `Suspended`."""
    public = userkeys.signing_key(user, device)
    if public is None:
        raise DeviceNotListed if userkeys.current([user]) else KeysMissing
    return public


def _signed_record(by: UUID, device: UUID, room_id: UUID, new: NewEpoch) -> Record:
    """The record, signed by the caller's listed device for this room and this roster."""
    public = _listed_key(by, device)
    record = epoch_documents.record_of(new.envelope, public)
    for name, said, true in (
        ("room", record.room, room_id), ("creator", record.creator, by), ("device", record.device, device),
        ("roster", record.roster_digest, new.roster_digest),
    ):  # fmt: skip
        if said != true:
            raise InvalidInput(f"the record names another {name}", field=f"record.{name}")
    return record


def _check_is_next(room: Room, last: RoomEpoch | None, record: Record) -> None:
    if record.epoch <= room.epoch:
        raise EpochExists(epoch=room.epoch)
    if record.epoch != room.epoch + 1:
        raise InvalidInput(f"the next epoch is {room.epoch + 1}", field="record.epoch")
    if record.prev != (b"" if last is None else bytes(last.digest)):
        raise InvalidInput("record.prev is not the hash of the record before", field="record.prev")


def _check_roster(said: Roster, true: Roster) -> None:
    """The roster is exactly the members who have keys, with their present ones."""
    if said != true:
        others = sorted({user for user, _, _ in set(said) ^ set(true)})
        raise UserkeysChanged(users=[user[:36] for user in others[:USERS_NAMED]])


def _store(room: Room, record: Record, new: NewEpoch) -> None:
    signed = new.envelope
    line = (room.id, record.epoch, signed.payload, signed.signature, signed.digest, record.creator, record.device)
    users, versions = uuid_array(user for user, _, _ in new.roster), number_array(ver for _, _, ver in new.roster)
    wraps = (room.id, record.epoch, new.wraps, users, versions)
    # None, and no time at all, unless only joins led to it.
    grace = limits.EPOCH_GRACE_S if room.stale == Room.Stale.JOINED else None
    with connection.cursor() as cursor:
        cursor.execute(
            f"{INSERT_EPOCH};{INSERT_WRAPS};{MAKE_NEWEST}",
            (*line, new.roster_text, *wraps, record.epoch, grace, room.id),
        )


def _epochs_of(wraps: Collection[EpochWrap]) -> dict[tuple[UUID, int], RoomEpoch]:
    by_room: dict[UUID, list[int]] = {}
    for wrap in wraps:
        by_room.setdefault(wrap.room_id, []).append(wrap.epoch)
    found: dict[tuple[UUID, int], RoomEpoch] = {}
    for some in _chunks(list(by_room.items()), 50):
        chosen = Q()
        for room_id, epochs in some:
            chosen |= Q(room_id=room_id, epoch__in=epochs)
        found |= {(row.room_id, row.epoch): row for row in _without_roster(RoomEpoch.objects.filter(chosen))}
    return found


def _without_roster(rows: QuerySet[RoomEpoch]) -> QuerySet[RoomEpoch]:
    # A large room's list is 80 kB.
    return rows.defer("roster")


def _chunks(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _view(row: RoomEpoch, wrap: EpochWrap | None) -> EpochView:
    envelope = Envelope(epoch_documents.KIND, str(row.device), bytes(row.payload), bytes(row.signature))
    record = envelope_json(envelope.kind, envelope.keyid, envelope.payload, envelope.signature)
    version, sealed = (None, None) if wrap is None else (wrap.version, bytes(wrap.sealed))
    return EpochView(row.room_id, row.epoch, row.creator_id, row.device, record, version, sealed)
