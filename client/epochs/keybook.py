"""The keys of epochs, out of the store: each is verified when it is first used, and never believed before (protocol §6.5).

record: signed by the creator's device, for this room and number, behind the record that is known before it
→  wrap: opens with the user's encryption key  →  key: the one that the record commits to  →  kept, sealed for the store
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from client.crypto import epochs
from client.crypto.encoding import Signed, digest
from client.crypto.epochs import EpochRecord
from client.crypto.errors import BadEpoch, CryptoError
from client.crypto.messages import EpochKey
from client.crypto.userkeys import DeviceKey
from client.epochs.ports import OthersKeys, OwnKeys
from client.errors import CannotOpen
from client.protocol.ids import DeviceId, RoomId, UserId
from client.session import Session
from client.store import Store
from client.store.epochs import EpochRow

IN_MEMORY: Final = 2_000  # keys, and devices


class KeyBook:
    """Opens from the store alone: what is not there, `Fetcher` gets before it is needed."""

    def __init__(self, store: Store, session: Session, own: OwnKeys, others: OthersKeys) -> None:
        self._store = store
        self._session = session
        self._own = own
        self._others = others
        self._keys: dict[tuple[RoomId, int], EpochKey] = {}
        self._devices: dict[tuple[UserId, DeviceId], DeviceKey] = {}

    def forget(self, users: Iterable[UserId]) -> None:
        """Their devices may be others now."""
        gone = set(users)
        self._devices = {key: device for key, device in self._devices.items() if key[0] not in gone}

    def device(self, user: UserId, device: DeviceId) -> DeviceKey:
        """The device of a user, as the user has signed it. Raises CannotOpen."""
        found = self._devices.get((user, device))
        if found is None:
            found = self._others.device(user, device)
            if found is None:
                raise CannotOpen("not_verified", "its device is not one that the user has signed")
            if len(self._devices) >= IN_MEMORY:
                self._devices.clear()
            self._devices[user, device] = found
        return found

    def record(self, room: RoomId, epoch: int) -> EpochRecord:
        """The record of an epoch. Raises CannotOpen."""
        row = self._store.epochs.find(room, epoch)
        if row is None:
            raise CannotOpen("no_key", "there is no record of this epoch")
        return self._verified(row)

    def _verified(self, row: EpochRow) -> EpochRecord:
        creator = self.device(row.creator, row.device)
        envelope = Signed(epochs.KIND, row.payload, row.signature).json(row.device)
        try:
            record = epochs.read(
                envelope, room=row.room, epoch=row.epoch, creator=row.creator, device=row.device, public=creator.public
            )
        except CryptoError as error:
            raise CannotOpen("not_verified", str(error)) from error
        if not creator.is_live(record.ts * 1000):
            raise CannotOpen("not_verified", "the epoch was made by a device that was revoked before")
        before = self._store.epochs.find(row.room, row.epoch - 1)
        if before is not None and record.prev != digest(before.payload):
            raise CannotOpen("not_verified", "the epoch follows another one than the one before it")
        return record

    def key(self, room: RoomId, epoch: int) -> EpochKey:
        """The key of an epoch. Raises CannotOpen."""
        found = self._keys.get((room, epoch))
        if found is None:
            found = self._stored(room, epoch)
            if len(self._keys) >= IN_MEMORY:
                self._keys.clear()
            self._keys[room, epoch] = found
        return found

    def _stored(self, room: RoomId, epoch: int) -> EpochKey:
        row = self._store.epochs.find(room, epoch)
        if row is None:
            raise CannotOpen("no_key", "there is no record of this epoch")
        try:
            if row.key is not None:
                return EpochKey(room, epoch, self._own.storage_open(row.key))
            key = self._opened(row)
            self._store.epochs.opened(room, epoch, self._own.storage_seal(key.secret))
            return key
        except BadEpoch as error:
            raise CannotOpen("no_key", f"what was wrapped for this user is no key: {error}") from error
        except CryptoError as error:
            raise CannotOpen("locked", str(error)) from error

    def _opened(self, row: EpochRow) -> EpochKey:
        if row.wrap is None or row.wrap_version is None:
            raise CannotOpen("no_key", "the epoch's key was not wrapped for this user")
        record = self._verified(row)
        encryption_key = self._own.encryption_key(row.wrap_version)
        if encryption_key is None:
            raise CannotOpen("locked", "this device lacks the encryption key")
        return epochs.open_wrap(record, row.wrap, self._session.signed_in.user, encryption_key)

    def open_all(self) -> None:
        """Open what was not needed yet, because the encryption keys that can are about to go: 0.2 ms each."""
        for room, epoch in self._store.epochs.closed():
            with suppress(CannotOpen):
                self.key(room, epoch)

    def made(self, made: epochs.NewEpoch) -> None:
        """Keep an epoch that this device has made; part of the caller's transaction."""
        record, user = made.record, self._session.signed_in.user
        version = next(line.version for line in made.roster if line.user == user)
        row = EpochRow(
            record.room, record.epoch, record.creator, record.device, record.signed.payload, record.signed.signature,
            version, made.wraps[user], self._own.storage_seal(made.key.secret),
        )  # fmt: skip
        self._store.epochs.put([row])
        self._keys[record.room, record.epoch] = made.key
