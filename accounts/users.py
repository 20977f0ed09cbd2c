"""Messaging accounts: names, registration, sign-in, settings."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import credentials, hashers, kdf, sessions
from accounts.models import User
from accounts.sessions import Session
from accounts.tokens import Suspended
from kernel import ports, rates
from kernel.errors import Conflict, InvalidInput, NotFound

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{2,31}", re.ASCII)


class UsernameTaken(Conflict):
    """Somebody has this name."""

    code = "username_taken"
    title = "Somebody has this name."


def register(
    *, username: str, password: str, device_name: str, address: str, now: datetime, kdf: dict[str, Any] | None = None
) -> Session:
    """Make an account with its first device; `kdf`: by what the client made `password` of the real one.

    Raises `UsernameTaken`, and `TooManyRequests` per address.
    """
    name = folded(username)
    rates.take("register", address)
    if User.objects.filter(username=name).exists():
        raise UsernameTaken(field="username")
    stored = hashers.keep(password)
    try:
        with transaction.atomic():
            user = User.objects.create(username=name, password=stored, kdf=kdf)
            return sessions.open_session(user, device_name=device_name, now=now)
    except IntegrityError as error:
        # Somebody was faster: the unique name decides.
        raise UsernameTaken(field="username") from error


def sign_in(
    *,
    username: str,
    device_name: str,
    address: str,
    now: datetime,
    password: str | None = None,
    recovery: str | None = None,
) -> Session:
    """Make a device for a user who knows the password or, instead, has the recovery key. Raises `BadCredentials`."""
    name = folded(username)
    secret = credentials.one_of(password=password, recovery=recovery)
    user = User.objects.filter(username=name).first()
    credentials.check(user, secret, username=name, address=address, now=now)
    assert user is not None
    with transaction.atomic():
        return sessions.open_session(user, device_name=device_name, now=now)


def kdf_of(username: str, *, address: str) -> dict[str, Any]:
    """By what this user's password is split; made up, but always the same, for a name that nobody has."""
    name = folded(username)
    rates.take("kdf", address)
    found: dict[str, Any] | None = User.objects.filter(username=name).values_list("kdf", flat=True).first()
    return found or kdf.made_up(name)


def folded(username: str) -> str:
    """The name as it is kept: 3 to 32 of a-z, 0-9, `.`, `_`, `-`, in lower case. Raises `InvalidInput`."""
    # ASCII first: lower() would make an ordinary k of the Kelvin sign.
    name = username.lower() if username.isascii() else ""
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            "a user name is 3 to 32 of a-z, 0-9, . _ - and starts with a letter or digit", field="username"
        )
    return name


def get(user_id: UUID) -> User:
    """The account of this id. Raises `NotFound`."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound
    return user


def named(text: str) -> User:
    """The account of this id or exactly this name, for who runs the system: no rate, no policy. Raises `NotFound`."""
    try:
        return get(UUID(text))
    except ValueError:
        user = User.objects.filter(username=text.lower()).first()
    if user is None:
        raise NotFound
    return user


def find_by_name(username: str, *, asked_by: UUID) -> User:
    """The account with exactly this name (case aside), as `asked_by` may see it. Raises `NotFound`, and over the rate."""
    user = look_up(username, asked_by=asked_by)
    if not ports.policy.may_see_profile(asked_by, user.pk):
        raise NotFound
    return user


def look_up(username: str, *, asked_by: UUID) -> User:
    """The same, blocks aside: to change what `asked_by` has with this one. Raises `NotFound`, and over the rate."""
    rates.take("lookup", asked_by)
    try:
        user = User.objects.filter(username=folded(username)).first()
    except InvalidInput as error:
        raise NotFound from error
    if user is None:
        raise NotFound
    return user


def change(user_id: UUID, *, read_receipts: bool) -> User:
    """Change the account's settings."""
    User.objects.filter(pk=user_id).update(read_receipts=read_receipts)
    return get(user_id)


def check_not_suspended(user_id: UUID) -> None:
    """Raises `Suspended` for an account that is."""
    if User.objects.filter(pk=user_id, suspended_at__isnull=False).exists():
        raise Suspended


def existing(user_ids: Iterable[UUID]) -> set[UUID]:
    """Those of the ids that are accounts and not suspended: who can be invited."""
    found = User.objects.filter(pk__in=list(user_ids), suspended_at__isnull=True).values_list("pk", flat=True)
    return set(found)


def names(user_ids: Iterable[UUID]) -> dict[UUID, str]:
    """The names of those of the ids that are accounts, suspended or not."""
    return dict(User.objects.filter(pk__in=list(user_ids)).values_list("pk", "username"))


def discloses_reading(user_id: UUID) -> bool:
    """Whether the user lets others know what was read."""
    return User.objects.filter(pk=user_id, read_receipts=True).exists()
