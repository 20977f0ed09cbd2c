"""A room's epochs: a symmetric key for a time, wrapped once for each member (docs/protocol.md §6.6).

    made = create(room, 7, previous.digest, creator, device, device_key, members, now_s)    # upload made.json(41)
    record = read(envelope, room=room, epoch=7, creator=creator, device=device, public=device_key.public)
    key = open_wrap(record, wrap, user, encryption_key)                                     # an EpochKey

The record commits to the key: whoever gets another one than the others notices.
"""

import hashlib
import hmac
import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from client.crypto import aead
from client.crypto.encoding import PROTOCOL, Signed, b64, ctx, sign, unb64
from client.crypto.errors import BadCommit, BadEncoding, BadEpoch, BadSeal, BadWrap
from client.crypto.forms import digest_or_none, fields, identifier, integer, listing, time, version_1
from client.crypto.keys import EncryptionKey, PublicEncryptionKey
from client.crypto.messages import EpochKey
from client.crypto.userkeys import UserKeys
from client.protocol.ids import DeviceId, RoomId, UserId

KIND: Final = f"{PROTOCOL}.epoch"
MAX_MEMBERS: Final = 1000
WRAP: Final = aead.WRAP  # bytes


@dataclass(frozen=True, slots=True)
class RosterLine:
    """Who can read an epoch: a user, by which identity key (32 bytes) and which version of the encryption key."""

    user: UserId
    identity: bytes
    version: int

    @classmethod
    def of(cls, keys: UserKeys) -> Self:
        """The line of a user with these keys."""
        return cls(keys.user, keys.identity, keys.encryption.version)

    def json(self) -> list[Any]:
        """As it travels."""
        return [self.user, b64(self.identity), self.version]


def read_roster(value: object) -> tuple[RosterLine, ...]:
    """A roster as the server tells it; compare its digest with the record's. Raises `BadEncoding`."""
    lines = tuple(_read_line(line) for line in listing(value, MAX_MEMBERS))
    if len({line.user for line in lines}) != len(lines):
        raise BadEncoding("a user twice")
    return lines


def _read_line(line: object) -> RosterLine:
    match line:
        case [user, identity, version]:
            return RosterLine(UserId(identifier(user)), unb64(identity, 32), integer(version, 1))
        case _:
            raise BadEncoding("not a line of a roster")


def roster_digest(roster: Iterable[RosterLine]) -> bytes:
    """SHA-256 of the sorted lines `user:uik:version`, each with a line feed; 32 bytes."""
    lines = sorted(f"{line.user}:{b64(line.identity)}:{line.version}\n" for line in roster)
    return hashlib.sha256("".join(lines).encode()).digest()


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What the creator's device signed. `prev`: SHA-256 of the last epoch's record, empty for the first; `ts` in seconds."""

    room: RoomId
    epoch: int
    prev: bytes
    creator: UserId
    device: DeviceId
    roster_digest: bytes
    commitment: bytes
    ts: int
    signed: Signed = field(repr=False)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload, 32 bytes: what the next record and the `epoch` entry name."""
        return self.signed.digest

    def json(self) -> dict[str, Any]:
        """The DSSE envelope."""
        return self.signed.json(self.device)


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """All that the creator uploads, and the key that it keeps."""

    record: EpochRecord
    roster: tuple[RosterLine, ...]
    wraps: dict[UserId, bytes] = field(repr=False)
    key: EpochKey

    def json(self, members_version: int) -> dict[str, Any]:
        """The body of `POST rooms/{id}/epochs`."""
        return {
            "members_version": members_version,
            "record": self.record.json(),
            "roster": [line.json() for line in self.roster],
            "wraps": {line.user: wrap_json(line.version, self.wraps[line.user]) for line in self.roster},
        }


def wrap_json(version: int, sealed: bytes) -> dict[str, Any]:
    """One wrap as it travels."""
    return {"ver": version, "ct": b64(sealed)}


def create(
    room: RoomId,
    epoch: int,
    prev: bytes,
    creator: UserId,
    device: DeviceId,
    signer: Ed25519PrivateKey,
    members: Collection[UserKeys],
    now_s: int,
) -> NewEpoch:
    """A new key for these members, whose documents were checked against their pins; 0.1 ms for each.

    Raises `BadEpoch` for too many members, none, or one twice, and for a `prev` that does not go with the number.
    """
    if not 1 <= len(members) <= MAX_MEMBERS or len({keys.user for keys in members}) != len(members):
        raise BadEpoch("an epoch has 1 to 1000 different members")
    if (epoch == 1) != (prev == b""):
        raise BadEpoch("the first epoch, and no other, follows none")
    secret = os.urandom(aead.KEY)
    roster = tuple(sorted((RosterLine.of(keys) for keys in members), key=lambda line: line.user))
    document = {
        "v": 1,
        "room": room,
        "epoch": epoch,
        "prev": b64(prev),
        "creator": creator,
        "device": device,
        "roster": b64(roster_digest(roster)),
        "commit": b64(commitment(secret, room, epoch)),
        "ts": now_s,
    }
    record = _record(sign(KIND, document, signer), document)
    wraps = {keys.user: wrap(secret, room, epoch, keys.user, keys.encryption) for keys in members}
    return NewEpoch(record, roster, wraps, EpochKey(room, epoch, secret))


def read(
    envelope: object, *, room: RoomId, epoch: int, creator: UserId, device: DeviceId, public: Ed25519PublicKey | bytes
) -> EpochRecord:
    """The record of this room's epoch, signed by this device. `public`: the device's key, from its user's document.

    Raises `BadEncoding`, `BadSignature`, `BadEpoch`.
    """
    signed = Signed.read(envelope, KIND)
    record = _record(signed, signed.verify(public))
    if (record.room, record.epoch, record.creator, record.device) != (room, epoch, creator, device):
        raise BadEpoch("a record for another room, epoch, creator or device")
    return record


def check_follows(record: EpochRecord, previous: EpochRecord) -> None:
    """Whether the record is the next one of its room. Raises `BadEpoch`."""
    if (record.room, record.epoch, record.prev) != (previous.room, previous.epoch + 1, previous.digest):
        raise BadEpoch("not the successor of this record")


def check_roster(record: EpochRecord, roster: Iterable[RosterLine]) -> None:
    """Whether the creator signed this roster. Raises `BadEpoch`."""
    if roster_digest(roster) != record.roster_digest:
        raise BadEpoch("not the roster that was signed")


def open_wrap(record: EpochRecord, sealed: bytes, user: UserId, key: EncryptionKey) -> EpochKey:
    """The epoch's key, if it is the one that all members have. Raises `BadWrap` and `BadCommit`."""
    opened = EpochKey(record.room, record.epoch, unwrap(sealed, record.room, record.epoch, user, key))
    check_commit(record, opened)
    return opened


def check_commit(record: EpochRecord, key: EpochKey) -> None:
    """Raises `BadCommit` for another key than the record commits to."""
    if not hmac.compare_digest(commitment(key.secret, record.room, record.epoch), record.commitment):
        raise BadCommit("not the key that the record commits to")


def commitment(secret: bytes, room: RoomId, epoch: int) -> bytes:
    """HMAC-SHA256 under the epoch's key, 32 bytes."""
    return hmac.digest(secret, ctx("commit", room, epoch), "sha256")


def wrap(secret: bytes, room: RoomId, epoch: int, user: UserId, key: PublicEncryptionKey) -> bytes:
    """The epoch's key (32 bytes) for one member: 80 bytes. Raises `BadKey`."""
    return aead.wrap(secret, key.key, ctx("wrap", room, epoch, user, key.version))


def unwrap(sealed: bytes, room: RoomId, epoch: int, user: UserId, key: EncryptionKey) -> bytes:
    """The 32 bytes again; nothing says yet that others have the same: `open_wrap` does. Raises `BadWrap`."""
    try:
        return aead.unwrap(sealed, key.key, ctx("wrap", room, epoch, user, key.version))
    except BadSeal:
        raise BadWrap("the wrap does not open with this key, for this user and epoch") from None


def _record(signed: Signed, document: Any) -> EpochRecord:
    read = fields(document, ("v", "room", "epoch", "prev", "creator", "device", "roster", "commit", "ts"))
    version_1(read)
    epoch, prev = integer(read["epoch"], 1), digest_or_none(read["prev"])
    if (epoch == 1) != (prev == b""):
        raise BadEncoding("the first epoch, and no other, follows none")
    return EpochRecord(
        RoomId(identifier(read["room"])),
        epoch,
        prev,
        UserId(identifier(read["creator"])),
        DeviceId(identifier(read["device"])),
        unb64(read["roster"], 32),
        unb64(read["commit"], 32),
        time(read["ts"]),
        signed,
    )
