"""Keys: this device's own, its user's vault and document, and other users' (docs/client.md, "Keys").

keyring     this device's keys at rest
opening     the vault, opened and checked
account     sign-up, sign-in, revoking, passwords: what changes the user's keys
directory   other users' documents, pinned and verified
"""

from collections.abc import Callable

from client.crypto import safety
from client.crypto.kdf import STANDARD, Kdf, Strength
from client.errors import LetterlockError
from client.events import Hub
from client.keys.account import Account, WeakPassword, check_password
from client.keys.directory import Directory
from client.keys.keyring import Keyring, PassphraseNeeded
from client.keys.opening import Secret, password_of
from client.protocol.ids import DeviceId, UserId
from client.session import Session
from client.store import Store

__all__ = ["Keys", "PassphraseNeeded", "WeakPassword", "check_password"]


class Keys:
    """What an application uses, as `client.keys`. What needs the vault asks for the password and may take half a second.

    `strength`: Argon2id's parameters where this device chooses them.
    """

    def __init__(
        self, store: Store, session: Session, hub: Hub, *, passphrase: str | None = None, strength: Strength = STANDARD,
        on_unlocked: Callable[[], None], now_s: Callable[[], int],
    ) -> None:  # fmt: skip
        self._session = session
        self.strength = strength
        self.own = Keyring(store.keys, passphrase, strength=strength)
        self.others = Directory(store.keys, session, hub, self._own_changed, now_s)
        self.account = Account(session, self.own, self.others, hub, on_unlocked=on_unlocked, now_s=now_s)

    async def _own_changed(self, document: object) -> None:
        me = self.others.known(self._session.signed_in.user)
        if me is not None:
            await self.account.own_changed(me)

    # The recovery key.

    @property
    def recovery_key(self) -> str | None:
        """The recovery key's text, from when it was made until `confirm_recovery_key`: show it, and have it written down."""
        return self.own.ring.recovery_key

    def confirm_recovery_key(self) -> None:
        """The user has it; this device forgets it."""
        self.own.show_recovery_key(None)

    async def new_recovery_key(self, password: str) -> str:
        """Another recovery key; the old one opens nothing any more. Raises WrongSecret."""
        return await self.account.new_recovery_key(await self._secret(password))

    # The vault.

    @property
    def is_locked(self) -> bool:
        """Whether this device lacks a key of its user: then some messages do not open before `unlock`."""
        return self.account.is_locked

    async def unlock(self, password: str) -> None:
        """Get from the vault what this device lacks. Raises WrongSecret."""
        await self.account.join(await self._secret(password))

    check = unlock  # devices that were signed out without the password are closed in the document, too

    async def change_password(self, old: str, new: str, *, check_strength: bool = True) -> None:
        """Another password, for signing in and for the vault. Raises WeakPassword, WrongSecret."""
        if check_strength:
            check_password(new, self._session.signed_in.username)
        await self.account.change_password(await self._secret(old), new, self.strength)

    async def revoke_device(self, device: DeviceId, password: str) -> None:
        """Sign another device out, and keep it from everything that is sealed from now on. Raises WrongSecret."""
        await self.account.revoke_device(device, await self._secret(password))

    async def reset(self, password: str) -> str:
        """Give up all keys and begin again with a new identity, when neither password nor recovery key opens the vault.

        Devices that sign in later read nothing that was sealed before; contacts are warned. Returns the new recovery key.
        """
        name = self._session.signed_in.username
        secret = await password_of(self._session, name, password)
        return await self.account.reset(secret, Kdf.read(await self._session.ask(f"accounts/kdf?username={name}")))

    async def _secret(self, password: str) -> Secret:
        return await password_of(self._session, self._session.signed_in.username, password)

    def protect(self, passphrase: str | None) -> None:
        """Have this device's keys rest under a passphrase (None: none), which `Client` then asks for."""
        self.own.protect(passphrase, strength=self.strength)

    # Verifying others.

    async def safety_number(self, user: UserId) -> str:
        """60 digits, the same for both: compare them over another channel. Raises LetterlockError without the user's keys."""
        me = self._session.signed_in.user
        found = await self.others.get([me, user])
        if me not in found or user not in found:
            raise LetterlockError("the keys of this user cannot be had")
        return safety.safety_number(me, found[me].identity, user, found[user].identity)

    def qr_text(self) -> str:
        """What a code says that the other one scans. Raises LetterlockError before there are keys."""
        me = self._session.signed_in.user
        document = self.others.known(me)
        if document is None:
            raise LetterlockError("this user has no keys yet")
        return safety.qr_text(me, document.identity)

    async def verify(self, user: UserId, on: bool = True) -> None:
        """The user has compared the safety number; or takes that back."""
        await self.others.get([user])
        self.others.verify(user, on=on)

    def is_verified(self, user: UserId) -> bool:
        """Whether the present identity of this user was compared."""
        return self.others.is_verified(user)

    def is_held(self, user: UserId) -> bool:
        """Whether nothing is sent to this user before the new identity is compared."""
        return self.others.is_held(user)
