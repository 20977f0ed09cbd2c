"""Whether this device has all of its user's keys, and what other devices of the user do about them."""

from collections.abc import Callable

from client.crypto import boxes
from client.crypto.encoding import unb64
from client.crypto.errors import CryptoError, IdentityChanged
from client.crypto.userkeys import UserKeys
from client.errors import Refused
from client.events import Hub, KeysLocked
from client.keys.directory import Directory
from client.keys.keyring import Keyring
from client.keys.opening import own_document
from client.keys.publishing import Publisher
from client.session import Session


class Watch:
    """`on_unlocked`: keys have come by which more can be opened. `now_s`: the device's clock, in seconds."""

    def __init__(
        self, session: Session, keyring: Keyring, directory: Directory, publisher: Publisher, hub: Hub, *,
        on_unlocked: Callable[[], None], now_s: Callable[[], int],
    ) -> None:  # fmt: skip
        self._session = session
        self._keyring = keyring
        self._directory = directory
        self._publisher = publisher
        self._hub = hub
        self._on_unlocked = on_unlocked
        self.now_s = now_s
        self._told_locked = False
        self._is_in_doubt = False

    def until_s(self) -> int:
        """From when on a device that is revoked now has signed nothing (seconds).

        What it sent before is verified by that against the server's clock, so no earlier than the next second, nor than
        what has arrived here, if this device's clock is slow.
        """
        return max(self.now_s() + 1, self._keyring.newest_s() + 1)

    @property
    def document(self) -> UserKeys | None:
        """The user's own document, as this device knows it."""
        return self._directory.known(self._session.signed_in.user) if self._session.is_signed_in else None

    @property
    def is_locked(self) -> bool:
        """Whether this device lacks a key of its user, or its place on the list, and needs the vault."""
        if not self._session.is_signed_in:
            return False
        me, document = self._session.signed_in, self.document
        if document is None or self._keyring.device != me.device or not self._keyring.is_made or self._is_in_doubt:
            return True
        listed = document.device(me.device)
        is_live = listed is not None and listed.until is None
        return not is_live or self._keyring.lacks(document.encryption.version)

    def unlocked(self) -> None:
        """The vault was opened, or a key has come."""
        self._told_locked = self._is_in_doubt = False
        self._on_unlocked()

    def _tell_if_locked(self) -> None:
        if self.is_locked and not self._told_locked:
            self._told_locked = True
            self._hub.tell(KeysLocked())

    async def look(self) -> None:
        """Finish what was under way, and see whether the user's keys are others by now. For when the device comes online."""
        async with self._publisher.lock:
            await self._publisher.finish()
        if self._keyring.is_made:
            await self._look_at_own()
        self._tell_if_locked()

    async def _look_at_own(self) -> None:
        document = await own_document(self._session)
        try:
            if document is not None:
                await self._directory.take(document.user, document)
        except IdentityChanged:
            await self.own_changed(None)

    async def own_changed(self, document: UserKeys | None) -> None:
        """A newer document of the user's own: its encryption key may lie in this device's box.

        None: one of another identity. The vault knows whether that is the user's own doing, and nobody else does.
        """
        if not self._keyring.is_made:
            return
        if document is None:
            self._is_in_doubt = True
        elif self._keyring.encryption_key(document.encryption.version) is None:
            await self._take_box(document)
        self._tell_if_locked()

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
        self.unlocked()
