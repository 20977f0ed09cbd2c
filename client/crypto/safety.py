"""How two people find out that no server stands between them: compare 60 digits, or scan a code.

The digits are Signal's numeric fingerprint, version 0 of its inner format, over identity keys (libsignal,
NumericFingerprintGenerator): 5 200 rounds of SHA-512 make looking for a key with alike digits dear.
"""

import hashlib
import re
from typing import Final

from client.crypto.encoding import b64, unb64
from client.crypto.errors import BadEncoding
from client.crypto.forms import identifier
from client.protocol.ids import UserId

_ROUNDS: Final = 5200
_QR = re.compile(r"chatverify:1:([^:]+):([^:]+)")


def safety_number(a_user: UserId, a_identity: bytes, b_user: UserId, b_identity: bytes) -> str:
    """60 digits, the same for both. Some 5 ms."""
    return "".join(sorted((_half(a_user.encode(), a_identity), _half(b_user.encode(), b_identity))))


def _half(name: bytes, identity: bytes) -> str:
    """30 digits of one user: six times five of the hash's 40-bit pieces."""
    state = b"\0\0" + identity + name
    for _ in range(_ROUNDS):
        state = hashlib.sha512(state + identity).digest()
    return "".join(f"{int.from_bytes(state[at : at + 5]) % 100_000:05d}" for at in range(0, 30, 5))


def qr_text(user: UserId, identity: bytes) -> str:
    """What a code shows: who, and with which identity key."""
    return f"chatverify:1:{user}:{b64(identity)}"


def read_qr(text: str) -> tuple[UserId, bytes]:
    """User and identity key (32 bytes) of a scanned code. Raises `BadEncoding`."""
    found = _QR.fullmatch(text)
    if found is None:
        raise BadEncoding("not a code of this messenger")
    return UserId(identifier(found[1])), unb64(found[2], 32)
