"""Old encryption keys, 32 a page, so that the vault does not grow for ever.

A page is written once, under the vault key, when the vault has more than 32 keys; pages are numbered from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from client.crypto import aead
from client.crypto.encoding import b64, ctx, dump, load, unb64
from client.crypto.forms import fields, integer, listing
from client.crypto.keys import X25519, EncryptionKey
from client.protocol.ids import UserId

if TYPE_CHECKING:  # the vault reads and writes its keys with this module
    from client.crypto.vault import OpenVault

PAGE: Final = 32  # keys
MAX_KEYS: Final = 2 * PAGE  # in a vault that somebody forgot to archive; of ours, none has more than 33


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """One page as it is uploaded."""

    page: int
    ct: str

    def json(self) -> dict[str, Any]:
        """The field `archive` beside the vault."""
        return {"page": self.page, "ct": self.ct}


def archive(vault: "OpenVault") -> "tuple[OpenVault, ArchivePage | None]":
    """Move the oldest 32 keys to a page when there are more than 32. Both travel in one request, or neither.

    The vault keeps its version: `archive(vault.next(secrets))`.
    """
    secrets = vault.secrets
    if len(secrets.encryption_keys) <= PAGE:
        return vault, None
    page = secrets.archives + 1
    keys = dump(write_keys(secrets.encryption_keys[:PAGE]))
    sealed = aead.seal(vault.key, keys, ctx("archive", vault.user, page))
    kept = replace(secrets, encryption_keys=secrets.encryption_keys[PAGE:], archives=page)
    return replace(vault, secrets=kept), ArchivePage(page, b64(sealed))


def open_archive(ct: object, user: UserId, page: int, key: bytes) -> tuple[EncryptionKey, ...]:
    """The keys of a page, oldest first. `key`: the vault's. Raises `BadSeal` and `BadEncoding`."""
    opened = aead.open(key, unb64(ct), ctx("archive", user, page))
    return read_keys(load(opened), PAGE)


def write_keys(keys: Sequence[EncryptionKey]) -> list[dict[str, Any]]:
    """As vault and archive hold them."""
    return [{"ver": key.version, "sk": b64(key.private), "pk": b64(key.public)} for key in keys]


def read_keys(value: object, most: int) -> tuple[EncryptionKey, ...]:
    """The keys again. Raises `BadEncoding`."""
    return tuple(_read_key(fields(key, ("ver", "sk", "pk"))) for key in listing(value, most))


def _read_key(key: Any) -> EncryptionKey:
    return EncryptionKey(integer(key["ver"], 1), X25519, unb64(key["sk"], 32), unb64(key["pk"], 32))
