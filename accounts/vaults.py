"""A user's vault (docs/protocol.md §6.2): secrets that the clients seal, kept as they come, one version after the other.

Writers hold the lock of the user's row (accounts/holders.py).
"""

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from django.db import transaction

from accounts import holders, kdf, key_entries
from accounts.key_entries import Change
from accounts.models import DeviceBox, User, UserKeys, Vault, VaultArchive
from kernel import limits, rates
from kernel.errors import Conflict, InvalidInput, NotFound, TooLarge
from kernel.forms import members_of, number_of
from kernel.sealed import KEY, b64, unb64

PASSWORD: Final = "pw"  # noqa: S105 - the name of a slot
RECOVERY: Final = "rk"
MOST: Final = 2**31 - 1

# AES-256-GCM with its nonce in front: what is around what was sealed.
_AROUND: Final = 28


class OtherVersion(Conflict):
    """The vault has another version than the one that this follows; `version` names it."""

    code = "version"
    title = "The vault has another version."


@dataclass(frozen=True, slots=True)
class SealedVault:
    """A vault of the right form: its version, the parameters of its password's slot, and the JSON to store."""

    version: int
    kdf: dict[str, Any]
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the archive."""

    number: int
    sealed: bytes = field(repr=False)


# --- form, without I/O -------------------------------------------------------------------------------------------------


def read(value: Any) -> SealedVault:
    """A vault as a client sends it. Raises `InvalidInput`, `UnknownField`, and `TooLarge` above `VAULT_BYTES`."""
    form = members_of(_object(value, "vault"), needs=("v", "version", "ct", "slots"))
    number_of(form["v"], "vault.v", least=1, most=1)
    version = number_of(form["version"], "vault.version", least=1, most=MOST)
    sealed = unb64(form["ct"], "vault.ct", least=_AROUND + 1, most=limits.VAULT_BYTES)
    slots = form["slots"]
    if not isinstance(slots, list) or not 1 <= len(slots) <= 2:
        raise InvalidInput("slots must be one or two", field="vault.slots")
    read_slots = [_slot(slot) for slot in slots]
    by_type = {slot["type"]: slot for slot in read_slots}
    if PASSWORD not in by_type or len(by_type) != len(slots):
        raise InvalidInput("there must be a slot for the password, and one of each type", field="vault.slots")
    stored = orjson.dumps({"v": 1, "version": version, "ct": b64(sealed), "slots": read_slots})
    if len(stored) > limits.VAULT_BYTES:
        raise TooLarge(f"a vault has at most {limits.VAULT_BYTES} bytes", field="vault")
    return SealedVault(version, by_type[PASSWORD]["kdf"], stored)


def read_page(value: Any) -> Page:
    """A page of the archive as a client sends it beside the vault. Raises `InvalidInput` and `TooLarge`."""
    form = members_of(_object(value, "archive"), needs=("page", "ct"))
    number = number_of(form["page"], "archive.page", least=1, most=MOST)
    return Page(number, unb64(form["ct"], "archive.ct", least=_AROUND + 1, most=limits.VAULT_BYTES))


def _slot(value: Any) -> dict[str, Any]:
    slot = _object(value, "vault.slots")
    is_password = slot.get("type") == PASSWORD
    form = members_of(slot, needs=("type", "kdf", "ct") if is_password else ("type", "ct"))
    if form["type"] not in (PASSWORD, RECOVERY):
        raise InvalidInput("there is no such type of slot", field="vault.slots.type")
    parameters = {"kdf": kdf.read(form["kdf"], "vault.slots.kdf")} if is_password else {}
    sealed = unb64(form["ct"], "vault.slots.ct", length=_AROUND + KEY)
    return {"type": form["type"], **parameters, "ct": b64(sealed)}


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} must be a JSON object", field=name)
    return value


# --- reading -----------------------------------------------------------------------------------------------------------


def get(user_id: UUID, device_id: UUID) -> dict[str, Any]:
    """The vault; the user's devices are told that this one has it. Raises `KeysMissing`, and `TooManyRequests`."""
    rates.take("vault", user_id)
    with transaction.atomic():
        holders.check(user_id, device_id)
        row = Vault.objects.filter(user_id=user_id).first()
        keys = UserKeys.objects.filter(user_id=user_id).first()
        if row is None or keys is None:
            raise holders.KeysMissing
        key_entries.tell(user_id, seq=keys.seq, change=Change.VAULT_READ, device=device_id)
    found: dict[str, Any] = orjson.loads(bytes(row.sealed))
    return found


def get_page(user_id: UUID, device_id: UUID, number: int) -> dict[str, Any]:
    """A page of the archive. Raises `NotFound`."""
    holders.check(user_id, device_id)
    page = VaultArchive.objects.filter(user_id=user_id, page=number).first()
    if page is None:
        raise NotFound
    return {"page": page.page, "ct": b64(bytes(page.sealed))}


def get_box(user_id: UUID, device_id: UUID) -> dict[str, Any]:
    """The newest encryption key that was sealed to the device that asks. Raises `NotFound`."""
    holders.check(user_id, device_id)
    box = DeviceBox.objects.filter(device_id=device_id).first()
    if box is None:
        raise NotFound
    return {"ver": box.version, "ct": b64(bytes(box.sealed))}


def is_stored(user_id: UUID, vault: SealedVault) -> bool:
    """Whether the user's vault is this very one."""
    row = Vault.objects.filter(user_id=user_id).first()
    return row is not None and bytes(row.sealed) == vault.sealed


def was_stored(user_id: UUID, vault: SealedVault) -> bool:
    """Whether the user's vault is or may have been this one: another one has its version, and it is not known any more."""
    row = Vault.objects.filter(user_id=user_id).first()
    return row is not None and (row.version > vault.version or bytes(row.sealed) == vault.sealed)


# --- writing, under the lock of the user's row -------------------------------------------------------------------------


def create(user: User, vault: SealedVault) -> None:
    """The first vault of an identity. What another identity left goes. Raises `InvalidInput`."""
    if vault.version != 1:
        raise InvalidInput("the first vault has the version 1", field="vault.version")
    _check_kdf(user, vault)
    VaultArchive.objects.filter(user=user).delete()
    Vault.objects.update_or_create(user=user, defaults={"version": 1, "sealed": vault.sealed, "archives": 0})


def replace(user: User, vault: SealedVault, page: Page | None = None, *, version: int | None = None) -> None:
    """The next vault, perhaps with a page of the archive. `version`: of the one that the client means to replace.

    Raises `OtherVersion`, `KeysMissing`, `InvalidInput`.
    """
    row = Vault.objects.filter(user=user).first()
    if row is None:
        raise holders.KeysMissing
    if version not in (None, row.version) or vault.version != row.version + 1:
        raise OtherVersion(version=row.version)
    _check_kdf(user, vault)
    if page is not None:
        if page.number != row.archives + 1:
            raise InvalidInput(f"the next page is {row.archives + 1}", field="archive.page")
        VaultArchive.objects.create(user=user, page=page.number, sealed=page.sealed)
        row.archives = page.number
    row.version, row.sealed = vault.version, vault.sealed
    row.save()


def _check_kdf(user: User, vault: SealedVault) -> None:
    # Else the next device would derive another key from the same password, and stand before a closed vault.
    if vault.kdf != user.kdf:
        raise InvalidInput("the password's slot has other parameters than the account", field="vault.slots.kdf")
