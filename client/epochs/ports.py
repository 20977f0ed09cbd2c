"""What sealing needs of the keys: the device's own (client/keys/keyring.py) and others' (client/keys/directory.py)."""

from collections.abc import Collection
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import DeviceKey, UserKeys
from client.protocol.ids import DeviceId, UserId


class OwnKeys(Protocol):
    """The keys of this device and of its user."""

    @property
    def device_key(self) -> Ed25519PrivateKey:
        """Signs epochs and messages."""
        ...

    @property
    def newest_version(self) -> int | None:
        """Of the encryption keys that are here; None: there is none."""
        ...

    def encryption_key(self, version: int) -> EncryptionKey | None:
        """One of them; None: this device does not have it."""
        ...

    def storage_seal(self, secret: bytes) -> bytes:
        """For the store."""
        ...

    def storage_open(self, sealed: bytes) -> bytes:
        """Out of the store again. Raises CryptoError."""
        ...


class OthersKeys(Protocol):
    """Users' key documents, checked against what is pinned; one's own among them."""

    def known(self, user: UserId) -> UserKeys | None:
        """The newest document that is here."""
        ...

    async def get(self, users: Collection[UserId], *, fresh: bool = False) -> dict[UserId, UserKeys]:
        """Documents, asked for if need be, or (`fresh`) in any case; users whose document cannot be had are left out."""
        ...

    def device(self, user: UserId, device: DeviceId) -> DeviceKey | None:
        """A device, as far as it is known."""
        ...

    async def find_device(self, user: UserId, device: DeviceId) -> DeviceKey | None:
        """A device, also one that is not listed any more."""
        ...

    def held(self) -> Collection[UserId]:
        """For whom nothing is to be sealed: verified once, and then another identity key came."""
        ...
