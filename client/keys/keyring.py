"""This device's own keys, at rest in its store: for signing, for boxes, all versions of its user's encryption key, and
one for what the store keeps sealed. With a passphrase they rest under Argon2id; without, the file's mode protects them.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from client.crypto import aead
from client.crypto.archives import read_keys, write_keys
from client.crypto.encoding import b64, ctx, unb64
from client.crypto.errors import BadSeal, WrongSecret
from client.crypto.kdf import Kdf, Strength, split
from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import DeviceKey
from client.errors import LetterlockError
from client.protocol.ids import DeviceId
from client.store.keys import Keys as KeyStore

MOST_VERSIONS: Final = 100_000
_AT_REST: Final = ctx("keyring")
_STORAGE: Final = ctx("store")


class PassphraseNeeded(LetterlockError):
    """The keys in this store are under a passphrase."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that may have come through, and what it brings if it did: an encryption key, a recovery key (its text).

    `device`: who sends it. `is_reset`: the key is the first one of a new identity. `is_whole`: nothing was left out of what
    is kept, so it can be sent again.
    """

    method: str
    path: str
    body: dict[str, Any] = field(repr=False)
    device: DeviceId
    if_match: int | None = None
    key: EncryptionKey | None = field(default=None, repr=False)
    recovery_key: str | None = field(default=None, repr=False)
    is_reset: bool = False
    is_whole: bool = True

    def json(self) -> dict[str, Any]:
        """As it is written."""
        key = None if self.key is None else write_keys([self.key])
        return {name: getattr(self, name) for name in self.__slots__} | {"key": key}

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Self:
        """As it was written."""
        return cls(**(kept | {"key": None if kept["key"] is None else read_keys(kept["key"], 1)[0]}))


@dataclass(frozen=True)
class Ring:
    """What is kept.

    `recovery_key`: its text, until the user has it. `registering`: the name under which an account may just have been made,
    and the parameters of its password.
    """

    storage: bytes = field(repr=False)
    device: DeviceId | None = None
    signing: bytes | None = field(default=None, repr=False)
    box: bytes | None = field(default=None, repr=False)
    encryption: tuple[EncryptionKey, ...] = field(default=(), repr=False)
    recovery_key: str | None = field(default=None, repr=False)
    pending: Pending | None = field(default=None, repr=False)
    registering: dict[str, Any] | None = None

    def json(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "storage": b64(self.storage),
            "device": self.device,
            "signing": None if self.signing is None else b64(self.signing),
            "box": None if self.box is None else b64(self.box),
            "encryption": write_keys(self.encryption),
            "recovery_key": self.recovery_key,
            "pending": None if self.pending is None else self.pending.json(),
            "registering": self.registering,
        }

    @classmethod
    def read(cls, kept: dict[str, Any]) -> Self:
        """As it was written."""
        return cls(
            unb64(kept["storage"], aead.KEY),
            kept["device"],
            None if kept["signing"] is None else unb64(kept["signing"], 32),
            None if kept["box"] is None else unb64(kept["box"], 32),
            read_keys(kept["encryption"], MOST_VERSIONS) if kept["encryption"] else (),
            kept["recovery_key"],
            None if kept["pending"] is None else Pending.read(kept["pending"]),
            kept["registering"],
        )


class Keyring:
    """The keys of one device. Raises PassphraseNeeded, and WrongSecret for another passphrase. Every change is on the disk
    before it returns.
    """

    def __init__(self, store: KeyStore, passphrase: str | None = None, *, strength: Strength | None = None) -> None:
        self._store = store
        # Called before encryption keys go that the vault has no more.
        self.before_leaving: Callable[[], None] = lambda: None
        self._kdf: Kdf | None = None
        self._secret: bytes | None = None
        kept = store.ring()
        if kept is None:
            self.ring = Ring(os.urandom(aead.KEY))
        else:
            self.ring = Ring.read(self._opened(json.loads(kept), passphrase))
        if passphrase is not None and self._secret is None:
            self.protect(passphrase, strength=strength)

    def _opened(self, kept: dict[str, Any], passphrase: str | None) -> dict[str, Any]:
        if "ring" in kept:
            return dict(kept["ring"])
        if passphrase is None:
            raise PassphraseNeeded("the keys in this store are under a passphrase")
        self._kdf = Kdf.read(kept["kdf"])
        self._secret = split(passphrase, self._kdf).wrap
        try:
            return dict(json.loads(aead.open(self._secret, unb64(kept["ct"]), _AT_REST)))
        except BadSeal:
            raise WrongSecret("this passphrase does not open the keys of this store") from None

    def protect(self, passphrase: str | None, *, strength: Strength | None = None) -> None:
        """Have the keys rest under this passphrase from now on; None: under none. 0.2 s."""
        self._kdf = None if passphrase is None else Kdf.fresh(*([strength] if strength else []))
        self._secret = None if passphrase is None or self._kdf is None else split(passphrase, self._kdf).wrap
        self._keep(self.ring)
        self._store.scrub()

    def _keep(self, ring: Ring) -> None:
        if self._secret is None or self._kdf is None:
            kept: dict[str, Any] = {"ring": ring.json()}
        else:
            sealed = aead.seal(self._secret, json.dumps(ring.json()).encode(), _AT_REST)
            kept = {"kdf": self._kdf.json(), "ct": b64(sealed)}
        self._store.keep_ring(json.dumps(kept))
        self.ring = ring

    # This device.

    @property
    def is_made(self) -> bool:
        """Whether this device has keys."""
        return self.ring.signing is not None

    @property
    def device(self) -> DeviceId | None:
        """For which device the keys were made."""
        return self.ring.device

    @property
    def device_key(self) -> Ed25519PrivateKey:
        """Signs epochs and messages. Raises LetterlockError before `begin`."""
        if self.ring.signing is None:
            raise LetterlockError("this device has no keys yet")
        return Ed25519PrivateKey.from_private_bytes(self.ring.signing)

    @property
    def box_key(self) -> X25519PrivateKey:
        """Opens boxes. Raises LetterlockError before `begin`."""
        if self.ring.box is None:
            raise LetterlockError("this device has no keys yet")
        return X25519PrivateKey.from_private_bytes(self.ring.box)

    def listing(self, since_s: int) -> DeviceKey:
        """This device as its user's document lists it."""
        assert self.ring.device is not None, "the keys were made for a device"
        public, box = self.device_key.public_key(), self.box_key.public_key()
        return DeviceKey(self.ring.device, public.public_bytes_raw(), since_s, None, box.public_bytes_raw())

    def begin(self, device: DeviceId) -> None:
        """Keys for this device, unless it has them. Those of an earlier sign-in are gone."""
        if self.ring.device == device and self.is_made:
            return
        signing, box = Ed25519PrivateKey.generate().private_bytes_raw(), X25519PrivateKey.generate().private_bytes_raw()
        self._keep(replace(self.ring, device=device, signing=signing, box=box, encryption=(), registering=None))

    def forget(self) -> None:
        """Signed out: nothing that comes can be opened, nothing can be signed. What the store keeps sealed stays so."""
        self._keep(Ring(self.ring.storage))
        self._store.scrub()

    # The user's encryption keys.

    @property
    def newest_version(self) -> int | None:
        """Of the encryption keys that are here; None: there is none."""
        return max((key.version for key in self.ring.encryption), default=None)

    def encryption_key(self, version: int) -> EncryptionKey | None:
        """One of them; None: it is not here."""
        return next((key for key in self.ring.encryption if key.version == version), None)

    def lacks(self, newest: int) -> bool:
        """Whether one of the versions 1 to `newest` is not here."""
        return not set(range(1, newest + 1)) <= {key.version for key in self.ring.encryption}

    def add(self, *keys: EncryptionKey) -> bool:
        """Keep these too. False when all of them were here."""
        merged = {key.version: key for key in (*self.ring.encryption, *keys)}
        found = tuple(merged[version] for version in sorted(merged))
        if found == self.ring.encryption:
            return False
        self._keep(replace(self.ring, encryption=found))
        return True

    def only(self, *keys: EncryptionKey) -> None:
        """Keep these and no others: so the vault has them."""
        if keys != self.ring.encryption:
            self._keep(replace(self.ring, encryption=keys))

    # What is under way.

    def registers(self, username: str, kdf: Kdf) -> None:
        """An account is being made."""
        self._keep(replace(self.ring, registering={"username": username, "kdf": kdf.json()}))

    def wait_for(self, pending: Pending | None) -> None:
        """Note the request that is sent next; None: it came to nothing."""
        if pending != self.ring.pending:
            self._keep(replace(self.ring, pending=pending))

    def settle(self, pending: Pending) -> None:
        """It has been taken: what it brings is this device's from now on."""
        if pending.is_reset:
            self.before_leaving()
        kept = () if pending.is_reset else self.ring.encryption
        merged = {key.version: key for key in (*kept, *([pending.key] if pending.key else []))}
        self._keep(replace(
            self.ring, pending=None, encryption=tuple(merged[version] for version in sorted(merged)),
            recovery_key=pending.recovery_key or self.ring.recovery_key,
        ))  # fmt: skip

    def show_recovery_key(self, text: str | None) -> None:
        """Keep the recovery key's text until the user has written it down; None: it is."""
        self._keep(replace(self.ring, recovery_key=text))

    def newest_s(self) -> int:
        """The newest time that the server has put on a message in this store (seconds); 0 without one."""
        return self._store.newest_s()

    # For the store.

    def storage_seal(self, secret: bytes) -> bytes:
        """Bytes as the store keeps them."""
        if self._store.ring() is None:
            self._keep(self.ring)
        return aead.seal(self.ring.storage, secret, _STORAGE)

    def storage_open(self, sealed: bytes) -> bytes:
        """Out of the store again. Raises BadSeal."""
        return aead.open(self.ring.storage, sealed, _STORAGE)
