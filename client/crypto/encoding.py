"""Bytes as text, bytes as context, and documents with a signature (docs/protocol.md §6.6).

Base64 is base64url without padding, canonical only. Signed documents are DSSE v1 envelopes: the payload travels and is
stored byte for byte, so nobody ever has to write JSON canonically.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from client.crypto.errors import BadEncoding, BadSignature

PROTOCOL: Final = "chat.e2ee.v1"
MAX_PAYLOAD: Final = 32 * 1024  # bytes; a userkeys document of 100 devices has some 19 KiB

_FIELD = re.compile(r"[A-Za-z0-9_.:\-]*")
_BASE64 = re.compile(r"[A-Za-z0-9_\-]*")


def b64(raw: bytes) -> str:
    """Bytes as base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unb64(text: object, length: int | None = None) -> bytes:
    """The bytes again, of `length` bytes if one is given. Raises `BadEncoding` for anything but the canonical text."""
    if not isinstance(text, str) or not _BASE64.fullmatch(text) or len(text) % 4 == 1:
        raise BadEncoding("not base64url")
    raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The last character may carry bits that decode to nothing: one value would have several texts.
    if b64(raw) != text:
        raise BadEncoding("not canonical base64url")
    if length is not None and len(raw) != length:
        raise BadEncoding(f"{len(raw)} bytes where {length} belong")
    return raw


def ctx(*fields: str | int) -> bytes:
    """What a key, a seal or a wrap is for. Fields hold no line feed, so two lists of fields never give the same bytes."""
    texts = [str(field) for field in fields]
    if not all(_FIELD.fullmatch(text) for text in texts):
        raise BadEncoding("a field of a context has other characters than A-Z a-z 0-9 _ . : -")
    return "\n".join((PROTOCOL, *texts)).encode("ascii")


def pae(kind: str, body: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed. Lengths are in bytes."""
    name = kind.encode()
    return b"DSSEv1 %d %s %d %s" % (len(name), name, len(body), body)


def digest(payload: bytes) -> bytes:
    """How one document names another: SHA-256, 32 bytes."""
    return hashlib.sha256(payload).digest()


def load(text: bytes) -> Any:
    """JSON in UTF-8. Raises `BadEncoding`, also for names that come twice: two readers must not see two documents."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # also no UTF-8, and numbers of more digits than Python reads
        raise BadEncoding("not JSON in UTF-8, or a name comes twice") from None


def parse(payload: bytes) -> dict[str, Any]:
    """One JSON object. Raises `BadEncoding`."""
    document = load(payload)
    if not isinstance(document, dict):
        raise BadEncoding("not a JSON object")
    return document


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise ValueError
    return read


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def dump(document: Any) -> bytes:
    """A document as this client writes it: no spaces, UTF-8. Raises `BadEncoding` for text that is not Unicode."""
    try:
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadEncoding("a half of a surrogate pair has no UTF-8") from None


@dataclass(frozen=True, slots=True)
class Signed:
    """A document as it travels: its bytes and 64 bytes of Ed25519. Nothing in it is to be believed before `verify`."""

    kind: str
    payload: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload, 32 bytes."""
        return digest(self.payload)

    def json(self, keyid: str) -> dict[str, Any]:
        """The DSSE envelope. `keyid` is a hint: `uik`, or the id of the device that signed."""
        signature = {"keyid": keyid, "sig": b64(self.signature)}
        return {"payloadType": self.kind, "payload": b64(self.payload), "signatures": [signature]}

    @classmethod
    def read(cls, envelope: object, kind: str) -> Self:
        """A DSSE envelope of this kind with exactly one signature. Raises `BadEncoding`."""
        match envelope:
            case {
                "payloadType": str(found),
                "payload": str(payload),
                "signatures": [{"keyid": str(), "sig": str(sig)}],
            }:
                pass
            case _:
                raise BadEncoding("not a DSSE envelope with one signature")
        if found != kind:
            raise BadEncoding(f"not a {kind}")
        if len(payload) > MAX_PAYLOAD * 4 // 3 + 4:
            raise BadEncoding("too long for a document")
        return cls(kind, unb64(payload), unb64(sig, 64))

    def verify(self, public: bytes | Ed25519PublicKey) -> dict[str, Any]:
        """The document, if this key signed it. Verifies first, parses after. Raises `BadSignature`, `BadEncoding`."""
        verify(public, self.signature, pae(self.kind, self.payload))
        return parse(self.payload)


def sign(kind: str, document: Mapping[str, Any], key: Ed25519PrivateKey) -> Signed:
    """Write a document once and sign these bytes."""
    payload = dump(document)
    return Signed(kind, payload, key.sign(pae(kind, payload)))


def verify(public: bytes | Ed25519PublicKey, signature: bytes, signed: bytes) -> None:
    """Raises `BadSignature` unless `public` (32 bytes, or the key) signed these bytes."""
    try:
        key = Ed25519PublicKey.from_public_bytes(public) if isinstance(public, bytes) else public
        key.verify(signature, signed)
    except (InvalidSignature, ValueError):
        raise BadSignature("not signed by this key") from None
