"""By what a user's password is split into sign-in secret and vault key: Argon2id's parameters, which clients ask for first.

The server answers for names that nobody has as well, the same each time, so that asking does not tell who has an account.
"""

import hmac
from typing import Any, Final

from accounts.keys import keys_for
from kernel.errors import InvalidInput
from kernel.forms import members_of, number_of
from kernel.sealed import b64, unb64

ALGORITHM: Final = "argon2id"
SALT: Final = 16
# Each with floor, ceiling and standard: memory in KiB, passes, lanes. The floor is OWASP's; beyond the ceiling a server
# could wear clients out. The standard is RFC 9106 §4's second recommendation.
BOUNDS: Final = {"m": (19_456, 1_048_576, 65_536), "t": (2, 10, 3), "p": (1, 16, 4)}

_PURPOSE: Final = "kdf"


def read(value: Any, name: str) -> dict[str, Any]:
    """Parameters in the form in which they are kept and answered. Raises `InvalidInput` outside of floor and ceiling."""
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} must be a JSON object", field=name)
    form = members_of(value, needs=("alg", *BOUNDS, "salt"))
    if form["alg"] != ALGORITHM:
        raise InvalidInput(f"{name}.alg must be {ALGORITHM}", field=f"{name}.alg")
    numbers = {
        key: number_of(form[key], f"{name}.{key}", least=least, most=most) for key, (least, most, _) in BOUNDS.items()
    }
    salt = unb64(form["salt"], f"{name}.salt", length=SALT)
    return {"alg": ALGORITHM, **numbers, "salt": b64(salt)}


def made_up(username: str) -> dict[str, Any]:
    """What is answered for a name (as it is kept) without parameters of its own."""
    salt = hmac.digest(keys_for(_PURPOSE)[0], username.encode(), "sha256")[:SALT]
    return {"alg": ALGORITHM, **{key: standard for key, (_, _, standard) in BOUNDS.items()}, "salt": b64(salt)}
