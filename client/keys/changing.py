"""Changes of the user's keys, each with the vault open for as long as it takes.

vault opened and checked  →  next document, and key, vault and boxes that go with it  →  one request
                          ←  another device was faster
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from client.crypto import boxes, recovery, userkeys, vault
from client.crypto.archives import archive
from client.crypto.encoding import b64
from client.crypto.kdf import Kdf, Strength
from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import Content
from client.errors import Refused
from client.events import Hub, IdentityChanged
from client.keys.directory import Directory
from client.keys.keyring import Keyring, Pending
from client.keys.opening import Opened, Secret, open_vault, split
from client.keys.publishing import OVERTAKEN, Publisher
from client.keys.watching import Watch
from client.protocol.ids import DeviceId
from client.session import Session

TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be published next; `key`: another encryption key."""

    content: Content
    key: EncryptionKey | None = None


def next_key(opened: Opened) -> EncryptionKey:
    """The encryption key behind the newest one."""
    return EncryptionKey.fresh(opened.document.encryption.version + 1)


class Changes:
    """All may raise CryptoError (WrongSecret, RolledBack, …), Refused, Unreachable, SignedOut."""

    def __init__(
        self, session: Session, keyring: Keyring, directory: Directory, publisher: Publisher, watch: Watch, hub: Hub
    ) -> None:
        self._session = session
        self._keyring = keyring
        self._directory = directory
        self._publisher = publisher
        self._watch = watch
        self._hub = hub

    async def revoke_device(self, device: DeviceId, secret: Secret) -> None:
        """Sign another device out, and give it no key that is made from now on."""

        async def revoked(opened: Opened) -> Step | None:
            found = opened.document.device(device)
            if found is not None and found.until is not None:
                return None
            content = opened.document.next()
            if found is not None:
                content = content.with_revoked(device, self._watch.until_s())
            return Step(content, next_key(opened))

        await self.publish(secret, revoked)
        # One that was never listed has a session all the same; and doing it twice is harmless.
        await self._session.request("DELETE", f"devices/{device}")

    async def change_password(self, secret: Secret, new: str, strength: Strength) -> None:
        """Another password, for signing in and for the vault in one request. Either the old one holds, or the new one."""
        chosen = await split(new, Kdf.fresh(strength))
        assert chosen.password is not None
        assert chosen.kdf is not None
        parameters, keys = chosen.kdf, chosen.password

        async def changed(opened: Opened) -> None:
            replaced = opened.vault.next().with_password(parameters, keys.wrap)
            body = {"new_auth": keys.auth, "kdf": parameters.json(), "vault": replaced.json()}
            await self._session.request("POST", "account/password", body | secret.proof("old_auth"), repeat=True)

        await self._with_vault(secret, changed)

    async def new_recovery_key(self, secret: Secret) -> str:
        """Another recovery key; the old one opens nothing any more. `secret`: the password."""
        key = recovery.new()
        text, device = recovery.to_text(key), self._session.signed_in.device

        async def changed(opened: Opened) -> None:
            replaced = opened.vault.next().with_recovery_key(key)
            body = {"vault": replaced.json(), "recovery_auth": recovery.auth_of(key)}
            pending = Pending(
                "PUT", "e2ee/vault", body, device, if_match=opened.vault.version, recovery_key=text, is_whole=False
            )
            await self._publisher.publish(pending, **secret.proof("auth"))

        await self._with_vault(secret, changed)
        return text

    async def reset(self, secret: Secret) -> str:
        """Begin again with a new identity: what was sealed before is lost to devices that sign in later. The recovery key."""
        me = self._session.signed_in
        assert secret.password is not None
        assert secret.kdf is not None
        self._keyring.begin(me.device)
        key = recovery.new()
        opened = vault.new(me.user, secret.kdf, secret.password.wrap, key)
        held, text = opened.secrets, recovery.to_text(key)
        device = self._keyring.listing(self._watch.now_s())
        document = userkeys.first(me.user, held.identity_public, held.newest.announced, device).sign(held.identity)
        body = {"userkeys": document.json(), "vault": opened.json(), "recovery_auth": recovery.auth_of(key)}
        pending = Pending(
            "POST", "e2ee/reset", body, me.device, key=held.newest, recovery_key=text, is_reset=True, is_whole=False
        )
        async with self._publisher.lock:
            await self._publisher.publish(pending, **secret.proof("auth"))
        self._watch.unlocked()
        return text

    # The vault, opened for one change.

    async def publish(self, secret: Secret, decide: Callable[[Opened], Awaitable[Step | None]]) -> bool:
        """Publish what `decide` makes of the open vault. False when the user has no vault."""

        async def changed(opened: Opened) -> None:
            step = await decide(opened)
            if step is not None:
                await self._publisher.publish(self._pending(opened, step))

        try:
            await self._with_vault(secret, changed)
        except Refused as refusal:
            if refusal.code != "keys_missing":
                raise
            return False
        return True

    async def _with_vault(self, secret: Secret, change: Callable[[Opened], Awaitable[None]]) -> None:
        """Open the vault and do it; again if another device was faster."""
        async with self._publisher.lock:
            await self._publisher.finish()
            for attempt in range(1, TRIES + 1):
                try:
                    opened = await open_vault(self._session, secret, self._directory.check_own)
                    # It tells whether an earlier sign-in of this store has come through with a recovery key.
                    self._publisher.settle(opened.vault.json())
                    self._pin(opened)
                    await change(opened)
                except Refused as refusal:
                    if refusal.code not in OVERTAKEN or attempt == TRIES:
                        raise
                else:
                    return

    def _pin(self, opened: Opened) -> None:
        user = self._session.signed_in.user
        known = self._directory.known(user)
        if known is not None and known.identity != opened.document.identity:
            # The user began again on another device; what is here stays readable here.
            self._keyring.before_leaving()
            self._hub.tell(IdentityChanged(user, was_verified=False))
        self._directory.pin(user, opened.document)

    def _pending(self, opened: Opened, step: Step) -> Pending:
        me, content = self._session.signed_in, step.content
        if step.key is not None:
            content = content.with_encryption_key(step.key.announced)
        body: dict[str, Any] = {"userkeys": content.sign(opened.vault.secrets.identity).json()}
        if step.key is not None:
            replaced, page = archive(opened.vault.next(opened.vault.secrets.with_key(step.key)))
            body["vault"] = replaced.json()
            body["boxes"] = {id_: b64(box) for id_, box in boxes.seal_boxes(step.key, content, me.device).items()}
            if page is not None:
                body["archive"] = page.json()
        return Pending("PUT", "e2ee/userkeys", body, me.device, if_match=opened.document.seq, key=step.key)
