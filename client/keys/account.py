"""The account's keys: made at sign-up, brought to a new device, changed with the vault open (protocol §6.1 to §6.3).

    register   secrets made and kept here  →  setup  →  the recovery key, until the user has it
    sign in    vault opened and checked  →  this device listed  →  identity forgotten
    a change   vault opened  →  next document, and key, vault and boxes that go with it  →  one request

A request that changes keys is kept before it is sent. If its answer is lost it is sent again as it was, and answered as
the first time; if another device's change came between, the vault is opened again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from zxcvbn import zxcvbn

from client.crypto import boxes, recovery, userkeys, vault
from client.crypto.archives import archive
from client.crypto.encoding import b64, unb64
from client.crypto.errors import CryptoError
from client.crypto.kdf import STANDARD, Kdf, Strength
from client.crypto.keys import EncryptionKey, signing_public
from client.crypto.userkeys import Content, DeviceKey, UserKeys
from client.errors import LetterlockError, Refused
from client.events import Hub, KeysLocked
from client.keys.directory import Directory
from client.keys.keyring import Keyring
from client.keys.opening import Opened, Secret, open_vault, own_document, password_of, split
from client.protocol.answers import SignedIn
from client.protocol.ids import DeviceId
from client.session import Session

ROTATE_S: Final = 30 * 86_400  # an encryption key that is older is replaced at the next sign-in
TRIES: Final = 5
LEAST_SCORE: Final = 3  # of zxcvbn's 0 to 4
HISTORY: Final = 100  # documents before the newest that the server keeps


class WeakPassword(LetterlockError):
    """The password could be guessed; the text says how to make it better."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be published next; `key`: another encryption key."""

    content: Content
    key: EncryptionKey | None = None


def check_password(password: str, *names: str) -> None:
    """Raises WeakPassword for one that guessing would find; `names` are what a guesser would try first."""
    found = zxcvbn(password[:100], user_inputs=list(names))
    if found["score"] < LEAST_SCORE:
        advice = [found["feedback"]["warning"], *found["feedback"]["suggestions"]]
        raise WeakPassword(" ".join(text.rstrip(".") + "." for text in advice if text) or "Use a longer password.")


class Account:
    """The flows. All may raise Refused, Unreachable, SignedOut; with a vault also CryptoError. `now_s`: the device's clock.

    `on_unlocked`: keys have come by which more can be opened.
    """

    def __init__(
        self, session: Session, keyring: Keyring, directory: Directory, hub: Hub, *, on_unlocked: Callable[[], None],
        now_s: Callable[[], int],
    ) -> None:  # fmt: skip
        self._session = session
        self._keyring = keyring
        self._directory = directory
        self._hub = hub
        self._on_unlocked = on_unlocked
        self._now_s = now_s
        self._told_locked = False

    # Signing up and in.

    async def register(
        self,
        username: str,
        password: str,
        *,
        device_name: str,
        strength: Strength = STANDARD,
        check_strength: bool = True,
    ) -> SignedIn:
        """Make an account with this as its first device, and its keys."""
        if check_strength:
            check_password(password, username)
        parameters = Kdf.fresh(strength)
        secret = Secret(password=await split(password, parameters))
        assert secret.password is not None
        form = {
            "username": username, "password": secret.password.auth, "device_name": device_name, "kdf": parameters.json(),
        }  # fmt: skip
        signed_in = await self._session.enter("accounts/register", form)
        await self._set_up(secret, parameters)
        return signed_in

    async def sign_in(self, username: str, password: str, *, device_name: str) -> SignedIn:
        """Make this a device of an account, which can read all that was ever sealed for its user."""
        secret = await password_of(self._session, username, password)
        assert secret.password is not None
        form = {"username": username, "password": secret.password.auth, "device_name": device_name}
        signed_in = await self._session.enter("accounts/sign-in", form)
        await self.join(secret)
        return signed_in

    async def recover(
        self, username: str, text: str, *, device_name: str, new_password: str | None, strength: Strength
    ) -> SignedIn:
        """The same with the recovery key, perhaps with another password from now on."""
        key = recovery.from_text(text)
        if new_password is not None:
            check_password(new_password, username)
        form = {"username": username, "recovery": recovery.auth_of(key), "device_name": device_name}
        signed_in = await self._session.enter("accounts/sign-in", form)
        secret = Secret(recovery_key=key)
        await self.join(secret)
        if new_password is not None:
            await self._new_password(secret, new_password, strength)
        return signed_in

    async def join(self, secret: Secret) -> None:
        """Have all the user's keys on this device, and the device on the list; with what is due while the vault is open."""
        try:
            await self._change(secret, self._joined)
        except Refused as refusal:
            if refusal.code != "keys_missing" or secret.password is None:
                raise
            # Signed up, and never set up: somebody was cut off in between, or used a client that knows no keys.
            account = await self._session.request("GET", "account")
            parameters = Kdf.read(await self._session.ask(f"accounts/kdf?username={account['username']}"))
            await self._set_up(secret, parameters)
            return
        self._unlocked()

    async def _joined(self, opened: Opened) -> Step | None:
        """List this device, close what was signed out elsewhere, and replace an old encryption key."""
        me = self._session.signed_in
        self._keyring.begin(me.device)
        self._keyring.add(*opened.keys)
        content, listed = opened.document.next(), opened.document.device(me.device)
        gone = await self._signed_out(opened.document)
        for device in gone:
            content = content.with_revoked(device, self._now_s())
        if listed is None:
            if len(content.devices) >= userkeys.MAX_DEVICES:
                raise LetterlockError("too many devices are listed")
            content = content.with_device(self._listing(me.device))
        is_old = listed is None and await self._is_old(opened.document)
        if listed is not None and not gone and not is_old:
            return None
        return Step(content, _next_key(opened) if gone or is_old else None)

    def _listing(self, device: DeviceId) -> DeviceKey:
        box = self._keyring.box_key.public_key().public_bytes_raw()
        return DeviceKey(device, signing_public(self._keyring.device_key), self._now_s(), None, box)

    async def _signed_out(self, document: UserKeys) -> list[DeviceId]:
        """Devices that are listed as live and have no session any more."""
        answer = await self._session.request("GET", "devices")
        live = {device["id"] for device in answer["devices"]}
        return [device.id for device in document.live if device.id not in live]

    async def _is_old(self, document: UserKeys) -> bool:
        """Whether the encryption key is older than 30 days, as far as documents tell when it was made."""
        due = self._now_s() - ROTATE_S
        if min(device.since for device in document.devices) > due and document.pruned is None:
            return False
        # The first document with this version: they rise together. Its newest date is when the key was made.
        low, high, first = max(1, document.seq - HISTORY), document.seq, document
        while low < high and _last_change(first) > due:
            middle = (low + high) // 2
            older = await self._own_at(middle)
            if older is not None and older.encryption.version == document.encryption.version:
                high, first = middle, older
            else:
                low = middle + 1
        return _last_change(first) <= due

    async def _own_at(self, seq: int) -> UserKeys | None:
        user = self._session.signed_in.user
        try:
            answer = await self._session.request("GET", f"e2ee/users/{user}/userkeys/{seq}")
            return userkeys.read(answer.get("userkeys") if isinstance(answer, dict) else None, user)
        except (Refused, CryptoError):
            return None

    # Setting up.

    async def _set_up(self, secret: Secret, parameters: Kdf) -> None:
        me = self._session.signed_in
        assert secret.password is not None
        self._keyring.begin(me.device)
        key = recovery.new()
        opened = vault.new(me.user, parameters, secret.password.wrap, key)
        held = opened.secrets
        document = userkeys.first(me.user, held.identity_public, held.newest.announced, self._listing(me.device)).sign(
            held.identity
        )
        body = {"userkeys": document.json(), "vault": opened.json(), "recovery_auth": recovery.auth_of(key)}
        await self._publish("PUT", "e2ee/setup", body, None, held.newest, recovery_key=recovery.to_text(key))
        self._unlocked()

    # Changes with the vault open.

    async def revoke_device(self, device: DeviceId, secret: Secret) -> None:
        """Sign another device out, and give it no key that is made from now on."""

        async def revoked(opened: Opened) -> Step | None:
            found = opened.document.device(device)
            if found is None or found.until is not None:
                return None
            return Step(opened.document.next().with_revoked(device, self._now_s()), _next_key(opened))

        await self._change(secret, revoked)
        # One that was never listed has a session all the same; and doing it twice is harmless.
        await self._session.request("DELETE", f"devices/{device}")

    async def change_password(self, secret: Secret, new: str, strength: Strength) -> None:
        """Another password, for signing in and for the vault in one request."""
        await self._new_password(secret, new, strength)

    async def _new_password(self, secret: Secret, new: str, strength: Strength) -> None:
        parameters = Kdf.fresh(strength)
        keys = await split(new, parameters)

        async def changed(opened: Opened) -> None:
            replaced = opened.vault.next().with_password(parameters, keys.wrap)
            body = {
                **secret.proof("old_auth"), "new_auth": keys.auth, "kdf": parameters.json(), "vault": replaced.json(),
            }  # fmt: skip
            await self._session.request("POST", "account/password", body, repeat=True)

        await self._with_vault(secret, changed)

    async def new_recovery_key(self, secret: Secret) -> str:
        """Another recovery key; the old one opens nothing any more."""
        key = recovery.new()
        assert secret.password is not None

        async def changed(opened: Opened) -> None:
            replaced = opened.vault.next().with_recovery_key(key)
            body = {
                "vault": replaced.json(),
                "auth": secret.proof("auth")["auth"],
                "recovery_auth": recovery.auth_of(key),
            }
            await self._session.request("PUT", "e2ee/vault", body, repeat=True, if_match=opened.vault.version)

        await self._with_vault(secret, changed)
        text = recovery.to_text(key)
        self._keyring.show_recovery_key(text)
        return text

    async def reset(self, secret: Secret, parameters: Kdf) -> str:
        """Begin again with a new identity: what was sealed before is lost to devices that sign in later. The recovery key."""
        me = self._session.signed_in
        assert secret.password is not None
        self._keyring.begin(me.device)
        key = recovery.new()
        opened = vault.new(me.user, parameters, secret.password.wrap, key)
        held = opened.secrets
        document = userkeys.first(me.user, held.identity_public, held.newest.announced, self._listing(me.device)).sign(
            held.identity
        )
        body = {
            "userkeys": document.json(), "vault": opened.json(), "recovery_auth": recovery.auth_of(key),
            "auth": secret.password.auth,
        }  # fmt: skip
        await self._session.request("POST", "e2ee/reset", body, repeat=True)
        self._keyring.only(held.newest)
        self._directory.pin(me.user, document)
        text = recovery.to_text(key)
        self._keyring.show_recovery_key(text)
        self._unlocked()
        return text

    async def _with_vault(self, secret: Secret, change: Callable[[Opened], Awaitable[None]]) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                await change(await open_vault(self._session, secret))
            except Refused as refusal:
                if refusal.code != "version" or attempt == TRIES:
                    raise
            else:
                return

    async def _change(self, secret: Secret, decide: Callable[[Opened], Awaitable[Step | None]]) -> None:
        """Open the vault and publish what `decide` makes of it; again if another device was faster."""
        for attempt in range(1, TRIES + 1):
            opened = await open_vault(self._session, secret)
            self._directory.pin(self._session.signed_in.user, opened.document)
            step = await decide(opened)
            if step is None:
                return
            try:
                await self._put(opened, step)
            except Refused as refusal:
                if refusal.code not in ("seq", "version") or attempt == TRIES:
                    raise
            else:
                return

    async def _put(self, opened: Opened, step: Step) -> None:
        me, content = self._session.signed_in, step.content
        if step.key is not None:
            content = content.with_encryption_key(step.key.announced)
        document = content.sign(opened.vault.secrets.identity)
        body: dict[str, Any] = {"userkeys": document.json()}
        if step.key is not None:
            replaced, page = archive(opened.vault.next(opened.vault.secrets.with_key(step.key)))
            body["vault"] = replaced.json()
            body["boxes"] = {id_: b64(box) for id_, box in boxes.seal_boxes(step.key, content, me.device).items()}
            if page is not None:
                body["archive"] = page.json()
        await self._publish("PUT", "e2ee/userkeys", body, opened.document.seq, step.key)

    # Requests that may have come through.

    async def _publish(
        self,
        method: str,
        path: str,
        body: dict[str, Any],
        if_match: int | None,
        key: EncryptionKey | None,
        **changes: Any,
    ) -> None:
        pending = {
            "method": method, "path": path, "body": body, "if_match": if_match, "device": self._session.signed_in.device,
            "key": None if key is None else [key.version, b64(key.private)],
        }  # fmt: skip
        self._keyring.wait_for(pending, **changes)
        await self.resume()

    async def resume(self) -> None:
        """Send again what may have been sent before this client ended. Raises Refused when it was not taken."""
        pending = self._keyring.ring.pending
        if pending is None:
            return
        if pending["device"] != self._session.signed_in.device:
            self._keyring.wait_for(None)
            return
        try:
            await self._session.request(
                pending["method"], pending["path"], pending["body"], repeat=True, if_match=pending["if_match"]
            )
        except Refused as refusal:
            if not refusal.problem.may_retry:
                self._keyring.wait_for(None)
            raise
        user = self._session.signed_in.user
        if pending["key"] is not None:
            version, private = pending["key"]
            self._keyring.add(EncryptionKey.of(version, unb64(private, 32)))
        self._directory.pin(user, userkeys.read(pending["body"]["userkeys"], user))
        self._keyring.wait_for(None)

    # What other devices of the user do.

    async def own_changed(self, document: UserKeys) -> None:
        """A newer document of the user's own: its encryption key may lie in this device's box."""
        version = document.encryption.version
        if self._keyring.is_made and self._keyring.encryption_key(version) is None:
            await self._take_box(document)
        if self._keyring.is_made and self.is_locked:
            self._tell_locked()

    async def _take_box(self, document: UserKeys) -> None:
        me = self._session.signed_in
        try:
            answer = await self._session.request("GET", "e2ee/box")
            if not isinstance(answer, dict) or answer.get("ver") != document.encryption.version:
                return
            key = boxes.open_box(
                unb64(answer.get("ct"), 80), me.user, me.device, document.encryption, self._keyring.box_key
            )
        except CryptoError:
            return  # whoever sealed it did not have the user's key: the vault has
        except Refused as refusal:
            if refusal.problem.may_retry:
                raise
            return
        self._keyring.add(key)
        self._unlocked()

    @property
    def is_locked(self) -> bool:
        """Whether this device lacks a key of its user, or its place on the list, and needs the vault."""
        if not self._session.is_signed_in:
            return False
        me = self._session.signed_in
        document = self._directory.known(me.user)
        if document is None or self._keyring.device != me.device or not self._keyring.is_made:
            return True
        listed = document.device(me.device)
        is_live = listed is not None and listed.until is None
        return not is_live or self._keyring.lacks(document.encryption.version)

    def _tell_locked(self) -> None:
        if not self._told_locked:
            self._told_locked = True
            self._hub.tell(KeysLocked())

    def _unlocked(self) -> None:
        self._told_locked = False
        self._on_unlocked()

    async def look(self) -> None:
        """Finish what was under way, and see whether the user's keys are others by now. For when the device comes online."""
        try:
            await self.resume()
        except Refused as refusal:
            if refusal.problem.may_retry:
                raise
        if self._keyring.is_made:
            await self._directory.take(self._session.signed_in.user, await own_document(self._session))
        if self.is_locked:
            self._tell_locked()


def _next_key(opened: Opened) -> EncryptionKey:
    return EncryptionKey.fresh(opened.document.encryption.version + 1)


def _last_change(document: UserKeys) -> int:
    """The newest date that a document bears (seconds)."""
    return max(max(device.since, device.until or 0) for device in document.devices)
