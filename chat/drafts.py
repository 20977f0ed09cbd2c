"""The form of a message (docs/protocol.md §3.1): what a client composed, checked field by field. Pure."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection
from typing import Any, NamedTuple

from kernel.errors import InvalidInput, TooLarge, UnknownField
from kernel.limits import BODY_BYTES, ID_CLOCK_SKEW_S

UUID7_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Sealed epochs (docs/protocol.md §6): the one algorithm whose form is checked here, and the only one allowed by default.
SEALED_ALG = "chat.e2ee.v1"
ALG = re.compile(r"[A-Za-z0-9_.:-]{1,32}")
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")

FIELDS = frozenset({"id", "room", "sent_at", "alg", "epoch", "ciphertext", "sender", "recipient", "delivered", "read"})
# Milliseconds until the year 9999: more is no time.
LATEST_MS = 253_402_300_799_999
INT = 2**31 - 1


class Draft(NamedTuple):
    """A message whose form is right. Ids are canonical texts; `recipient` as the client claims it, "" if it does not."""

    id: str
    room: str
    sent_at: int
    alg: str
    epoch: int
    ciphertext: bytes
    recipient: str | None


# A sealed body (docs/protocol.md §6.6): nonce, then signature, payload and spaces in steps of 64 bytes, then the tag.
SEALED_LEAST = 156
SEALED_AROUND = 28
SEALED_STEP = 64


def parse(raw: Any, *, sender: str, now_ms: int, algs: Collection[str]) -> Draft:
    """Check one message object of a send. Raises `InvalidInput`, `UnknownField` or `TooLarge`, with the field at fault."""
    if not isinstance(raw, dict):
        raise InvalidInput("a message must be an object", field="messages")
    if not raw.keys() <= FIELDS:
        name = str(min(raw.keys() - FIELDS, key=str))[:64]
        raise UnknownField(f"{name} is not a field of a message", field=name)
    id = raw.get("id")
    if not isinstance(id, str) or not UUID7_TEXT.fullmatch(id):
        raise InvalidInput("id must be a lower-case UUIDv7", field="id")
    made_at = int(id[:8] + id[9:13], 16)
    if abs(made_at - now_ms) > ID_CLOCK_SKEW_S * 1000:
        raise InvalidInput("the id's time must be within a day of the server's", field="id", server_time=now_ms)
    room = raw.get("room")
    if not isinstance(room, str) or not UUID_TEXT.fullmatch(room):
        raise InvalidInput("room must be a lower-case UUID", field="room")
    sent_at, epoch, alg = raw.get("sent_at"), raw.get("epoch"), raw.get("alg")
    if type(sent_at) is not int or not 0 <= sent_at <= LATEST_MS:
        raise InvalidInput("sent_at must be a whole number of milliseconds", field="sent_at")
    if type(epoch) is not int or not 0 <= epoch <= INT:
        raise InvalidInput("epoch must be a whole number", field="epoch")
    if not isinstance(alg, str) or not ALG.fullmatch(alg):
        raise InvalidInput("alg must be 1 to 32 of A-Z a-z 0-9 _ . : -", field="alg")
    if alg not in algs:
        raise InvalidInput(f"messages are taken under {' or '.join(algs)} only", field="alg")
    ciphertext = decode_bytes(raw.get("ciphertext"))
    if alg == SEALED_ALG and (len(ciphertext) < SEALED_LEAST or (len(ciphertext) - SEALED_AROUND) % SEALED_STEP):
        raise InvalidInput(f"ciphertext does not have the form of {SEALED_ALG}", field="ciphertext")
    if "sender" in raw and raw["sender"] != sender:
        raise InvalidInput("sender is not the user of the token", field="sender")
    recipient = raw.get("recipient")
    if recipient is not None and not (isinstance(recipient, str) and UUID_TEXT.fullmatch(recipient)):
        raise InvalidInput("recipient must be a lower-case UUID or null", field="recipient")
    for name in ("delivered", "read"):
        if raw.get(name, False) is not False:
            raise InvalidInput(f"{name} of a new message is false", field=name)
    return Draft(id, room, sent_at, alg, epoch, ciphertext, recipient if "recipient" in raw else "")


def decode_bytes(text: Any) -> bytes:
    """Canonical base64url without padding, 1 to 32 768 bytes."""
    if isinstance(text, str) and len(text) > (BODY_BYTES * 4 + 2) // 3:
        raise TooLarge(f"ciphertext has at most {BODY_BYTES} bytes", field="ciphertext")
    if not isinstance(text, str) or not BASE64URL.fullmatch(text) or len(text) % 4 == 1:
        raise InvalidInput("ciphertext must be base64url without padding", field="ciphertext")
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The last character may hold bits that are not used: only zeros are canonical.
    if len(text) % 4 and urlsafe_b64encode(data[-(len(data) % 3) :]).rstrip(b"=") != text[-(len(text) % 4) :].encode():
        raise InvalidInput("ciphertext must be canonical base64url", field="ciphertext")
    return data


def id_of(raw: Any) -> str | None:
    """The id that a refusal can name, if there is one."""
    id = raw.get("id") if isinstance(raw, dict) else None
    return id if isinstance(id, str) and UUID_TEXT.fullmatch(id) else None
