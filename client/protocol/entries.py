"""Entries of a mailbox (protocol §3.2)."""

from dataclasses import dataclass

from client.errors import MalformedFrame
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.opaque import Ciphertext, from_text
from client.protocol.relations import Relation, Settings, decode_relation, decode_settings


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """A message, sent or received. Times are milliseconds since 1970; display by `seq`, not by them."""

    seq: int
    id: MessageId
    room: RoomId
    sender: UserId
    device: DeviceId
    recipient: UserId | None
    sent_at: int
    accepted_at: int
    alg: str
    epoch: int
    ciphertext: Ciphertext
    delivered: bool = False
    read: bool = False


@dataclass(frozen=True, slots=True)
class RejectionEntry:
    """`message` of `sender` was refused to `by`: as `late`, then it may be sent again under a new id, or as `blocked`."""

    seq: int
    message: MessageId
    room: RoomId
    sender: UserId
    device: DeviceId
    by: UserId
    reason: str
    status: int


@dataclass(frozen=True, slots=True)
class RoomEntry:
    """The membership of a room changed: `created`, `added`, `removed`, `left`, `role` or `owner`."""

    seq: int
    room: RoomId
    change: str
    by: UserId | None
    users: tuple[UserId, ...]
    role: str | None
    members_version: int


@dataclass(frozen=True, slots=True)
class ConnectionEntry:
    """The user's connections changed (protocol §5.2): what the user has with another, or the settings."""

    seq: int
    version: int
    connection: Relation | None = None
    settings: Settings | None = None


@dataclass(frozen=True, slots=True)
class EpochEntry:
    """A room has a new epoch, made by this device; `digest` (32 bytes) is that of its record's payload (protocol §6.4)."""

    seq: int
    room: RoomId
    epoch: int
    creator: UserId
    device: DeviceId
    digest: bytes


@dataclass(frozen=True, slots=True)
class KeysEntry:
    """The keys of `user` are others since the document of that number; `change` says which (protocol §6.3)."""

    seq: int
    user: UserId
    document: int
    change: str
    device: DeviceId | None


@dataclass(frozen=True, slots=True)
class HiddenEntry:
    """The number is kept, the content is not this user's to see."""

    seq: int


@dataclass(frozen=True, slots=True)
class OtherEntry:
    """An entry of a kind that this version does not know. It is stored and acknowledged like any other."""

    seq: int
    kind: str


Entry = MessageEntry | RejectionEntry | RoomEntry | ConnectionEntry | EpochEntry | KeysEntry | HiddenEntry | OtherEntry
KNOWN = {"message", "rejection", "room", "connection", "epoch", "keys", "hidden"}


def decode_entry(fields: object) -> Entry:
    """Read one entry; a known kind of the wrong shape is refused."""
    match fields:
        case {
            "kind": "message", "seq": int(seq), "id": str(id_), "room": str(room), "sender": str(sender),
            "device": str(device), "sent_at": int(sent_at), "accepted_at": int(accepted_at), "alg": str(alg),
            "epoch": int(epoch), "ciphertext": str(ciphertext), "delivered": bool(delivered), "read": bool(read),
            "recipient": str() | None as recipient,
        }:  # fmt: skip
            return MessageEntry(
                seq, MessageId(id_), RoomId(room), UserId(sender), DeviceId(device),
                None if recipient is None else UserId(recipient), sent_at, accepted_at, alg, epoch,
                Ciphertext(from_text(ciphertext)), delivered, read,
            )  # fmt: skip
        case {
            "kind": "rejection", "seq": int(seq), "message": str(message), "room": str(room), "sender": str(sender),
            "device": str(device), "by": str(by), "reason": str(reason), "status": int(status),
        }:  # fmt: skip
            return RejectionEntry(
                seq, MessageId(message), RoomId(room), UserId(sender), DeviceId(device), UserId(by), reason, status
            )
        case {
            "kind": "room", "seq": int(seq), "room": str(room), "change": str(change),
            "members_version": int(members_version), **more,
        }:  # fmt: skip
            who, users, role = more.get("by"), more.get("users"), more.get("role")
            return RoomEntry(
                seq, RoomId(room), change, UserId(who) if isinstance(who, str) else None,
                tuple(UserId(str(user)) for user in users) if isinstance(users, list) else (),
                role if isinstance(role, str) else None, members_version,
            )  # fmt: skip
        case {"kind": "connection", "seq": int(seq), "version": int(version), "connection": dict(connection)}:
            return ConnectionEntry(seq, version, connection=decode_relation(connection))
        case {"kind": "connection", "seq": int(seq), "version": int(version), "settings": dict(settings)}:
            return ConnectionEntry(seq, version, settings=decode_settings(settings))
        case {
            "kind": "epoch", "seq": int(seq), "room": str(room), "epoch": int(epoch), "creator": str(creator),
            "device": str(device), "hash": str(digest),
        }:  # fmt: skip
            return EpochEntry(seq, RoomId(room), epoch, UserId(creator), DeviceId(device), from_text(digest))
        case {
            "kind": "keys", "seq": int(seq), "user": str(user), "document": int(document), "change": str(change),
            "device": str() | None as device,
        }:  # fmt: skip
            return KeysEntry(seq, UserId(user), document, change, None if device is None else DeviceId(device))
        case {"kind": "hidden", "seq": int(seq)}:
            return HiddenEntry(seq)
        case {"kind": str(kind), "seq": int(seq)} if kind not in KNOWN:
            return OtherEntry(seq, kind)
        case _:
            raise MalformedFrame("an entry of an unknown shape")
