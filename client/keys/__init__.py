"""Keys: this device's own, its user's vault and document, and other users' (docs/client.md, "Keys").

keyring     this device's keys at rest
opening     the vault, opened and checked
publishing  requests that change the user's keys, kept until they are answered
changing    revoking, passwords, the recovery key, beginning again
account     sign-up and sign-in
rotation    how old the user's encryption key is
watching    whether this device has all keys, and what the user's other devices do
directory   other users' documents, pinned
verifying   comparing keys with somebody
passwords   how good a password must be
"""

from collections.abc import Callable

from client.crypto import recovery
from client.crypto.kdf import STANDARD, Strength
from client.crypto.userkeys import UserKeys
from client.errors import LetterlockError
from client.events import Hub
from client.keys.account import Account
from client.keys.changing import Changes
from client.keys.directory import Directory
from client.keys.keyring import Keyring, PassphraseNeeded
from client.keys.opening import Secret, password_of
from client.keys.passwords import WeakPassword, check_password
from client.keys.publishing import Publisher
from client.keys.verifying import Verifier
from client.keys.watching import Watch
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
        publisher = Publisher(session, self.own, self.others)
        self.watch = Watch(session, self.own, self.others, publisher, hub, on_unlocked=on_unlocked, now_s=now_s)
        self._changes = Changes(session, self.own, self.others, publisher, self.watch, hub)
        self.account = Account(session, self.own, publisher, self._changes, self.watch)
        self._verifier = Verifier(session, self.others)

    async def _own_changed(self, document: UserKeys | None) -> None:
        await self.watch.own_changed(document)

    # The recovery key.

    @property
    def recovery_key(self) -> str | None:
        """The recovery key's text, from when it is the account's until `confirm_recovery_key`: have it written down."""
        return self.own.ring.recovery_key

    def confirm_recovery_key(self) -> None:
        """The user has it; this device forgets it."""
        self.own.show_recovery_key(None)

    async def new_recovery_key(self, password: str) -> str:
        """Another recovery key; the old one opens nothing any more. Raises WrongSecret."""
        return await self._changes.new_recovery_key(await self._secret(password))

    # The vault.

    @property
    def is_locked(self) -> bool:
        """Whether this device lacks a key of its user: then some messages do not open before `unlock`."""
        return self.watch.is_locked

    async def unlock(self, password: str) -> None:
        """Get from the vault what this device lacks. Raises WrongSecret."""
        await self.account.join(await self._secret(password))

    async def check(self, password: str) -> None:
        """Close in the document what was signed out without the password; those devices get no key from then on."""
        await self.unlock(password)

    async def change_password(
        self, old: str | None, new: str, *, recovery_key: str | None = None, check_strength: bool = True
    ) -> None:
        """Another password, for signing in and for the vault. The recovery key does as well as the old one.

        Raises WeakPassword, WrongSecret, BadRecoveryKey.
        """
        if check_strength:
            check_password(new, self._session.signed_in.username)
        if recovery_key is not None:
            secret = Secret(recovery_key=recovery.from_text(recovery_key))
        elif old is not None:
            secret = await self._secret(old)
        else:
            raise LetterlockError("the old password or the recovery key is needed")
        await self._changes.change_password(secret, new, self.strength)

    async def revoke_device(self, device: DeviceId, password: str) -> None:
        """Sign another device out, and keep it from everything that is sealed from now on. Raises WrongSecret."""
        await self._changes.revoke_device(device, await self._secret(password))

    async def reset(self, password: str) -> str:
        """Give up all keys and begin again with a new identity, when neither password nor recovery key opens the vault.

        Devices that sign in later read nothing that was sealed before; contacts are warned. Returns the new recovery key.
        """
        return await self._changes.reset(await self._secret(password))

    async def _secret(self, password: str) -> Secret:
        return await password_of(self._session, self._session.signed_in.username, password)

    def protect(self, passphrase: str | None) -> None:
        """Have this device's keys rest under a passphrase (None: none), which `Client` then asks for."""
        self.own.protect(passphrase, strength=self.strength)

    # Verifying others.

    async def safety_number(self, user: UserId) -> str:
        """60 digits, the same for both: compare them over another channel. Raises LetterlockError without the user's keys."""
        return await self._verifier.safety_number(user)

    async def verify(self, user: UserId, on: bool = True, *, number: str | None = None) -> None:
        """The user has compared the safety number that was shown last (or this one); or takes that back (`on=False`).

        Raises IdentityChanged when the keys are others than those that were compared.
        """
        await self._verifier.verify(user, number, on=on)

    def qr_text(self) -> str:
        """What a code says that the other one scans. Raises LetterlockError before there are keys."""
        return self._verifier.code()

    async def scanned(self, text: str) -> UserId:
        """Somebody's code was scanned from their screen: they are verified. Raises BadEncoding, IdentityChanged."""
        return await self._verifier.scanned(text)

    def is_verified(self, user: UserId) -> bool:
        """Whether the present identity of this user was compared."""
        return self.others.is_verified(user)

    def is_held(self, user: UserId) -> bool:
        """Whether nothing is sent to this user before the new identity is compared."""
        return self.others.is_held(user)

    def held(self) -> set[UserId]:
        """All of these."""
        return self.others.held()
