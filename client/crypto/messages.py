"""Sealing and opening one message (docs/protocol.md §6.6).

    ciphertext = nonce (12) | AES-256-GCM(message key, signature (64) | payload | spaces, aad)
    aad        = ctx("msg", room, epoch, user, device)
    message key = HKDF(epoch key, aad)

The key and the aad name the sender's device, so a message that is moved or attributed to another does not open. The
signature is inside: the server holds no proof of who wrote, and a member with the epoch's key cannot write as another.
"""

import os
import re
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from client.crypto import aead
from client.crypto.encoding import PROTOCOL, ctx, dump, pae, parse, verify
from client.crypto.errors import BadEncoding, BadMessage, BadSeal, BadSignature, TooLong
from client.crypto.forms import identifier, time, version_1
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId

KIND: Final = f"{PROTOCOL}.msg"
SIGNATURE: Final = 64
STEP: Final = 64  # bytes; all that the server learns of a body's length is which step it is on
LONGEST: Final = (32 * 1024 - aead.OVERHEAD) // STEP * STEP + aead.OVERHEAD  # bytes of ciphertext: 32 732
SHORTEST: Final = 2 * STEP + aead.OVERHEAD  # 156: a signature and a payload
MAX_PAYLOAD: Final = LONGEST - aead.OVERHEAD - SIGNATURE  # 32 640 bytes of JSON
_MAX_LANES: Final = 10_000  # senders whose message keys are kept, per epoch

_TYPE = re.compile(r"[a-z0-9_.\-]{1,64}")


@dataclass(frozen=True, slots=True)
class Payload:
    """What a message says. `ts`: ms since 1970, the message's `sent_at`."""

    id: MessageId
    type: str
    body: str = field(repr=False)
    ts: int


@dataclass(frozen=True, slots=True)
class _Lane:
    """What one device's messages of one epoch have in common."""

    aad: bytes
    cipher: AESGCM


@dataclass(frozen=True)
class EpochKey:
    """The key of one room's epoch, 32 bytes. Keeps what it derived: per message there is no HKDF."""

    room: RoomId
    epoch: int
    secret: bytes = field(repr=False)
    _lanes: dict[tuple[str, str], _Lane] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.secret) != aead.KEY:
            raise BadEncoding("an epoch's key has 32 bytes")

    def lane(self, user: UserId, device: DeviceId) -> _Lane:
        """The message key and the context of one device."""
        lane = self._lanes.get((user, device))
        if lane is None:
            if len(self._lanes) >= _MAX_LANES:
                self._lanes.clear()
            aad = ctx("msg", self.room, self.epoch, user, device)
            lane = self._lanes[user, device] = _Lane(aad, AESGCM(aead.hkdf(self.secret, aad)))
        return lane


def seal(key: EpochKey, user: UserId, device: DeviceId, signer: Ed25519PrivateKey, payload: Payload) -> bytes:
    """A ciphertext of 156 to 32 732 bytes, in steps of 64. Raises `TooLong`, and `BadEncoding` for what is not Unicode."""
    return _seal(key.lane(user, device), signer, encode(payload), os.urandom(aead.NONCE))


def encode(payload: Payload) -> bytes:
    """The payload as it is signed. Raises `TooLong` and `BadEncoding`: before queueing, this says whether it can be sent."""
    if not _TYPE.fullmatch(payload.type):
        raise BadEncoding("a type has other characters than a-z 0-9 _ . -")
    written = dump(
        {"v": 1, "id": identifier(payload.id), "type": payload.type, "body": payload.body, "ts": time(payload.ts)}
    )
    if len(written) > MAX_PAYLOAD:
        raise TooLong(f"{len(written)} bytes; {MAX_PAYLOAD} are possible")
    return written


def _seal(lane: _Lane, signer: Ed25519PrivateKey, payload: bytes, nonce: bytes) -> bytes:
    signature = signer.sign(_signed(lane.aad, payload))
    padding = b" " * (-(SIGNATURE + len(payload)) % STEP)
    return aead.seal_with(lane.cipher, nonce, signature + payload + padding, lane.aad)


def open(
    key: EpochKey,
    user: UserId,
    device: DeviceId,
    public: Ed25519PublicKey | bytes,
    ciphertext: bytes,
    *,
    id: MessageId,
    sent_at: int,
) -> Payload:
    """What this user's device said under this id at this time (ms). Raises `BadMessage`, and tells no more to anybody.

    `public` is the signing key of the device, from its user's document. Fields that are not known are skipped: what a
    newer client adds to a message must not make the message unreadable.
    """
    if not SHORTEST <= len(ciphertext) <= LONGEST or (len(ciphertext) - aead.OVERHEAD) % STEP:
        raise BadMessage("no message has this length")
    lane = key.lane(user, device)
    try:
        opened = aead.open_with(lane.cipher, ciphertext, lane.aad)
        signature, payload = opened[:SIGNATURE], opened[SIGNATURE:].rstrip(b" ")
        verify(public, signature, _signed(lane.aad, payload))
        said = _read(payload)
    except (BadSeal, BadSignature, BadEncoding) as error:
        raise BadMessage(f"could not be verified: {error}") from error
    if said.id != id or said.ts != sent_at:
        raise BadMessage("signed under another id, or for another time")
    return said


def _signed(aad: bytes, payload: bytes) -> bytes:
    return pae(KIND, aad + b"\n\n" + payload)


def _read(payload: bytes) -> Payload:
    said = parse(payload)
    version_1(said)
    match said:
        case {"id": id, "type": str(type), "body": str(body), "ts": ts} if _TYPE.fullmatch(type):
            _check_is_text(body)
            return Payload(MessageId(identifier(id)), type, body, time(ts))
        case _:
            raise BadEncoding("not a message's payload")


def _check_is_text(body: str) -> None:
    """JSON can spell halves of surrogate pairs, which no screen and no file can show."""
    try:
        body.encode()
    except UnicodeEncodeError:
        raise BadEncoding("a half of a surrogate pair has no UTF-8") from None
