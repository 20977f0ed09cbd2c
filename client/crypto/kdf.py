"""The password's two keys: one signs in, the other opens the vault and never leaves the device.

The master key is Argon2id(NFKC(password)). The server stores a hash of `auth` and cannot get from it to `wrap`.
A server that names cheap parameters could then guess passwords cheaply, so there is a floor; the ceiling keeps it from
eating this device's memory.
"""

import os
import unicodedata
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Self

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from client.crypto import aead
from client.crypto.encoding import b64, ctx, unb64
from client.crypto.errors import BadEncoding, WeakKdf
from client.crypto.forms import fields, integer

SALT: Final = 16  # bytes


class Strength(NamedTuple):
    """Memory in KiB, passes over it, lanes that may run beside each other."""

    memory_kib: int
    passes: int
    lanes: int


STANDARD: Final = Strength(65_536, 3, 4)  # RFC 9106 §4, the second recommended option
FLOOR: Final = Strength(19_456, 2, 1)  # OWASP's Password Storage Cheat Sheet
CEILING: Final = Strength(1_048_576, 10, 16)


@dataclass(frozen=True, slots=True)
class Kdf:
    """Argon2id's parameters of one user. Raises `WeakKdf` outside floor and ceiling, `BadEncoding` for another salt."""

    memory_kib: int
    passes: int
    lanes: int
    salt: bytes

    def __post_init__(self) -> None:
        if len(self.salt) != SALT:
            raise BadEncoding("a salt has 16 bytes")
        strength = Strength(self.memory_kib, self.passes, self.lanes)
        if not all(least <= value <= most for least, value, most in zip(FLOOR, strength, CEILING, strict=True)):
            raise WeakKdf(f"m={self.memory_kib} t={self.passes} p={self.lanes} is outside of what this client computes")

    @classmethod
    def fresh(cls, strength: Strength = STANDARD) -> Self:
        """With a salt of its own."""
        return cls(*strength, os.urandom(SALT))

    @classmethod
    def read(cls, value: object) -> Self:
        """As the server or a vault says it. Raises `WeakKdf` and `BadEncoding`."""
        read = fields(value, ("alg", "m", "t", "p", "salt"))
        if read["alg"] != "argon2id":
            raise WeakKdf("not argon2id")
        return cls(integer(read["m"]), integer(read["t"]), integer(read["p"]), unb64(read["salt"], SALT))

    def json(self) -> dict[str, Any]:
        """As it travels."""
        return {"alg": "argon2id", "m": self.memory_kib, "t": self.passes, "p": self.lanes, "salt": b64(self.salt)}


@dataclass(frozen=True, slots=True)
class PasswordKeys:
    """`auth` (43 characters) is what the server gets as the password; `wrap` (32 bytes) opens the vault."""

    auth: str = field(repr=False)
    wrap: bytes = field(repr=False)


def split(password: str, kdf: Kdf) -> PasswordKeys:
    """Both keys; 0.2 s and 64 MiB with standard parameters. Raises `BadEncoding` for text that is not Unicode."""
    try:
        secret = unicodedata.normalize("NFKC", password).encode()
    except UnicodeEncodeError:
        raise BadEncoding("a half of a surrogate pair has no UTF-8") from None
    master = stretch(secret, kdf.salt, Strength(kdf.memory_kib, kdf.passes, kdf.lanes))
    return PasswordKeys(b64(aead.hkdf(master, ctx("pw", "auth"))), aead.hkdf(master, ctx("pw", "wrap")))


def stretch(secret: bytes, salt: bytes, strength: Strength, length: int = aead.KEY) -> bytes:
    """Argon2id (RFC 9106) without a pepper."""
    memory, passes, lanes = strength
    return Argon2id(salt=salt, length=length, iterations=passes, lanes=lanes, memory_cost=memory).derive(secret)
