"""Signing keys drawn from SECRET_KEY, one per purpose, so that a token of one kind can never pass as another."""

import hmac
from functools import lru_cache

from django.conf import settings


def keys_for(purpose: str) -> tuple[bytes, ...]:
    """The 32-byte keys of a purpose: the one to sign with first, then those of SECRET_KEY_FALLBACKS, to verify with."""
    return _derive(purpose, settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _derive(purpose: str, secret: str | bytes, fallbacks: tuple[str | bytes, ...]) -> tuple[bytes, ...]:
    return tuple(_one(key, purpose) for key in (secret, *fallbacks))


def _one(secret: str | bytes, purpose: str) -> bytes:
    # HKDF (RFC 5869) comes down to one HMAC here: SECRET_KEY has enough entropy to be the key itself,
    # and one block is all we need.
    key = secret.encode() if isinstance(secret, str) else secret
    return hmac.digest(key, b"letterlock " + purpose.encode(), "sha256")
