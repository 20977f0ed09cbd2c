"""Entries of a mailbox (protocol §3.2), and the bytes inside them."""

import base64
import binascii
from dataclasses import dataclass

from client.errors import MalformedFrame
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId


class Ciphertext(bytes):
    """A sealed body. Prints its size, never its bytes."""

    def __repr__(self) -> str:
        return f"<Ciphertext {len(self)} bytes>"

    __str__ = __repr__


def to_text(value: bytes) -> str:
    """Spell bytes for the wire: base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def from_text(text: str) -> bytes:
    """Read base64url without padding; what would not be spelled the same way again is refused."""
    try:
        value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise MalformedFrame("not base64url") from error
    if to_text(value) != text:
        raise MalformedFrame("not base64url in its only spelling")
    return value


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
    """`by` refused `message` of `sender` (protocol §3.3); the sender may send again under a new id."""

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
class HiddenEntry:
    """The number is kept, the content is not this user's to see."""

    seq: int


@dataclass(frozen=True, slots=True)
class OtherEntry:
    """An entry of a kind that this version does not know. It is stored and acknowledged like any other."""

    seq: int
    kind: str


Entry = MessageEntry | RejectionEntry | RoomEntry | HiddenEntry | OtherEntry


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
        case {"kind": "hidden", "seq": int(seq)}:
            return HiddenEntry(seq)
        case {"kind": str(kind), "seq": int(seq)} if kind not in {"message", "rejection", "room"}:
            return OtherEntry(seq, kind)
        case _:
            raise MalformedFrame("an entry of an unknown shape")
