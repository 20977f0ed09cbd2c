"""Every frame of the socket (protocol §4), spelled here and nowhere else in the client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from client.errors import MalformedFrame
from client.protocol.answers import Accepted, decode_accepted
from client.protocol.entries import Entry, decode_entry
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.opaque import Ciphertext, to_text
from client.protocol.problems import Problem, decode_problem

FRAME_BYTES = 65_536
BODY_BYTES = 32_768  # of ciphertext
FRAME_MESSAGES = 100
# The refs of `reject` and `read` name what they are about, because the answer to one that is refused carries nothing else.
REJECT_REF = "reject:"
READ_REF = "read:"


# What the client sends (§4.1).


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as this device composed it (§3.1). `sender` and `recipient` are checked by the server."""

    id: MessageId
    room: RoomId
    sender: UserId
    recipient: UserId | None
    sent_at: int
    alg: str
    epoch: int
    ciphertext: Ciphertext

    @property
    def is_sealed(self) -> bool:
        """Whether it can go. Until then it has no ciphertext, and waits in its place for the room's epoch."""
        return bool(self.ciphertext)

    @property
    def size(self) -> int:
        """At most this many bytes of a frame."""
        return len(self.ciphertext) * 4 // 3 + 500

    def unsealed(self) -> "Outgoing":
        """The same, to be sealed anew."""
        return replace(self, epoch=0, ciphertext=Ciphertext())


@dataclass(frozen=True, slots=True)
class Hello:
    token: str = field(repr=False)
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Send:
    ref: str
    messages: tuple[Outgoing, ...]


@dataclass(frozen=True, slots=True)
class Ack:
    seq: int


@dataclass(frozen=True, slots=True)
class Read:
    """A read position: sent by this device, or told by the server about another device of the user."""

    room: RoomId
    seq: int


@dataclass(frozen=True, slots=True)
class Reject:
    message: MessageId
    later: MessageId


@dataclass(frozen=True, slots=True)
class Typing:
    """`user` is set in what the server passes on, and not in what the client sends."""

    room: RoomId
    user: UserId | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    pass


ClientFrame = Hello | Send | Ack | Read | Reject | Typing | Ping


# What the server sends (§4.2).


@dataclass(frozen=True, slots=True)
class Welcome:
    user: UserId
    device: DeviceId
    host: str
    acknowledged: int
    last_seq: int
    window: int


@dataclass(frozen=True, slots=True)
class Entries:
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Drained:
    seq: int


@dataclass(frozen=True, slots=True)
class AcceptedFrame:
    messages: tuple[Accepted, ...]


@dataclass(frozen=True, slots=True)
class ErrorFrame:
    ref: str | None
    problem: Problem


@dataclass(frozen=True, slots=True)
class Receipt:
    """Of what `device` sent in `room`, `user` has (`delivered`), or has read, everything up to the named message."""

    room: RoomId
    user: UserId
    device: DeviceId
    delivered: MessageId | None = None
    read: MessageId | None = None


@dataclass(frozen=True, slots=True)
class Receipts:
    receipts: tuple[Receipt, ...]


@dataclass(frozen=True, slots=True)
class Rejected:
    message: MessageId
    reason: str


@dataclass(frozen=True, slots=True)
class Pong:
    pass


@dataclass(frozen=True, slots=True)
class Muted:
    """Another device of the user has muted this room, or does so no more. Muting is about pushes to browsers (§3.5)."""

    room: RoomId
    muted: bool


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Go to the host at `url` (None: ask which one) after a random time of at most `after_ms` (§4.5)."""

    url: str | None
    after_ms: int


@dataclass(frozen=True, slots=True)
class OtherFrame:
    """A type that this version does not know; it is ignored, so that a newer server can add some."""

    type: str


ServerFrame = (
    Welcome
    | Entries
    | Drained
    | AcceptedFrame
    | ErrorFrame
    | Receipts
    | Read
    | Typing
    | Rejected
    | Pong
    | Muted
    | Reconnect
    | OtherFrame
)
KNOWN = {
    "welcome", "entries", "drained", "accepted", "error", "receipts", "read", "typing", "rejected", "pong", "reconnect",
    "muted",
}  # fmt: skip


def message_fields(message: Outgoing) -> dict[str, Any]:
    """A message as it stands in a `send` frame and in `POST /api/v1/messages` (§3.1)."""
    fields: dict[str, Any] = {
        "id": message.id,
        "room": message.room,
        "sender": message.sender,
        "sent_at": message.sent_at,
        "alg": message.alg,
        "epoch": message.epoch,
        "ciphertext": to_text(message.ciphertext),
        "delivered": False,
        "read": False,
    }
    if message.recipient is not None:
        fields["recipient"] = message.recipient
    return fields


def _fields_of(frame: ClientFrame) -> dict[str, Any]:
    match frame:
        case Hello(token, name, version):
            return {"type": "hello", "token": token, "client": {"name": name, "version": version}}
        case Send(ref, messages):
            return {"type": "send", "ref": ref, "messages": [message_fields(message) for message in messages]}
        case Ack(seq):
            return {"type": "ack", "seq": seq}
        case Read(room, seq):
            return {"type": "read", "ref": READ_REF + room, "room": room, "seq": seq}
        case Reject(message, later):
            return {"type": "reject", "ref": REJECT_REF + message, "message": message, "later": later}
        case Typing(room):
            return {"type": "typing", "room": room}
        case Ping():
            return {"type": "ping"}
        case _:
            assert_never(frame)


def encode(frame: ClientFrame) -> str:
    """Spell a frame."""
    return json.dumps(_fields_of(frame), separators=(",", ":"))


def decode(text: str | bytes) -> ServerFrame:
    """Read a frame. An unknown type becomes an `OtherFrame`; a known one of the wrong shape raises MalformedFrame."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise MalformedFrame("not JSON") from error
    match fields:
        case {"type": "entries", "entries": list(entries)}:
            return Entries(tuple(map(decode_entry, entries)))
        case {"type": "accepted", "messages": list(messages)}:
            return AcceptedFrame(tuple(map(decode_accepted, messages)))
        case {"type": "receipts", "receipts": list(receipts)}:
            return Receipts(tuple(map(_decode_receipt, receipts)))
        case {"type": "error", "problem": dict(problem), **more}:
            ref = more.get("ref")
            return ErrorFrame(ref if isinstance(ref, str) else None, decode_problem(problem))
        case {
            "type": "welcome", "user": str(user), "device": str(device), "host": str(host),
            "acknowledged": int(acknowledged), "last_seq": int(last_seq), "window": int(window),
        }:  # fmt: skip
            return Welcome(UserId(user), DeviceId(device), host, acknowledged, last_seq, window)
        case {"type": "drained", "seq": int(seq)}:
            return Drained(seq)
        case {"type": "read", "room": str(room), "seq": int(seq)}:
            return Read(RoomId(room), seq)
        case {"type": "typing", "room": str(room), "user": str(user)}:
            return Typing(RoomId(room), UserId(user))
        case {"type": "rejected", "message": str(message), "reason": str(reason)}:
            return Rejected(MessageId(message), reason)
        case {"type": "pong"}:
            return Pong()
        case {"type": "muted", "room": str(room), "muted": bool(muted)}:
            return Muted(RoomId(room), muted)
        case {"type": "reconnect", "url": str() | None as url, "after_ms": int(after_ms)}:
            return Reconnect(url, max(0, after_ms))
        case {"type": str(type_)} if type_ not in KNOWN:
            return OtherFrame(type_)
        case _:
            raise MalformedFrame("a frame of an unknown shape")


def _decode_receipt(fields: object) -> Receipt:
    match fields:
        case {"room": str(room), "user": str(user), "device": str(device), **marks}:
            return receipt_of(RoomId(room), UserId(user), DeviceId(device), marks)
        case _:
            raise MalformedFrame("a receipt of an unknown shape")


def receipt_of(room: RoomId, user: UserId, device: DeviceId, marks: Mapping[Any, Any]) -> Receipt:
    """A receipt from its two optional marks, on the socket and in `GET /rooms/{id}/receipts`."""
    delivered, read = marks.get("delivered"), marks.get("read")
    return Receipt(
        room,
        user,
        device,
        MessageId(delivered) if isinstance(delivered, str) else None,
        MessageId(read) if isinstance(read, str) else None,
    )
