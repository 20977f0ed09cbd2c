"""The three primitives as this protocol uses them: AES-256-GCM with its nonce in front, HKDF-SHA256, HPKE in base mode.

Nonces are 96 random bits: fine for 2³² values under one key (NIST SP 800-38D §8.3), and no key here seals that many.
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from client.crypto.errors import BadKey, BadSeal

KEY: Final = 32  # bytes, of every key here
NONCE: Final = 12
OVERHEAD: Final = NONCE + 16  # what a seal adds: nonce and tag
WRAP: Final = 32 + KEY + 16  # an HPKE-sealed key: encapsulated key, ciphertext, tag

# RFC 9180: DHKEM(X25519, HKDF-SHA256) 0x0020, HKDF-SHA256 0x0001, AES-256-GCM 0x0002.
_SUITE: Final = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def seal(key: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """A nonce (12 bytes) | ciphertext | tag (16 bytes)."""
    return seal_with(AESGCM(key), os.urandom(NONCE), plaintext, aad)


def seal_with(cipher: AESGCM, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """The same with a cipher at hand. A nonce must never come twice under one key."""
    return nonce + cipher.encrypt(nonce, plaintext, aad)


def open(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """The plaintext. Raises `BadSeal`."""
    return open_with(AESGCM(key), sealed, aad)


def open_with(cipher: AESGCM, sealed: bytes, aad: bytes) -> bytes:
    """The same with a cipher at hand."""
    if len(sealed) < OVERHEAD:
        raise BadSeal("too short")
    try:
        return cipher.decrypt(sealed[:NONCE], sealed[NONCE:], aad)
    except InvalidTag:
        raise BadSeal("changed, or for another place, or under another key") from None


def hkdf(key: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 with an empty salt; `info` says what for."""
    return HKDF(hashes.SHA256(), KEY, b"", info).derive(key)


def wrap(secret: bytes, public: X25519PublicKey, info: bytes) -> bytes:
    """HPKE-seal a key of 32 bytes: enc (32) | ciphertext (48). Raises `BadKey` for a point of low order."""
    try:
        return _SUITE.encrypt(secret, public, info=info)
    except ValueError:
        raise BadKey("nothing can be sealed to this key") from None


def unwrap(sealed: bytes, private: X25519PrivateKey, info: bytes) -> bytes:
    """The 32 bytes again. Raises `BadSeal`."""
    if len(sealed) != WRAP:
        raise BadSeal("not as long as a wrap")
    try:
        return _SUITE.decrypt(sealed, private, info=info)
    except (InvalidTag, ValueError):  # ValueError: the encapsulated key is of low order
        raise BadSeal("changed, or for another place, or under another key") from None
