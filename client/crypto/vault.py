"""A user's secrets, sealed under a vault key (VK) that the password and the recovery key each open (docs/protocol.md §6.6).

    vault = new(user, kdf, keys.wrap, recovery_key)                       # upload vault.json()
    vault = open_with_password(json, user, keys.wrap)
    vault = vault.next(vault.secrets.with_key(EncryptionKey.fresh(2)))    # after a revocation
    vault = vault.next().with_password(kdf, keys.wrap)                    # after a change of password

The vault key stays the same for ever: changing it would need both the password and the recovery key at hand.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.crypto import aead
from client.crypto.archives import MAX_KEYS, read_keys, write_keys
from client.crypto.encoding import b64, ctx, dump, parse, unb64
from client.crypto.errors import BadEncoding, BadSeal, WrongSecret
from client.crypto.forms import fields, integer, listing, version_1
from client.crypto.kdf import Kdf
from client.crypto.keys import EncryptionKey, signing_public
from client.crypto.recovery import wrap_of
from client.protocol.ids import UserId

PASSWORD: Final = "pw"  # noqa: S105 - the name of a slot
RECOVERY: Final = "rk"


@dataclass(frozen=True, slots=True)
class Secrets:
    """What the vault holds: the identity key, the encryption keys (oldest first), and how many archive pages came before."""

    identity: Ed25519PrivateKey = field(repr=False)
    encryption_keys: tuple[EncryptionKey, ...]
    archives: int = 0

    def __post_init__(self) -> None:
        versions = [key.version for key in self.encryption_keys]
        if not versions or versions != list(range(versions[0], versions[0] + len(versions))):
            raise BadEncoding("encryption keys have gaps, or there is none")
        if self.archives < 0 or (not self.archives and versions[0] != 1):
            raise BadEncoding("encryption keys are missing")

    @property
    def identity_public(self) -> bytes:
        """What contacts pin, 32 bytes."""
        return signing_public(self.identity)

    @property
    def newest(self) -> EncryptionKey:
        """The key that others wrap to now."""
        return self.encryption_keys[-1]

    def key(self, version: int) -> EncryptionKey | None:
        """The key of this version, unless it is in an archive or does not exist."""
        return next((key for key in self.encryption_keys if key.version == version), None)

    def with_key(self, key: EncryptionKey) -> Self:
        """With one key more; its version is the next one."""
        return replace(self, encryption_keys=(*self.encryption_keys, key))


@dataclass(frozen=True, slots=True)
class Slot:
    """The vault key, sealed under one secret. `kdf` for the password's slot only."""

    type: str
    ct: bytes = field(repr=False)
    kdf: Kdf | None = None

    def json(self) -> dict[str, Any]:
        """As it travels."""
        kdf = {} if self.kdf is None else {"kdf": self.kdf.json()}
        return {"type": self.type, **kdf, "ct": b64(self.ct)}


@dataclass(frozen=True, slots=True)
class OpenVault:
    """A vault whose key is at hand. Keep it no longer than needed: it holds the identity key."""

    user: UserId
    version: int
    key: bytes = field(repr=False)
    secrets: Secrets = field(repr=False)
    slots: tuple[Slot, ...] = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Sealed, as it is uploaded; every call takes a new nonce."""
        sealed = aead.seal(self.key, dump(_written(self.secrets)), _vault_ctx(self.user, self.version))
        return {"v": 1, "version": self.version, "ct": b64(sealed), "slots": [slot.json() for slot in self.slots]}

    def next(self, secrets: Secrets | None = None) -> Self:
        """The next version, perhaps with other secrets. Every upload has a version of its own."""
        return replace(self, version=self.version + 1, secrets=secrets or self.secrets)

    def with_password(self, kdf: Kdf, wrap: bytes) -> Self:
        """With another password's slot; combine with `next()`."""
        return self._with_slot(_slot(self.user, PASSWORD, wrap, self.key, kdf))

    def with_recovery_key(self, recovery_key: bytes) -> Self:
        """With another recovery key's slot; combine with `next()`."""
        return self._with_slot(_slot(self.user, RECOVERY, wrap_of(recovery_key), self.key))

    def _with_slot(self, slot: Slot) -> Self:
        others = [other for other in self.slots if other.type != slot.type]
        return replace(self, slots=tuple(sorted((*others, slot), key=lambda one: one.type)))


def new(user: UserId, kdf: Kdf, wrap: bytes, recovery_key: bytes) -> OpenVault:
    """A first vault with a new identity and a first encryption key."""
    secrets = Secrets(Ed25519PrivateKey.generate(), (EncryptionKey.fresh(1),))
    return (
        OpenVault(user, 1, os.urandom(aead.KEY), secrets, ()).with_password(kdf, wrap).with_recovery_key(recovery_key)
    )


def open_with_password(vault: object, user: UserId, wrap: bytes) -> OpenVault:
    """Raises `WrongSecret` (also for another user's vault), `BadSeal` for a changed one, `BadEncoding`, `WeakKdf`."""
    return _open(vault, user, PASSWORD, wrap)


def open_with_recovery_key(vault: object, user: UserId, recovery_key: bytes) -> OpenVault:
    """The same with the recovery key's 32 bytes."""
    return _open(vault, user, RECOVERY, wrap_of(recovery_key))


def kdf_of(vault: object) -> Kdf:
    """The parameters of the password's slot. Raises `BadEncoding` and `WeakKdf`."""
    kdf = _slot_of(_read(vault)[2], PASSWORD).kdf
    assert kdf is not None, "a password's slot was read without its parameters"
    return kdf


def _open(vault: object, user: UserId, type: str, secret: bytes) -> OpenVault:
    version, sealed, slots = _read(vault)
    try:
        key = aead.open(secret, _slot_of(slots, type).ct, ctx("slot", user, type))
    except BadSeal:
        raise WrongSecret("this does not open the vault") from None
    secrets = _secrets(parse(aead.open(key, sealed, _vault_ctx(user, version))))
    return OpenVault(user, version, key, secrets, slots)


def _slot(user: UserId, type: str, secret: bytes, key: bytes, kdf: Kdf | None = None) -> Slot:
    return Slot(type, aead.seal(secret, key, ctx("slot", user, type)), kdf)


def _slot_of(slots: tuple[Slot, ...], type: str) -> Slot:
    for slot in slots:
        if slot.type == type:
            return slot
    raise BadEncoding("the vault has no such slot")


def _vault_ctx(user: UserId, version: int) -> bytes:
    return ctx("vault", user, version)


def _read(vault: object) -> tuple[int, bytes, tuple[Slot, ...]]:
    read = fields(vault, ("v", "version", "ct", "slots"))
    version_1(read)
    slots = tuple(_read_slot(slot) for slot in listing(read["slots"], 2))
    if len({slot.type for slot in slots}) != len(slots):
        raise BadEncoding("two slots of one type")
    return integer(read["version"], 1), unb64(read["ct"]), slots


def _read_slot(value: object) -> Slot:
    match value:
        case {"type": "pw"}:
            slot = fields(value, ("type", "kdf", "ct"))
            return Slot(PASSWORD, _slot_ct(slot), Kdf.read(slot["kdf"]))
        case {"type": "rk"}:
            return Slot(RECOVERY, _slot_ct(fields(value, ("type", "ct"))))
        case _:
            raise BadEncoding("not a slot of a known type")


def _slot_ct(slot: Mapping[str, Any]) -> bytes:
    return unb64(slot["ct"], aead.KEY + aead.OVERHEAD)


def _written(secrets: Secrets) -> dict[str, Any]:
    archives = {"archives": secrets.archives} if secrets.archives else {}
    return {
        "uik": b64(secrets.identity.private_bytes_raw()),
        "uik_pub": b64(secrets.identity_public),
        "ueks": write_keys(secrets.encryption_keys),
        **archives,
    }


def _secrets(document: Mapping[str, Any]) -> Secrets:
    read = fields(document, ("uik", "uik_pub", "ueks"), ("archives",))
    identity = Ed25519PrivateKey.from_private_bytes(unb64(read["uik"], 32))
    if signing_public(identity) != unb64(read["uik_pub"], 32):
        raise BadEncoding("two halves of different identity keys")
    return Secrets(identity, read_keys(read["ueks"], MAX_KEYS), integer(read.get("archives", 0)))
