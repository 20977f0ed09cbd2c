"""Access tokens: short-lived, signed, and checked without a database (docs/protocol.md §3).

A token says which device of which user speaks. It lives for ten minutes; who was revoked or suspended meanwhile is known
from `accounts.revocations`. The signature is checked once per token and process, then remembered: the same
token comes with every request for ten minutes.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Final
from uuid import UUID

import jwt

from accounts import revocations
from accounts.keys import keys_for
from kernel import clock
from kernel.errors import Forbidden, Unauthenticated
from kernel.ids import DeviceId, UserId

LIFE_S: Final = 600

_PURPOSE: Final = "access token"
_ALGORITHM: Final = "HS256"
_CLAIMS: Final = ("user", "device", "iat", "exp", "use")
# No token of ours is longer; what is, need not be decoded.
_LONGEST: Final = 1_024


class Suspended(Forbidden):
    """The account is suspended."""

    code = "suspended"
    title = "The account is suspended."


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a device of a user, by a token that holds until `expires_at` (seconds since 1970)."""

    user_id: UserId
    device_id: DeviceId
    expires_at: int

    # What Django REST framework asks of a `request.user`.
    is_authenticated: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False


def issue(user_id: UUID, device_id: UUID, *, now: float | None = None) -> tuple[str, int]:
    """Sign an access token for a device. Returns it and when it ends, in milliseconds since 1970.

    The caller has made sure, in a transaction, that the device is not revoked.
    """
    issued = int(clock.now() if now is None else now)
    ends = issued + LIFE_S
    claims = {"user": str(user_id), "device": str(device_id), "iat": issued, "exp": ends, "use": "access"}
    return jwt.encode(claims, keys_for(_PURPOSE)[0], _ALGORITHM), ends * 1000


def verify(token: str) -> Principal:
    """Whose token this is. Raises `Unauthenticated` for a bad or an expired one and a revoked device, and `Suspended`."""
    if len(token) > _LONGEST:
        raise Unauthenticated("The access token is not one of ours.")
    principal = _signed(token, keys_for(_PURPOSE))
    if principal.expires_at <= clock.now():
        raise Unauthenticated("The access token has expired; refresh it.")
    if revocations.is_revoked(principal.device_id):
        raise Unauthenticated("This device has been revoked; sign in again.")
    if revocations.is_suspended(principal.user_id):
        raise Suspended
    return principal


@lru_cache(maxsize=8_192)
def _signed(token: str, keys: tuple[bytes, ...]) -> Principal:
    """What the token says, if one of the keys signed it; whether it still holds is not asked here."""
    for key in keys:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[_ALGORITHM],
                options={"require": list(_CLAIMS), "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.PyJWTError:
            break
        return _principal(claims)
    raise Unauthenticated("The access token is not one of ours.")


def _principal(claims: dict[str, Any]) -> Principal:
    match claims:
        case {"use": "access", "user": str(user), "device": str(device), "exp": int(ends)}:
            try:
                return Principal(UserId(UUID(user)), DeviceId(UUID(device)), ends)
            except ValueError:
                pass
    raise Unauthenticated("This is not an access token.")
