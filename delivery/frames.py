"""The socket's wire, spelled once (docs/protocol.md §4): frames, close codes, encode, decode. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import orjson

from kernel.entries import Entry
from kernel.errors import DomainError, InvalidInput, UnknownField
from kernel.limits import FRAME_BYTES, POST_MESSAGES, REF_CHARACTERS

UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
BIGINT = 2**63 - 1


class CloseCode(IntEnum):
    """Why the server hung up (docs/protocol.md §4.3)."""

    RESTART = 1012
    TOO_SLOW = 4009
    MALFORMED = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    HELLO_TIMEOUT = 4408
    RATE_LIMITED = 4429


class MalformedFrame(Exception):
    """Not JSON, not an object, no known type, or too large: the client is broken, the socket is closed with 4400."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame."""

    token: str
    client_name: str
    client_version: str


@dataclass(frozen=True, slots=True)
class Send:
    """1 to 100 messages, each still to be checked by the sender service."""

    messages: Sequence[Any]
    ref: str | None


@dataclass(frozen=True, slots=True)
class Ack:
    """Everything up to `seq` is on this device."""

    seq: int
    ref: str | None


@dataclass(frozen=True, slots=True)
class Read:
    """The user has read `room` up to `seq`."""

    room: str
    seq: int
    ref: str | None


@dataclass(frozen=True, slots=True)
class Reject:
    """`message` came live although `later` had been shown."""

    message: str
    later: str
    ref: str | None


@dataclass(frozen=True, slots=True)
class Typing:
    """The user is writing in `room`."""

    room: str
    ref: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there?"""

    ref: str | None


ClientFrame = Hello | Send | Ack | Read | Reject | Typing | Ping

FIELDS: dict[str, frozenset[str]] = {
    "hello": frozenset({"token", "client"}),
    "send": frozenset({"messages"}),
    "ack": frozenset({"seq"}),
    "read": frozenset({"room", "seq"}),
    "reject": frozenset({"message", "later"}),
    "typing": frozenset({"room"}),
    "ping": frozenset(),
}


class Refused(Exception):
    """A frame that is read and not served (a wrong field, say): answered by `error`, the socket stays."""

    def __init__(self, ref: str | None, error: DomainError) -> None:
        super().__init__(error.detail)
        self.ref = ref
        self.error = error


def decode(text: str | bytes) -> ClientFrame:
    """A client's frame. Raises `MalformedFrame` (close) or `Refused` (answer)."""
    if len(text) > FRAME_BYTES or _is_longer_in_bytes(text):
        raise MalformedFrame("longer than allowed")
    try:
        frame = orjson.loads(text)
    except ValueError as error:
        raise MalformedFrame("not JSON") from error
    if not isinstance(frame, dict):
        raise MalformedFrame("not an object")
    kind = frame.get("type")
    allowed = FIELDS.get(kind) if isinstance(kind, str) else None
    if allowed is None:
        raise MalformedFrame("no known type")
    ref = frame.get("ref")
    if ref is not None and not (isinstance(ref, str) and len(ref) <= REF_CHARACTERS):
        raise Refused(None, InvalidInput(f"ref must be a text of at most {REF_CHARACTERS} characters", field="ref"))
    try:
        for name in frame:
            if name not in allowed and name not in ("type", "ref"):
                raise UnknownField(f"{name[:64]} is not a field of {kind}", field=name[:64])
        return _decode(kind, frame, ref)
    except InvalidInput as error:
        raise Refused(ref, error) from None


def _is_longer_in_bytes(text: str | bytes) -> bool:
    """The limit counts bytes; only texts beyond ASCII have more of them than characters."""
    return isinstance(text, str) and not text.isascii() and len(text.encode(errors="replace")) > FRAME_BYTES


def _decode(kind: Any, frame: dict[str, Any], ref: str | None) -> ClientFrame:
    match kind:
        case "ack":
            return Ack(_seq(frame), ref)
        case "send":
            messages = frame.get("messages")
            if not isinstance(messages, list) or not 1 <= len(messages) <= POST_MESSAGES:
                raise InvalidInput(f"messages must be a list of 1 to {POST_MESSAGES}", field="messages")
            return Send(messages, ref)
        case "read":
            return Read(_id(frame, "room"), _seq(frame), ref)
        case "reject":
            return Reject(_id(frame, "message"), _id(frame, "later"), ref)
        case "typing":
            return Typing(_id(frame, "room"), ref)
        case "ping":
            return Ping(ref)
    return _hello(frame)


def _hello(frame: dict[str, Any]) -> Hello:
    token = frame.get("token")
    if not isinstance(token, str):
        raise InvalidInput("token must be a text", field="token")
    client = frame.get("client", {})
    if not isinstance(client, dict) or not client.keys() <= {"name", "version"}:
        raise InvalidInput("client must be an object of name and version", field="client")
    name, version = client.get("name", ""), client.get("version", "")
    if not (isinstance(name, str) and isinstance(version, str) and len(name) <= 64 and len(version) <= 32):
        raise InvalidInput("name has at most 64, version at most 32 characters", field="client")
    if not (name + version).isprintable():
        raise InvalidInput("name and version must be printable", field="client")
    return Hello(token, name, version)


def _seq(frame: dict[str, Any]) -> int:
    seq = frame.get("seq")
    if type(seq) is not int or not 0 <= seq <= BIGINT:
        raise InvalidInput("seq must be a whole number", field="seq")
    return seq


def _id(frame: dict[str, Any], name: str) -> str:
    value = frame.get(name)
    if not isinstance(value, str) or not UUID_TEXT.fullmatch(value):
        raise InvalidInput(f"{name} must be a lower-case UUID", field=name)
    return value


def encode(frame: Mapping[str, Any]) -> str:
    """Any server frame but `entries` and `accepted`, which are put together from ready texts."""
    return orjson.dumps(frame).decode()


def welcome(*, user: str, device: str, host: str, acknowledged: int, last_seq: int, window: int) -> str:
    """The answer to hello."""
    return encode(
        {
            "type": "welcome",
            "user": user,
            "device": device,
            "host": host,
            "acknowledged": acknowledged,
            "last_seq": last_seq,
            "window": window,
        }
    )


def answer(frame: Mapping[str, Any], ref: str | None) -> str:
    """The answer to a client's frame, with that one's ref."""
    return encode(frame if ref is None else {**frame, "ref": ref})


def error(problem: Mapping[str, Any], ref: str | None) -> str:
    """A refusal: problem details, with the frame's ref."""
    return answer({"type": "error", "problem": problem}, ref)


def reconnect(*, url: str | None, after_ms: int) -> str:
    """Go to the host at `url` (None: ask which one) after a random time of at most `after_ms`."""
    return encode({"type": "reconnect", "url": url, "after_ms": after_ms})


def entries(batch: Iterable[Entry]) -> list[str]:
    """The `entries` frames for these entries, each within the frame limit."""
    return _within_limit("entries", "entries", (f'{{"seq":{entry.seq},{entry.text}}}' for entry in batch))


def accepted(answers: Iterable[str]) -> list[str]:
    """The `accepted` frames for committed sends, each within the limit; an answer is the JSON text of `accepted_text`."""
    return _within_limit("accepted", "messages", answers)


def _within_limit(kind: str, name: str, parts: Iterable[str]) -> list[str]:
    frames: list[str] = []
    joined: list[str] = []
    size = 0
    for part in parts:
        # Texts are ASCII but for system payloads, which are short: counting characters is enough with this margin.
        if joined and size + len(part) > FRAME_BYTES - 2_048:
            frames.append(_joined(kind, name, joined))
            joined, size = [], 0
        joined.append(part)
        size += len(part) + 1
    if joined:
        frames.append(_joined(kind, name, joined))
    return frames


def _joined(kind: str, name: str, parts: Sequence[str]) -> str:
    return f'{{"type":"{kind}","{name}":[{",".join(parts)}]}}'
