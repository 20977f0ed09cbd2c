"""The recovery key: 32 random bytes that the user keeps on paper, as a second way into the account and its vault.

Its text is Matrix's (base58 of 8B 01 | key | parity, in groups of four): the parity catches a mistyped character.
Source: Matrix specification, client-server API, "Recovery key representation".
"""

import os
from functools import reduce
from operator import xor
from typing import Final

from client.crypto import aead
from client.crypto.encoding import b64, ctx
from client.crypto.errors import BadRecoveryKey

_ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(_ALPHABET)}
_PREFIX: Final = b"\x8b\x01"
_LENGTH: Final = 48  # characters: 35 bytes that begin with 8B have neither more nor fewer


def new() -> bytes:
    """A recovery key, 32 bytes."""
    return os.urandom(aead.KEY)


def to_text(key: bytes) -> str:
    """What the user writes down: 48 characters in groups of four."""
    if len(key) != aead.KEY:
        raise BadRecoveryKey("a recovery key has 32 bytes")
    body = _PREFIX + key
    number = int.from_bytes(body + bytes((reduce(xor, body),)))
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _ALPHABET[digit] + text
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def from_text(text: str) -> bytes:
    """The key again; spaces and line breaks do not matter. Raises `BadRecoveryKey`."""
    characters = "".join(text.split())
    if len(characters) != _LENGTH:
        raise BadRecoveryKey(f"a recovery key has {_LENGTH} characters")
    if not all(character in _VALUES for character in characters):
        raise BadRecoveryKey("a character that recovery keys do not have")
    number = reduce(lambda value, character: value * 58 + _VALUES[character], characters, 0)
    raw = number.to_bytes(36)
    if raw[0] or raw[1:3] != _PREFIX or reduce(xor, raw):
        raise BadRecoveryKey("mistyped")
    return raw[3:-1]


def auth_of(key: bytes) -> str:
    """What signs in instead of the password, 43 characters; the server stores a hash of it."""
    return b64(aead.hkdf(key, ctx("rk", "auth")))


def wrap_of(key: bytes) -> bytes:
    """What opens the vault's recovery slot, 32 bytes."""
    return aead.hkdf(key, ctx("rk", "wrap"))
