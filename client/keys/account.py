"""The account's keys, made at sign-up and brought to every device that signs in (protocol §6.1 to §6.3).

    register   secrets made and kept here  →  setup  →  the recovery key, until the user has it
    sign in    vault opened and checked  →  this device listed, what is due done  →  identity forgotten

Whatever is cut off here is finished by doing it again: `register` with the same name and password, or, once the device
is signed in, `unlock`.
"""

from client.crypto import recovery, userkeys, vault
from client.crypto.errors import RolledBack
from client.crypto.kdf import STANDARD, Kdf, Strength
from client.crypto.userkeys import UserKeys
from client.errors import LetterlockError, MalformedFrame, Refused
from client.keys.changing import TRIES, Changes, Step, next_key
from client.keys.keyring import Keyring, Pending
from client.keys.opening import Opened, Secret, password_of, split
from client.keys.passwords import check_password
from client.keys.publishing import Publisher
from client.keys.rotation import is_old
from client.keys.watching import Watch
from client.protocol.answers import SignedIn
from client.protocol.ids import DeviceId
from client.session import Session


class Account:
    """Signing up and in. All may raise Refused, Unreachable, SignedOut, and CryptoError when the server is not to be believed."""

    def __init__(
        self, session: Session, keyring: Keyring, publisher: Publisher, changes: Changes, watch: Watch
    ) -> None:
        self._session = session
        self._keyring = keyring
        self._publisher = publisher
        self._changes = changes
        self._watch = watch

    async def register(
        self, username: str, password: str, *, device_name: str, strength: Strength = STANDARD,
        check_strength: bool = True,
    ) -> SignedIn:  # fmt: skip
        """Make an account with this as its first device, and its keys. Raises WeakPassword."""
        if check_strength:
            check_password(password, username)
        signed_in, secret = await self._registered_before(username, password, device_name)
        is_new = signed_in is None
        if signed_in is None:
            secret = await split(password, Kdf.fresh(strength))
            assert secret.kdf is not None
            self._keyring.registers(username, secret.kdf)
            form = {"username": username, "device_name": device_name, "kdf": secret.kdf.json()}
            signed_in = await self._session.enter("accounts/register", {**form, **secret.proof("password")})
        await self.join(secret, is_new=is_new)
        return signed_in

    async def _registered_before(
        self, username: str, password: str, device_name: str
    ) -> tuple[SignedIn | None, Secret]:
        """The sign-in to an account that this device made without hearing of it; None when it did not."""
        begun = self._keyring.ring.registering
        if begun is None or begun["username"] != username:
            return None, Secret()
        secret = await split(password, Kdf.read(begun["kdf"]))
        form = {"username": username, "device_name": device_name, **secret.proof("password")}
        try:
            return await self._session.enter("accounts/sign-in", form), secret
        except Refused as refusal:
            if refusal.code != "bad_credentials":
                raise
        return None, Secret()

    async def sign_in(self, username: str, password: str, *, device_name: str) -> SignedIn:
        """Make this a device of an account, which can read all that was ever sealed for its user."""
        secret = await password_of(self._session, username, password)
        form = {"username": username, "device_name": device_name, **secret.proof("password")}
        signed_in = await self._session.enter("accounts/sign-in", form)
        await self.join(secret)
        return signed_in

    async def recover(
        self, username: str, text: str, *, device_name: str, new_password: str | None, strength: Strength,
        check_strength: bool = True,
    ) -> SignedIn:  # fmt: skip
        """The same with the recovery key, perhaps with another password from now on."""
        key = recovery.from_text(text)
        if new_password is not None and check_strength:
            check_password(new_password, username)
        form = {"username": username, "recovery": recovery.auth_of(key), "device_name": device_name}
        signed_in = await self._session.enter("accounts/sign-in", form)
        secret = Secret(recovery_key=key)
        await self.join(secret)
        if new_password is not None:
            await self._changes.change_password(secret, new_password, strength)
        return signed_in

    async def join(self, secret: Secret, *, is_new: bool = False) -> None:
        """Have all the user's keys on this device, and the device on the list; with what is due while the vault is open.

        `is_new`: the account has just been made, and has no keys yet.
        """
        for attempt in range(1, TRIES + 1):
            try:
                if (is_new and attempt == 1) or not await self._changes.publish(secret, self._joined):
                    await self._set_up(secret)
            except Refused as refusal:
                # Two devices that found no keys have both made some.
                if refusal.code != "already_set_up" or attempt == TRIES:
                    raise
            else:
                break
        self._watch.unlocked()

    # Joining.

    async def _joined(self, opened: Opened) -> Step | None:
        """List this device, close what was signed out elsewhere, and replace an old encryption key."""
        me, now_s = self._session.signed_in, self._watch.now_s()
        self._keyring.begin(me.device)
        self._keyring.only(*opened.keys)
        content, listed = opened.document.next(), opened.document.device(me.device)
        gone = await self._signed_out(opened.document)
        for device in gone:
            content = content.with_revoked(device, self._watch.until_s())
        if listed is None:
            if len(content.devices) >= userkeys.MAX_DEVICES:
                raise LetterlockError("too many devices are listed")
            content = content.with_device(self._keyring.listing(now_s))
        # Only beside a listing: without a new date in the document, nobody could tell that the key is new.
        is_due = listed is None and await is_old(self._session, opened.document, now_s)
        if listed is not None and not gone:
            return None
        return Step(content, next_key(opened) if gone or is_due else None)

    async def _signed_out(self, document: UserKeys) -> list[DeviceId]:
        """Devices that are listed as live and have no session any more. This one has."""
        answer = await self._session.request("GET", "devices")
        match answer:
            case {"devices": [*devices]} if all(isinstance(device, dict) for device in devices):
                live = {device.get("id") for device in devices} | {self._session.signed_in.device}
                return [device.id for device in document.live if device.id not in live]
        raise MalformedFrame("the server does not tell the user's devices")

    async def _set_up(self, secret: Secret) -> None:
        """The account has no keys: it is new, or its maker was cut off. Raises RolledBack if this device knows better."""
        me = self._session.signed_in
        if secret.password is None or secret.kdf is None:
            raise LetterlockError("this account has no keys yet: sign in with the password")
        if self._watch.document is not None:
            raise RolledBack("the server says that this user never had keys")
        self._keyring.begin(me.device)
        key = recovery.new()
        opened = vault.new(me.user, secret.kdf, secret.password.wrap, key)
        held = opened.secrets
        content = userkeys.first(
            me.user, held.identity_public, held.newest.announced, self._keyring.listing(self._watch.now_s())
        )
        body = {
            "userkeys": content.sign(held.identity).json(), "vault": opened.json(), "recovery_auth": recovery.auth_of(key),
        }  # fmt: skip
        async with self._publisher.lock:
            await self._publisher.publish(
                Pending("PUT", "e2ee/setup", body, me.device, key=held.newest, recovery_key=recovery.to_text(key))
            )
