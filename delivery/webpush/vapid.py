"""Who we are to push services (RFC 8292): a key pair of this system's, and short-lived tokens signed with it.

The key is made from `VAPID_SECRET`, so that every machine of one system has the same, and so that it is kept like the other
secrets. Another secret is another key: browsers then have to subscribe anew, which clients do when they next start.
"""

import time
from functools import cache
from threading import Lock
from typing import Final

import jwt
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from kernel.sealed import b64

# The order of P-256 (FIPS 186-5).
ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

TOKEN_S: Final = 12 * 3_600  # RFC 8292 §2: 24 hours at most
RENEW_S: Final = 3_600
KEPT: Final = 100

_lock = Lock()
_tokens: dict[str, tuple[float, str]] = {}


def public_key() -> str:
    """What a browser subscribes with: the uncompressed point, base64url."""
    form, encoding = serialization.PublicFormat.UncompressedPoint, serialization.Encoding.X962
    return b64(_key().public_key().public_bytes(encoding, form))


def authorization(audience: str) -> str:
    """The `Authorization` header for a push service at this origin; the same for an hour."""
    now = time.time()
    with _lock:
        made, header = _tokens.get(audience, (0.0, ""))
        if now - made > RENEW_S:
            if len(_tokens) >= KEPT:
                _tokens.clear()
            header = f"vapid t={token(audience, at=now)},k={public_key()}"
            _tokens[audience] = (now, header)
    return header


def token(audience: str, *, at: float) -> str:
    """That we are who we are, for the push service at this origin, made `at` this time."""
    # Not by py_vapid: it takes neither a PUBLIC_URL with a port nor an address of version 6.
    claims = {"aud": audience, "exp": int(at) + TOKEN_S, "sub": settings.VAPID_SUBJECT}
    return jwt.encode(claims, _key(), algorithm="ES256")


@cache
def _key() -> ec.EllipticCurvePrivateKey:
    wide = HKDF(hashes.SHA256(), 48, salt=None, info=b"letterlock vapid").derive(settings.VAPID_SECRET.encode())
    return ec.derive_private_key(int.from_bytes(wide, "big") % (ORDER - 1) + 1, ec.SECP256R1())
