"""What clients seal and sign, as far as the server can check it (docs/protocol.md §6): pure, and of the RFCs' parts only.

Bytes are base64url without padding (RFC 4648 §5), canonical or refused. Signed documents are DSSE v1 envelopes with one
Ed25519 signature: the payload's bytes are carried and kept as they are, and parsed only once the signature holds.
"""

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from kernel.errors import InvalidInput, TooLarge
from kernel.forms import members_of

# The name of everything here: the first line of each context, the beginning of each payload type.
PROTOCOL: Final = "chat.e2ee.v1"
KEY: Final = 32  # bytes of any public or symmetric key
HASH: Final = 32
SIGNATURE: Final = 64
WRAP: Final = 80  # HPKE's encapsulated key (32), and a 32-byte key sealed by AES-256-GCM (48)
SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)

_P: Final = 2**255 - 19
# The y coordinates of Ed25519's points of order 1, 2, 4 and 8: under such a key some signatures fit every text.
_Y8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
_LOW_ORDER: Final = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_PART: Final = re.compile(r"[A-Za-z0-9_.:-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed document as it came: nothing in `payload` is true before `is_signed_by` says so."""

    kind: str
    keyid: str
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def is_signed_by(self, public: bytes) -> bool:
        """Whether the owner of this Ed25519 key (32 bytes) signed it."""
        return is_signed(self.signature, pae(self.kind, self.payload), public)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload: what the next document calls `prev`."""
        return sha256(self.payload).digest()

    def json(self) -> dict[str, Any]:
        """The envelope as it goes over the wire."""
        return envelope_json(self.kind, self.keyid, self.payload, self.signature)


def b64(raw: bytes) -> str:
    """Bytes as the protocol writes them."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(value: Any, name: str, *, length: int | None = None, least: int = 0, most: int | None = None) -> bytes:
    """The bytes of canonical base64url: exactly `length`, or `least` to `most` of them.

    Raises `InvalidInput`, and `TooLarge` above `most`.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"{name} must be base64url without padding", field=name)
    bound = length if length is not None else most
    if bound is not None and len(value) > (bound * 4 + 2) // 3:
        if length is not None:
            raise InvalidInput(f"{name} must be {length} bytes", field=name)
        raise TooLarge(f"{name} has at most {bound} bytes", field=name)
    if not _BASE64URL.fullmatch(value) or len(value) % 4 == 1:
        raise InvalidInput(f"{name} must be base64url without padding", field=name)
    try:
        raw = urlsafe_b64decode(value + "=" * (-len(value) % 4))
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{name} must be base64url without padding", field=name) from error
    if b64(raw) != value:
        raise InvalidInput(f"{name} must be canonical base64url", field=name)
    if length is not None and len(raw) != length:
        raise InvalidInput(f"{name} must be {length} bytes", field=name)
    if len(raw) < least:
        raise InvalidInput(f"{name} must be at least {least} bytes", field=name)
    return raw


def ctx(*parts: object) -> bytes:
    """The context of one use of a key: the protocol's name and the parts, a line each; injective.

    Raises `ValueError` for a part with anything but letters, digits and `_.:-`.
    """
    texts = [str(part) for part in parts]
    if not all(_PART.fullmatch(text) for text in texts):
        raise ValueError("a part of a context has a character that it must not have")
    return "\n".join((PROTOCOL, *texts)).encode()


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed: DSSE v1's pre-authentication encoding of a payload and its type."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(payload), payload)


def is_signed(signature: bytes, message: bytes, public: bytes) -> bool:
    """Whether this Ed25519 signature (64 bytes) of the message holds under the key (32 bytes)."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def read_envelope(value: Any, name: str, *, kind: str, keyid: str, most: int) -> Envelope:
    """An envelope of this payload type with one signature by `keyid`, its payload `most` bytes at most.

    Only the form: the signature is yet to be verified. Raises `InvalidInput`, `UnknownField` and `TooLarge`.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name} must be a DSSE envelope", field=name)
    form = members_of(value, needs=("payloadType", "payload", "signatures"))
    if form["payloadType"] != kind:
        raise InvalidInput(f"the payloadType of {name} must be {kind}", field=name)
    signatures = form["signatures"]
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], Mapping):
        raise InvalidInput(f"{name} must have exactly one signature", field=name)
    signed = members_of(signatures[0], needs=("keyid", "sig"))
    if signed["keyid"] != keyid:
        raise InvalidInput(f"the keyid of {name} must be {keyid}", field=name)
    payload = unb64(form["payload"], name, least=2, most=most)
    return Envelope(kind, keyid, payload, unb64(signed["sig"], name, length=SIGNATURE))


def envelope_json(kind: str, keyid: str, payload: bytes, signature: bytes) -> dict[str, Any]:
    """The envelope of a payload and its one signature, for an answer."""
    return {
        "payloadType": kind,
        "payload": b64(payload),
        "signatures": [{"keyid": keyid, "sig": b64(signature)}],
    }


def verified(envelope: Envelope, name: str, public: bytes) -> dict[str, Any]:
    """The document in the envelope, once its signature holds under this key. Raises `InvalidInput`."""
    if not envelope.is_signed_by(public):
        raise InvalidInput(f"the signature of {name} does not hold", field=name)
    return document_of(envelope.payload, name)


def document_of(payload: bytes, name: str) -> dict[str, Any]:
    """The JSON object of a payload. No member may stand there twice: readers would differ. Raises `InvalidInput`."""
    try:
        found = json.loads(payload.decode(), object_pairs_hook=_members, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the payload of {name} must be JSON", field=name) from error
    if not isinstance(found, dict):
        raise InvalidInput(f"the payload of {name} must be a JSON object", field=name)
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands there twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def can_sign(public: bytes) -> bool:
    """Whether this Ed25519 key (32 bytes) signs for one only: canonical (RFC 8032 §5.1.3), and no point of low order."""
    y = int.from_bytes(public, "little") & (2**255 - 1)
    return len(public) == KEY and y < _P and y not in _LOW_ORDER


def can_be_sealed_to(public: bytes) -> bool:
    """Whether HPKE takes this X25519 key (32 bytes): it refuses the points of low order, by which everybody knows the secret."""
    try:
        SUITE.encrypt(bytes(KEY), X25519PublicKey.from_public_bytes(public), info=b"")
    except ValueError:
        return False
    return True
