"""A user's encryption key (UEK), and which public keys are refused.

Versions count from 1; a new one is made when a device is revoked, and all of them are kept: old ones read history.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from client.crypto import aead
from client.crypto.errors import BadEncoding, BadKey

X25519: Final = "x25519"  # the suite's name in documents; the HPKE suite behind it is in aead.py

_P = 2**255 - 19
# The y coordinates of Ed25519's points of order 1, 2, 4 and 8: under such a key some signatures fit every text.
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_LOW_ORDER = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})
# A point of low order times any X25519 scalar is zero, and `exchange` refuses zero: any scalar tells.
_PROBE = X25519PrivateKey.generate()


def check_signing_key(public: bytes) -> bytes:
    """An Ed25519 public key of 32 bytes as it is. Raises `BadKey`."""
    y = int.from_bytes(public, "little") & (2**255 - 1)
    if len(public) != 32 or y >= _P or y in _LOW_ORDER:
        raise BadKey("not a key that signs for one only")
    return public


def check_sealing_key(public: bytes) -> bytes:
    """An X25519 public key of 32 bytes as it is. Raises `BadKey`."""
    try:
        _PROBE.exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise BadKey("not a key that one only can open") from None
    return public


def signing_public(key: Ed25519PrivateKey) -> bytes:
    """The public half, 32 bytes."""
    return key.public_key().public_bytes_raw()


@dataclass(frozen=True)
class PublicEncryptionKey:
    """What others wrap to: version, suite (`x25519`), 32 bytes."""

    version: int
    suite: str
    public: bytes

    @cached_property
    def key(self) -> X25519PublicKey:
        """The key as `cryptography` has it."""
        return X25519PublicKey.from_public_bytes(self.public)


@dataclass(frozen=True)
class EncryptionKey:
    """Both halves, 32 bytes each. Raises `BadEncoding` for halves that do not belong together."""

    version: int
    suite: str
    private: bytes = field(repr=False)
    public: bytes

    def __post_init__(self) -> None:
        if self.suite != X25519 or len(self.private) != aead.KEY:
            raise BadEncoding("not a key of a known suite")
        if self.key.public_key().public_bytes_raw() != self.public:
            raise BadEncoding("two halves of different keys")

    @classmethod
    def fresh(cls, version: int) -> Self:
        """A new key with this version."""
        return cls.of(version, X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def of(cls, version: int, private: bytes) -> Self:
        """The key with this private half (32 bytes)."""
        key = X25519PrivateKey.from_private_bytes(private)
        return cls(version, X25519, private, key.public_key().public_bytes_raw())

    @cached_property
    def key(self) -> X25519PrivateKey:
        """The key as `cryptography` has it; made once, since making costs as much as opening a wrap."""
        return X25519PrivateKey.from_private_bytes(self.private)

    @property
    def announced(self) -> PublicEncryptionKey:
        """What goes into the userkeys document."""
        return PublicEncryptionKey(self.version, self.suite, self.public)
