"""Refresh tokens: spent by use, and a spent one that comes again gives a thief away (RFC 9700 §4.14.2).

A token is 32 random bytes behind the device's id and the time at which it ends, sealed by an HMAC. The database keeps
SHA-256 digests: of the live token, and for a short grace of those just spent, since a client may lose the answer.
Everything older need not be kept: a token that bears our seal, has not ended and is not in the table *was* spent.
"""

import hmac
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from hashlib import sha256
from typing import Final
from uuid import UUID

from accounts.keys import keys_for
from accounts.models import Device, RefreshToken
from kernel.errors import Unauthenticated

LIFE: Final = timedelta(days=60)
# Within this time of its use a token is answered again: the client may not have got the answer, and come back when its network,
# or a process that was frozen, does.
GRACE: Final = timedelta(minutes=2)

_PURPOSE: Final = "refresh token"
# device id, end in seconds since 1970, 32 random bytes, tag: 72 bytes are 96 characters of base64url, no padding.
_FORM: Final = struct.Struct(">16sQ32s")
_TAG: Final = 16
_CHARACTERS: Final = 96


class Standing(Enum):
    """What a device's token is worth."""

    LIVE = auto()
    SPENT_JUST_NOW = auto()
    REPLAYED = auto()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A token that bears our seal. Prints no secret."""

    device_id: UUID
    expires_at: datetime
    digest: bytes

    def __repr__(self) -> str:
        return f"<refresh token of {self.device_id}>"


def issue(device: Device, *, now: datetime) -> tuple[str, datetime]:
    """Make a token for the device: the token, and when it ends."""
    expires_at = datetime.fromtimestamp(int((now + LIFE).timestamp()), UTC)
    token = sealed(device.pk, expires_at=expires_at)
    RefreshToken.objects.create(digest=_digest(token), device=device, issued_at=now, expires_at=expires_at)
    return token, expires_at


def sealed(device_id: UUID, *, expires_at: datetime) -> str:
    """A token that is sealed, and known to nobody yet."""
    content = _FORM.pack(device_id.bytes, int(expires_at.timestamp()), os.urandom(32))
    return urlsafe_b64encode(content + _tag(keys_for(_PURPOSE)[0], content)).decode()


def unseal(token: str, *, now: datetime) -> Sealed:
    """Read a token that we made and that has not ended. Raises `Unauthenticated`. The database is not asked."""
    raw = urlsafe_b64decode(token) if len(token) == _CHARACTERS and _is_base64url(token) else b""
    content, tag = raw[:-_TAG], raw[-_TAG:]
    if not raw or not any(hmac.compare_digest(_tag(key, content), tag) for key in keys_for(_PURPOSE)):
        raise Unauthenticated("The refresh token is not one of ours; sign in again.")
    device, seconds, _ = _FORM.unpack(content)
    expires_at = datetime.fromtimestamp(seconds, UTC)
    if expires_at <= now:
        raise Unauthenticated("The refresh token has expired; sign in again.")
    return Sealed(UUID(bytes=device), expires_at, _digest(token))


def spend(token: Sealed, *, now: datetime) -> Standing:
    """Use a token up. The caller holds the device's row, and revokes the device when the token is `REPLAYED`.

    Repeated within the grace, a token gives one more; which of these the client has got, its next use tells, and that ends the
    others (docs/adr/0060). So two parties who both hold a copy cannot go on side by side: one of them will replay.
    """
    of_device = RefreshToken.objects.filter(device_id=token.device_id)
    of_device.filter(used_at__lt=now - GRACE).delete()
    stored = of_device.filter(digest=token.digest).first()
    if stored is None:
        return Standing.REPLAYED
    if stored.used_at is not None:
        return Standing.SPENT_JUST_NOW
    of_device.filter(used_at=None).exclude(digest=token.digest).delete()
    of_device.filter(digest=token.digest).update(used_at=now)
    return Standing.LIVE


def _tag(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")[:_TAG]


def _digest(token: str) -> bytes:
    # A fast hash is enough: nobody guesses 256 random bits.
    return sha256(token.encode()).digest()


def _is_base64url(token: str) -> bool:
    return token.isascii() and token.replace("-", "a").replace("_", "a").isalnum()
