"""A user's keys as one document, signed by the identity key and chained by hashes (docs/protocol.md §6.6).

    keys = first(user, secrets.identity_public, secrets.newest.announced, device).sign(secrets.identity)
    keys = keys.next().with_device(other).sign(identity)
    keys = keys.next().with_revoked(device, now_s).with_encryption_key(newer.announced).sign(identity)
    keys = read(envelope, user)                                          # somebody else's

`next()` leaves revoked devices out, and says so in `pruned`, only when the list is full.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from client.crypto.encoding import PROTOCOL, Signed, b64, parse, sign, unb64
from client.crypto.errors import BadChange, BadEncoding, WrongUser
from client.crypto.forms import MAX_TIME, digest_or_none, fields, identifier, integer, listing, time, version_1
from client.crypto.keys import X25519, PublicEncryptionKey, check_sealing_key, check_signing_key
from client.protocol.ids import DeviceId, UserId

KIND: Final = f"{PROTOCOL}.userkeys"
KEYID: Final = "uik"
MAX_LIVE: Final = 50
MAX_DEVICES: Final = 100


@dataclass(frozen=True)
class DeviceKey:
    """A device's signing key (32 bytes), and its box key (X25519, 32 bytes) if it has one. Times in seconds since 1970."""

    id: DeviceId
    key: bytes
    since: int
    until: int | None = None
    box: bytes | None = None

    @cached_property
    def public(self) -> Ed25519PublicKey:
        """The signing key as `cryptography` has it."""
        return Ed25519PublicKey.from_public_bytes(self.key)

    def is_live(self, at_ms: int | None = None) -> bool:
        """Not revoked, or not yet revoked when the server took something (ms)."""
        return self.until is None or (at_ms is not None and at_ms < self.until * 1000)


@dataclass(frozen=True, slots=True)
class Pruned:
    """Where the devices are listed that were left out: the document with this number and hash (32 bytes)."""

    seq: int
    digest: bytes


@dataclass(frozen=True)
class Content:
    """What a document says. `prev`: SHA-256 of the last one's payload, empty for the first."""

    user: UserId
    seq: int
    prev: bytes
    identity: bytes
    encryption: PublicEncryptionKey
    devices: tuple[DeviceKey, ...]
    pruned: Pruned | None = None

    @property
    def live(self) -> tuple[DeviceKey, ...]:
        """The devices that may send."""
        return tuple(device for device in self.devices if device.until is None)

    def device(self, id: DeviceId) -> DeviceKey | None:
        """The device as it is listed here; one that was left out is found by way of `pruned`."""
        return self._by_id.get(id)

    @cached_property
    def _by_id(self) -> Mapping[DeviceId, DeviceKey]:
        return {device.id: device for device in self.devices}

    def with_device(self, device: DeviceKey) -> Self:
        """With one device more. Raises `BadChange` when it is listed, or 50 live ones are."""
        if device.id in self._by_id:
            raise BadChange("the device is listed already")
        if len(self.live) >= MAX_LIVE:
            raise BadChange(f"{MAX_LIVE} devices are signed in")
        return replace(self, devices=(*self.devices, device))

    def with_revoked(self, id: DeviceId, until: int) -> Self:
        """With this device revoked from `until` (seconds). Raises `BadChange` when it is not listed, or is revoked."""
        device = self._by_id.get(id)
        if device is None or device.until is not None:
            raise BadChange("no live device of this id is listed")
        # The clock of another device may have run ahead.
        ended = replace(device, until=max(until, device.since))
        return replace(self, devices=tuple(ended if one.id == id else one for one in self.devices))

    def with_encryption_key(self, key: PublicEncryptionKey) -> Self:
        """With the next encryption key. Raises `BadChange` for another version than the next."""
        if key.version != self.encryption.version + 1:
            raise BadChange("versions of encryption keys have no gaps")
        return replace(self, encryption=key)

    def sign(self, identity: Ed25519PrivateKey) -> "UserKeys":
        """Written and signed. Raises `BadEncoding` where `read` would, `BadSignature` for another's key."""
        return read(sign(KIND, _written(self), identity).json(KEYID), self.user)


@dataclass(frozen=True)
class UserKeys(Content):
    """A document that its own identity key signed. Whether that is the user's key, the pin says (pins.py)."""

    signed: Signed = field(kw_only=True, repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload, 32 bytes."""
        return self.signed.digest

    @property
    def is_full(self) -> bool:
        """The next device needs the revoked ones' places."""
        return len(self.devices) >= MAX_DEVICES

    def json(self) -> dict[str, Any]:
        """The DSSE envelope."""
        return self.signed.json(KEYID)

    def next(self, *, prune: bool | None = None) -> Content:
        """What the next document begins with. `prune`: leave revoked devices out; None = only if the list is full."""
        devices, pruned = self.devices, self.pruned
        if (self.is_full if prune is None else prune) and len(self.live) < len(devices):
            devices, pruned = self.live, Pruned(self.seq, self.digest)
        return Content(self.user, self.seq + 1, self.digest, self.identity, self.encryption, devices, pruned)


def first(user: UserId, identity: bytes, encryption: PublicEncryptionKey, device: DeviceKey) -> Content:
    """The first document of an identity, at sign-up or after a reset. `identity`: 32 bytes."""
    return Content(user, 1, b"", identity, encryption, (device,))


def read(envelope: object, user: UserId) -> UserKeys:
    """A document of this user, signed by the identity key that it names.

    Raises `BadEncoding`, `BadSignature`, `BadKey`, `WrongUser`.
    """
    signed = Signed.read(envelope, KIND)
    # Nothing but the key is taken from what is not verified yet.
    identity = check_signing_key(unb64(parse(signed.payload).get("uik"), 32))
    document = fields(signed.verify(identity), ("v", "user", "seq", "prev", "uik", "uek", "devices"), ("pruned",))
    version_1(document)
    if identifier(document["user"]) != user:
        raise WrongUser("a document about another user")
    seq, prev = integer(document["seq"], 1), digest_or_none(document["prev"])
    if (seq == 1) != (prev == b""):
        raise BadEncoding("the first document, and no other, follows none")
    pruned = _read_pruned(document["pruned"], seq) if "pruned" in document else None
    return UserKeys(
        user,
        seq,
        prev,
        identity,
        _read_encryption(document["uek"]),
        _read_devices(document["devices"]),
        pruned,
        signed=signed,
    )


def follow_back(keys: UserKeys, envelope: object) -> UserKeys:
    """The older document that `keys.pruned` names, where left-out devices are listed.

    Raises `BadChange` when it is another one, and what `read` raises.
    """
    if keys.pruned is None:
        raise BadChange("nothing was left out")
    older = read(envelope, keys.user)
    if (older.seq, older.digest, older.identity) != (keys.pruned.seq, keys.pruned.digest, keys.identity):
        raise BadChange("not the document that was named")
    return older


def _written(content: Content) -> dict[str, Any]:
    key, pruned = content.encryption, content.pruned
    return {
        "v": 1,
        "user": content.user,
        "seq": content.seq,
        "prev": b64(content.prev),
        "uik": b64(content.identity),
        "uek": {"ver": key.version, "suite": key.suite, "pk": b64(key.public)},
        "devices": [_written_device(device) for device in content.devices],
        **({} if pruned is None else {"pruned": {"seq": pruned.seq, "hash": b64(pruned.digest)}}),
    }


def _written_device(device: DeviceKey) -> dict[str, Any]:
    box = {} if device.box is None else {"box": b64(device.box)}
    return {"id": device.id, "key": b64(device.key), "since": device.since, "until": device.until, **box}


def _read_encryption(value: object) -> PublicEncryptionKey:
    key = fields(value, ("ver", "suite", "pk"))
    if key["suite"] != X25519:
        raise BadEncoding("an encryption key of an unknown suite")
    return PublicEncryptionKey(integer(key["ver"], 1), X25519, check_sealing_key(unb64(key["pk"], 32)))


def _read_devices(value: object) -> tuple[DeviceKey, ...]:
    devices = tuple(_read_device(device) for device in listing(value, MAX_DEVICES))
    if not devices:
        raise BadEncoding("no device is listed")
    if len({device.id for device in devices}) != len(devices):
        raise BadEncoding("a device is listed twice")
    if sum(device.until is None for device in devices) > MAX_LIVE:
        raise BadEncoding(f"more than {MAX_LIVE} live devices")
    return devices


def _read_device(value: object) -> DeviceKey:
    device = fields(value, ("id", "key", "since", "until"), ("box",))
    since = time(device["since"])
    return DeviceKey(
        DeviceId(identifier(device["id"])),
        check_signing_key(unb64(device["key"], 32)),
        since,
        None if device["until"] is None else integer(device["until"], since, MAX_TIME),
        # Sealed to by the user's own devices only, and then it shows (boxes.py): contacts need not look.
        unb64(device["box"], 32) if "box" in device else None,
    )


def _read_pruned(value: object, seq: int) -> Pruned:
    pruned = fields(value, ("seq", "hash"))
    return Pruned(integer(pruned["seq"], 1, seq - 1), unb64(pruned["hash"], 32))
