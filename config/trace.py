"""Where one message is: read out of every table that knows of it. Ids, names and times; never a body.

    accepted (log) → waiting or set aside (delivery) → in whose mailbox, under which number → acknowledged → read → refused

Nothing is stored for this: it is the delivery's own state, so it is true at the moment of asking.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Q
from django.db.models.functions import Length

from accounts.models import Device, User
from chat.models import Membership, Room
from delivery.models import BlockCopy, Dead, Held, Pending, Slot
from delivery.slots import slot_of
from messages.kinds import Kind
from messages.models import Cursor, Entry, Mailbox, Message, ReadPosition, Rejection

# Room changes of the sender's that are looked through for people who have left since.
CHANGES_LOOKED_AT = 2_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Where(StrEnum):
    """How far a message has come with one recipient."""

    MAILBOX = "in the mailbox"
    PENDING = "waiting"
    DEAD = "set aside"
    HELD = "in the request box"
    BLOCKED = "kept out by a block"
    NOWHERE = "nowhere"


@dataclass(frozen=True)
class Waiting:
    """A delivery still to be made. Times in ms since 1970."""

    slot: int
    queue: str
    recipients: list[UUID]
    since: int


@dataclass(frozen=True)
class SetAside:
    """A delivery that failed for good, and why."""

    id: int
    slot: int
    queue: str
    recipients: list[UUID]
    failed_at: int
    error: str


@dataclass(frozen=True)
class OnDevice:
    """One device of a recipient: its cursor, and whether that covers the message."""

    device: UUID
    name: str
    cursor: int
    acknowledged: bool
    revoked: bool


@dataclass(frozen=True)
class Refusal:
    """A recipient refused the message as late: `later` had been shown before."""

    reason: str
    later: UUID
    at: int


@dataclass(frozen=True)
class Copy:
    """One recipient; the sender is one too."""

    user: UUID
    username: str
    where: Where
    seq: int | None = None
    last_seq: int = 0
    devices: list[OnDevice] = field(default_factory=list)
    read: bool = False
    # Read while read receipts were off: the sender does not learn of it.
    read_in_private: bool = False
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Trace:
    """One message. Times in ms since 1970, `bytes` the size of the sealed body."""

    id: UUID
    accepted_at: int
    sent_at: int
    sender: UUID
    sender_name: str
    device: UUID
    device_name: str
    room: UUID
    room_kind: str
    members_now: int
    alg: str
    epoch: int
    bytes: int
    waiting: list[Waiting]
    set_aside: list[SetAside]
    copies: list[Copy]

    def as_json(self) -> dict[str, Any]:
        """The same in plain values."""
        return asdict(self)


def find_trace(message_id: UUID) -> Trace | None:
    """All that is known of the message; None when it is not in the log."""
    # The body stays where it is: only its length is asked for.
    columns = ("id", "room_id", "sender_id", "device_id", "recipient_id", "sent_at", "accepted_at", "alg", "epoch")
    rows = Message.objects.filter(id=message_id).annotate(bytes=Length("ciphertext")).values(*columns, "bytes")
    message = rows.first()
    if message is None:
        return None
    room = Room.objects.filter(id=message["room_id"]).first()
    members = dict(Membership.objects.filter(room_id=message["room_id"]).values_list("user_id", "joined_at"))
    refusals = {row.user_id: _refusal(row) for row in Rejection.objects.filter(message_id=message_id)}
    present = {user for user, joined_at in members.items() if joined_at <= message["accepted_at"]}
    others = {message["sender_id"], message["recipient_id"]} - {None} | refusals.keys()
    gone = _named_by_changes(message["sender_id"], message["room_id"])
    everybody = present | others | gone
    entries = Entry.objects.filter(user_id__in=everybody, message_id=message_id, kind=Kind.MESSAGE)
    seqs = dict(entries.values_list("user_id", "seq"))
    queues = dict(Slot.objects.values_list("slot", "queue_id"))
    # Only for those who lack it: in a backlog, looking costs something.
    lacking = everybody - seqs.keys()
    waiting = [_waiting(row, queues) for row in _deliveries(Pending, message_id, lacking)]
    set_aside = [_set_aside(row, queues) for row in _deliveries(Dead, message_id, lacking)]
    # Who has left may never have been a recipient: only a trace of it makes them one.
    copies = _copies(message, seqs, present | others, waiting, set_aside, refusals)
    names = dict(User.objects.filter(id=message["sender_id"]).values_list("id", "username"))
    device_names = dict(Device.objects.filter(id=message["device_id"]).values_list("id", "name"))
    return Trace(
        id=message_id,
        accepted_at=_ms(message["accepted_at"]),
        sent_at=message["sent_at"],
        sender=message["sender_id"],
        sender_name=names.get(message["sender_id"], "?"),
        device=message["device_id"],
        device_name=device_names.get(message["device_id"], "?"),
        room=message["room_id"],
        room_kind=room.kind if room else "gone",
        members_now=len(members),
        alg=message["alg"],
        epoch=message["epoch"],
        bytes=message["bytes"],
        waiting=waiting,
        set_aside=set_aside,
        copies=copies,
    )


def _copies(
    message: dict[str, Any],
    seqs: dict[UUID, int],
    recipients: Collection[UUID],
    waiting: Iterable[Waiting],
    set_aside: Iterable[SetAside],
    refusals: dict[UUID, Refusal],
) -> list[Copy]:
    """One line per recipient, the sender first, then by name."""
    pending = {user for row in waiting for user in row.recipients}
    dead = {user for row in set_aside for user in row.recipients}
    concerned = {*recipients, *seqs, *pending, *dead}
    names = dict(User.objects.filter(id__in=concerned).values_list("id", "username"))
    newest = dict(Mailbox.objects.filter(user_id__in=seqs).values_list("user_id", "last_seq"))
    devices = _devices(seqs)
    positions = ReadPosition.objects.filter(user_id__in=seqs, room_id=message["room_id"])
    read = {user: (seq, disclosed) for user, seq, disclosed in positions.values_list("user_id", "seq", "disclosed_seq")}
    # In a group only the blocker is spared; in a room of two nothing passes in either direction.
    reach = Q(everywhere=True) if message["recipient_id"] is None else Q(direct=True)
    blocks = BlockCopy.objects.filter(reach, recipient_id__in=concerned, sender_id=message["sender_id"])
    blocked = set(blocks.values_list("recipient_id", flat=True))
    held = set(Held.objects.filter(message_id=message["id"]).values_list("recipient_id", flat=True))

    def where(user: UUID) -> Where:
        if user in seqs:
            return Where.MAILBOX
        if user in pending:
            return Where.PENDING
        if user in dead:
            return Where.DEAD
        if user in held:
            return Where.HELD
        return Where.BLOCKED if user in blocked else Where.NOWHERE

    def copy(user: UUID) -> Copy:
        seq = seqs.get(user)
        name = names.get(user, "?")
        if seq is None:
            return Copy(user, name, where(user), refusal=refusals.get(user))
        reached, disclosed = read.get(user, (0, 0))
        return Copy(
            user,
            name,
            Where.MAILBOX,
            seq=seq,
            last_seq=newest.get(user, 0),
            devices=devices.get(user, []),
            read=seq <= reached,
            read_in_private=disclosed < seq <= reached,
            refusal=refusals.get(user),
        )

    return sorted(map(copy, concerned), key=lambda found: (found.user != message["sender_id"], found.username))


def _devices(seqs: dict[UUID, int]) -> dict[UUID, list[OnDevice]]:
    """The devices of those who have the message; of the revoked ones, those that had come so far."""
    cursors = dict(Cursor.objects.filter(user_id__in=seqs).values_list("device_id", "seq"))
    found: dict[UUID, list[OnDevice]] = {}
    for device in Device.objects.filter(user_id__in=seqs).order_by("created_at"):
        cursor = cursors.get(device.pk, 0)
        has_it = cursor >= seqs[device.user_id]
        revoked = device.revoked_at is not None
        if has_it or not revoked:
            line = OnDevice(device.pk, device.name, cursor, has_it, revoked)
            found.setdefault(device.user_id, []).append(line)
    return found


def _deliveries(model: Any, message_id: UUID, users: Collection[UUID]) -> Any:
    """The rows of Pending or Dead about this message. The slots lead into their index; no table is searched whole."""
    rows = model.objects.filter(slot__in={slot_of(user) for user in users}, message_id=message_id, kind=Kind.MESSAGE)
    return rows.order_by("slot", "id")[:128]


def _named_by_changes(sender: UUID, room: UUID) -> set[UUID]:
    """Everybody whom the room's changes, as the sender's mailbox has them, name: who has left since is among them."""
    entries = Entry.objects.filter(user_id=sender, room_id=room, kind=Kind.ROOM).order_by("-seq")
    named: set[UUID] = set()
    for payload in entries.values_list("payload", flat=True)[:CHANGES_LOOKED_AT]:
        change = orjson.loads(f"{{{payload}}}")
        named.update(UUID(user) for user in (change.get("by"), *change.get("users", ())) if user)
    return named


def _waiting(row: Pending, queues: dict[int, str]) -> Waiting:
    return Waiting(row.slot, queues.get(row.slot, "?"), row.recipients, _ms(row.created_at))


def _set_aside(row: Dead, queues: dict[int, str]) -> SetAside:
    return SetAside(row.id, row.slot, queues.get(row.slot, "?"), row.recipients, _ms(row.failed_at), row.error)


def _refusal(row: Rejection) -> Refusal:
    return Refusal(row.reason, row.later_id, _ms(row.rejected_at))


def _ms(moment: datetime) -> int:
    """Rounded as PostgreSQL rounds it for the protocol's answers."""
    return ((moment - EPOCH) // MICROSECOND + 500) // 1000
