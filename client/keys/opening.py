"""The vault, opened for one change: with the password or with the recovery key, checked against the user's own document."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from client.crypto import kdf, pins, recovery, userkeys, vault
from client.crypto.archives import open_archive
from client.crypto.errors import BadEncoding, RolledBack
from client.crypto.kdf import Kdf, PasswordKeys
from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import UserKeys
from client.crypto.vault import OpenVault
from client.errors import MalformedFrame
from client.protocol.ids import UserId
from client.session import Session

# Vault and document are two requests, between which another device may change both.
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Secret:
    """What the user knows: the two keys of the password, with the parameters that made them; or the recovery key (32 bytes)."""

    password: PasswordKeys | None = field(default=None, repr=False)
    kdf: Kdf | None = None
    recovery_key: bytes | None = field(default=None, repr=False)

    def opens(self, sealed: object, user: UserId) -> OpenVault:
        """The open vault. Raises CryptoError: WrongSecret, WeakKdf, …"""
        if self.password is not None:
            return vault.open_with_password(sealed, user, self.password.wrap)
        assert self.recovery_key is not None, "a secret is one of the two"
        return vault.open_with_recovery_key(sealed, user, self.recovery_key)

    def proof(self, password_name: str) -> dict[str, str]:
        """How a request says that the user knows it."""
        if self.password is not None:
            return {password_name: self.password.auth}
        assert self.recovery_key is not None, "a secret is one of the two"
        return {"recovery_auth": recovery.auth_of(self.recovery_key)}


@dataclass(frozen=True, slots=True)
class Opened:
    """The open vault, the user's document, and all versions of the encryption key, oldest first. Not to be kept."""

    vault: OpenVault = field(repr=False)
    document: UserKeys
    keys: tuple[EncryptionKey, ...] = field(repr=False)


async def password_of(session: Session, username: str, password: str) -> Secret:
    """The secret that a password is, by the parameters that the server names. Raises WeakKdf."""
    parameters = Kdf.read(await session.ask(f"accounts/kdf?username={quote(username, safe='')}"))
    return await split(password, parameters)


async def split(password: str, parameters: Kdf) -> Secret:
    """The secret that a password is by these parameters; 0.2 s in a thread."""
    return Secret(await asyncio.to_thread(kdf.split, password, parameters), parameters)


async def open_vault(session: Session, secret: Secret, check_follows: Callable[[UserKeys], None]) -> Opened:
    """Fetch, open, check. `check_follows`: holds the document against what this device has seen of its user.

    Raises CryptoError for a vault or a document that is not the user's, or is old; Refused, Unreachable, SignedOut.
    """
    user = session.signed_in.user
    for attempt in range(1, TRIES + 1):
        sealed = await session.request("GET", "e2ee/vault")
        opened = await asyncio.to_thread(secret.opens, sealed, user)
        document = await own_document(session)
        if document is None:
            raise MalformedFrame("the server does not tell the user's own keys")
        try:
            pins.check_own(document, opened.secrets)
            check_follows(document)
        except RolledBack:
            if attempt == TRIES:
                raise
            continue
        return Opened(opened, document, await _all_keys(session, opened))
    raise AssertionError("the last attempt answers or raises")


async def own_document(session: Session) -> UserKeys | None:
    """The user's own document as the server has it; to be held against the vault, or against the pinned one.

    None: the server tells none, as of somebody who has not set up. Raises CryptoError for one that nobody signed.
    """
    user = session.signed_in.user
    answer = await session.request("POST", "e2ee/users/query", {"known": {user: 0}}, repeat=True)
    match answer:
        case {**told}:
            match told.get(user):
                case {"userkeys": envelope}:
                    return userkeys.read(envelope, user)
    return None


async def _all_keys(session: Session, opened: OpenVault) -> tuple[EncryptionKey, ...]:
    pages: list[EncryptionKey] = []
    for page in range(1, opened.secrets.archives + 1):
        answer: Any = await session.request("GET", f"e2ee/vault/archive/{page}")
        ct = answer.get("ct") if isinstance(answer, dict) else None
        pages += open_archive(ct, opened.user, page, opened.key)
    keys = (*pages, *opened.secrets.encryption_keys)
    if [key.version for key in keys] != list(range(1, len(keys) + 1)):
        raise BadEncoding("the archive's encryption keys have gaps")
    return keys
