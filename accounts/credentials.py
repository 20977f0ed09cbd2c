"""What a user signs in with: the string derived from the password, or the one derived from the recovery key."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import attempts, hashers, holders, vaults
from accounts.models import User, Vault
from accounts.vaults import SealedVault
from kernel import rates
from kernel.errors import InvalidInput, NotFound, Unauthenticated


class BadCredentials(Unauthenticated):
    """The password is wrong, or there is no such user: one answer for both, after the same time."""

    code = "bad_credentials"
    title = "User name and password do not belong together."


class Kind(StrEnum):
    """Which of the two; each names the column of `User` that has its hash."""

    PASSWORD = "password"  # noqa: S105 - the name of a column
    RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as a client sends it."""

    kind: Kind
    text: str = field(repr=False)


def one_of(*, password: str | None, recovery: str | None) -> Secret:
    """The one of the two that was sent. Raises `InvalidInput` for both and for none."""
    match password, recovery:
        case str(text), None:
            return Secret(Kind.PASSWORD, text)
        case None, str(text):
            return Secret(Kind.RECOVERY, text)
    raise InvalidInput("prove it once, by the password or by the recovery key")


def check(user: User | None, secret: Secret, *, username: str, address: str, now: datetime) -> str:
    """Whether it is the user's; answers the hash that it is kept as, so that a writer can see that it still is.

    1. Count the attempt; refuse when there were too many.
    2. Compare, in the same time for nobody and for a user without such a secret.
    3. Give the attempt back.
    Raises `BadCredentials` and `TooManyRequests`.
    """
    rates.take("sign_in", address)
    attempts.count(username=username, address=address, now=now)
    kept: str | None = getattr(user, secret.kind) if user is not None else None
    right, renewed = hashers.matches(secret.text, kept or None)
    if user is None or kept is None or not right:
        raise BadCredentials
    attempts.forgive(username=username, address=address)
    if renewed is None or not User.objects.filter(pk=user.pk, **{secret.kind: kept}).update(**{secret.kind: renewed}):
        return kept
    return renewed


def check_own(user_id: UUID, secret: Secret, *, address: str, now: datetime) -> str:
    """The same for somebody who is signed in already."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise NotFound
    return check(user, secret, username=user.username, address=address, now=now)


def check_still(user: User, kind: Kind, kept: str) -> None:
    """Under the lock of the user's row: nobody has changed it since `check`. Raises `BadCredentials`."""
    if getattr(user, kind) != kept:
        raise BadCredentials


def change_password(
    user_id: UUID,
    device_id: UUID,
    *,
    proof: Secret,
    new: str,
    kdf: dict[str, Any],
    vault: SealedVault | None,
    address: str,
    now: datetime,
) -> int | None:
    """Another password, and with it the slot of the vault that it opens; the vault's version, None without a vault.

    Asked again with the same vault, it is found done. Raises `BadCredentials`, `OtherVersion`, `InvalidInput`.
    """
    rates.take("keys", user_id)
    if vault is not None and vaults.is_stored(user_id, vault):
        check_own(user_id, Secret(Kind.PASSWORD, new), address=address, now=now)
        return vault.version
    kept = check_own(user_id, proof, address=address, now=now)
    stored = hashers.keep(new)
    with transaction.atomic():
        holder = holders.lock(user_id, device_id)
        check_still(holder.user, proof.kind, kept)
        has_vault = Vault.objects.filter(user_id=user_id).exists()
        if has_vault != (vault is not None):
            raise InvalidInput("the vault comes with the password that opens it", field="vault")
        User.objects.filter(pk=user_id).update(password=stored, kdf=kdf)
        holder.user.kdf = kdf
        if vault is not None:
            vaults.replace(holder.user, vault)
    return None if vault is None else vault.version


def change_vault(
    user_id: UUID,
    device_id: UUID,
    *,
    version: int,
    vault: SealedVault,
    page: vaults.Page | None,
    password: str,
    recovery: str | None,
    address: str,
    now: datetime,
) -> int:
    """Another vault in the place of `version`, perhaps with another recovery key; its version.

    The password is asked for: somebody who found a device unlocked could otherwise leave the user without keys.
    Raises `BadCredentials`, `OtherVersion`, `KeysMissing`, `InvalidInput`.
    """
    rates.take("keys", user_id)
    kept = check_own(user_id, Secret(Kind.PASSWORD, password), address=address, now=now)
    stored = None if recovery is None else hashers.keep(recovery)
    with transaction.atomic():
        holder = holders.lock(user_id, device_id)
        check_still(holder.user, Kind.PASSWORD, kept)
        if not vaults.is_stored(user_id, vault):
            vaults.replace(holder.user, vault, page, version=version)
            if stored is not None:
                User.objects.filter(pk=user_id).update(recovery=stored)
    return vault.version
