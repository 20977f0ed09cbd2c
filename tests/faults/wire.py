"""What the fault test's clients say and hear, after docs/protocol.md; nothing here comes from the server or from `client/`."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any
from uuid import UUID, uuid4

import orjson

from tests.faults.ledger import Message

# About 200 bytes, as in the targets of the design; the first 8 are the message's number.
FILLER = bytes(range(192))


def new_id() -> str:
    """A UUIDv7 with random bits behind its time: ids of one millisecond do not sort by the order of sending."""
    bits = time.time_ns() // 1_000_000 << 80 | 7 << 76 | 2 << 62
    return str(UUID(int=bits | uuid4().int & ((0xFFF << 64) | (1 << 62) - 1)))


def ciphertext(number: int) -> str:
    """A body that carries its number."""
    return urlsafe_b64encode(number.to_bytes(8, "big") + FILLER).rstrip(b"=").decode()


def number_in(body: bytes) -> int:
    """The number in a body; negative if the body is not one of ours."""
    return int.from_bytes(body[:8], "big") if body[8:] == FILLER else -1


def composed(message: Message, sent_at: int) -> dict[str, Any]:
    """The message as it is sent (§3.1)."""
    return {
        "id": message.id, "room": message.room, "sent_at": sent_at, "alg": "opaque.v1", "epoch": 0,
        "ciphertext": ciphertext(message.number),
    }  # fmt: skip


def message_of(entry: dict[str, Any]) -> Message | None:
    """The message of an entry (§3.2); None for any other kind."""
    if entry["kind"] != "message":
        return None
    number = number_in(urlsafe_b64decode(entry["ciphertext"] + "=="))
    return Message(entry["id"], entry["room"], entry["sender"], entry["device"], number)


def frame(type: str, **members: Any) -> bytes:
    """A frame of §4.1."""
    return orjson.dumps({"type": type, **members})
