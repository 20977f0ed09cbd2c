"""How the users' passwords are kept. Staff passwords are kept by Django's own first hasher, which is slower (docs/adr/0020)."""

from functools import cache

from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher, check_password, make_password


class DerivedPasswordHasher(PBKDF2PasswordHasher):
    """PBKDF2 with fewer rounds than Django's, for strings that a client has derived by a memory-hard function."""

    algorithm = "pbkdf2_sha256_derived"
    iterations = 120_000


def keep(password: str) -> str:
    """The form in which a user's password is stored."""
    return make_password(password, hasher=settings.USER_PASSWORD_HASHER)


def matches(password: str, stored: str | None) -> tuple[bool, str | None]:
    """Whether this is the password, and a newer form to store if the settings have changed since.

    Takes as long for None, a user who does not exist.
    """
    hasher = settings.USER_PASSWORD_HASHER
    nobodys = _nobodys(hasher)
    if stored is None:
        check_password(password, nobodys, preferred=hasher)
        return False, None
    renewed: list[str] = []
    right = check_password(password, stored, setter=lambda raw: renewed.append(keep(raw)), preferred=hasher)
    return right, renewed[0] if renewed else None


@cache
def _nobodys(hasher: str) -> str:
    """What is compared for a user who does not exist; made once a process, whoever signs in first."""
    return make_password("nobody", hasher=hasher)
