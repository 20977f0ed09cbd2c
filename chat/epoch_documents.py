"""The form of what clients upload of an epoch (docs/protocol.md §6.4, §6.6). Pure: from JSON to values, or a refusal.

A large group's epoch has 1 000 lines and wraps: they are checked as columns, each by one operation for all.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from kernel import sealed
from kernel.errors import InvalidInput
from kernel.forms import members_of, number_of, uuid_of
from kernel.limits import EPOCH_RECORD_BYTES, MEMBERS, PAGE_EPOCHS
from kernel.sealed import HASH, PROTOCOL, WRAP, Envelope, b64, unb64

KIND: Final = f"{PROTOCOL}.epoch"
LATEST_S: Final = 253_402_300_799
INT: Final = 2**31 - 1
# 80 bytes in base64url.
WRAP_CHARACTERS: Final = 107
# Bytes from one wrap to the next in `NewEpoch.wraps`.
STRIDE: Final = WRAP + 1

# (user, identity key in base64url, version of the encryption key) of each, by user.
Roster = Sequence[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Wrap:
    """An epoch's key for one member: 80 bytes, sealed to this version of the member's encryption key."""

    version: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """What a device uploads; nothing in the record is true before its signature holds.

    `wraps`: those of the roster's users in its order, 80 bytes each and a zero behind it. `roster_text`: what is hashed and
    kept of the roster.
    """

    members_version: int
    envelope: Envelope
    roster: Roster
    wraps: bytes = field(repr=False)
    roster_text: str = field(repr=False)

    @property
    def roster_digest(self) -> bytes:
        """SHA-256 of the roster's text."""
        return sha256(self.roster_text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Record:
    """What the creator's device has signed. `prev`: the digest of the record before, empty for the first."""

    room: UUID
    epoch: int
    prev: bytes
    creator: UUID
    device: UUID
    roster_digest: bytes


def read_new(data: Any, *, device: UUID) -> NewEpoch:
    """The body of `POST /rooms/{id}/epochs`. Raises `InvalidInput`, `UnknownField` and `TooLarge`."""
    form = members_of(data, needs=("members_version", "record", "roster", "wraps"))
    envelope = sealed.read_envelope(form["record"], "record", kind=KIND, keyid=str(device), most=EPOCH_RECORD_BYTES)
    roster = _roster(form["roster"])
    wraps = _wraps(form["wraps"], roster)
    members_version = number_of(form["members_version"], "members_version")
    return NewEpoch(members_version, envelope, roster, wraps, roster_text(roster))


def record_of(envelope: Envelope, public: bytes) -> Record:
    """The record in the envelope, once its signature holds under this key. Raises `InvalidInput`."""
    document = sealed.verified(envelope, "record", public)
    form = members_of(document, needs=("v", "room", "epoch", "prev", "creator", "device", "roster", "commit", "ts"))
    if type(form["v"]) is not int or form["v"] != 1:
        raise InvalidInput("the record's v must be 1", field="record.v")
    prev = unb64(form["prev"], "record.prev", most=HASH)
    if len(prev) not in (0, HASH):
        raise InvalidInput("record.prev must be a hash or empty", field="record.prev")
    unb64(form["commit"], "record.commit", length=HASH)
    number_of(form["ts"], "record.ts", most=LATEST_S)
    return Record(
        uuid_of(form["room"], "record.room"),
        number_of(form["epoch"], "record.epoch", least=1, most=INT),
        prev,
        uuid_of(form["creator"], "record.creator"),
        uuid_of(form["device"], "record.device"),
        unb64(form["roster"], "record.roster", length=HASH),
    )


def read_wraps(data: Any) -> tuple[UUID, dict[int, Wrap]]:
    """The body of `POST /rooms/{id}/epochs/wraps`: whom they are for, and the wraps by epoch."""
    form = members_of(data, needs=("user", "wraps"))
    user, raw = uuid_of(form["user"], "user"), form["wraps"]
    if not isinstance(raw, list) or not 1 <= len(raw) <= PAGE_EPOCHS:
        raise InvalidInput(f"wraps must be a list of 1 to {PAGE_EPOCHS}", field="wraps")
    found: dict[int, Wrap] = {}
    for each in raw:
        line = members_of(each, needs=("epoch", "ver", "ct"))
        epoch = number_of(line["epoch"], "wraps.epoch", least=1, most=INT)
        if epoch in found:
            raise InvalidInput("an epoch stands there twice", field="wraps")
        version = number_of(line["ver"], "wraps.ver", least=1, most=INT)
        found[epoch] = Wrap(version, unb64(line["ct"], "wraps.ct", length=WRAP))
    return user, found


def roster_text(roster: Roster) -> str:
    """What is hashed and kept: a line `user:identity:version` for each, by user, each with its line feed."""
    return "".join([f"{user}:{identity}:{version}\n" for user, identity, version in roster])


def roster_json(text: str) -> list[list[Any]]:
    """The kept text of a roster as it goes over the wire."""
    lines = [line.split(":") for line in text.splitlines()]
    return [[user, identity, int(version)] for user, identity, version in lines]


def wrap_json(version: int, wrap: bytes) -> dict[str, Any]:
    """A wrap as it goes over the wire."""
    return {"ver": version, "ct": b64(wrap)}


def _roster(value: Any) -> Roster:
    """Only the shape: whether ids and keys are right is told by comparing with the members' own."""
    if not isinstance(value, list) or not 1 <= len(value) <= MEMBERS:
        raise InvalidInput(f"roster must be a list of 1 to {MEMBERS}", field="roster")
    if _types(value) == {list} and set(map(len, value)) == {3}:
        users, identities, versions = zip(*value, strict=True)
        is_typed = _types(users) == _types(identities) == {str} and _types(versions) == {int}
        if is_typed and len(set(users)) == len(users):
            return sorted(zip(users, identities, versions, strict=True))
    raise InvalidInput("a line of the roster is [user, identity, version], once for each", field="roster")


def _wraps(value: Any, roster: Roster) -> bytes:
    """See `NewEpoch.wraps`."""
    if not isinstance(value, Mapping) or value.keys() != {user for user, _, _ in roster}:
        raise InvalidInput("wraps must be for exactly the members of the roster", field="wraps")
    wraps = [value[user] for user, _, _ in roster]
    if _types(wraps) != {dict} or set(map(len, wraps)) != {2}:
        raise InvalidInput("a wrap is {ver, ct}", field="wraps")
    versions, texts = [wrap.get("ver") for wrap in wraps], [wrap.get("ct") for wrap in wraps]
    if _types(versions) != {int} or versions != [version for _, _, version in roster]:
        raise InvalidInput("a wrap is for another version than the roster says", field="wraps")
    if _types(texts) == {str} and set(map(len, texts)) == {WRAP_CHARACTERS}:
        # With an A, six more bits that are zero, each has a whole number of bytes and all are decoded at once. Decoding passes
        # over what is no base64url: then it does not come back. Bits that belong to no byte are found in the zero behind.
        joined = "A".join([*texts, ""])
        with suppress(ValueError):
            decoded = urlsafe_b64decode(joined)
            if urlsafe_b64encode(decoded).decode() == joined and not any(decoded[WRAP::STRIDE]):
                return decoded
    raise InvalidInput(f"a wrap is {WRAP} bytes in canonical base64url", field="wraps")


def _types(values: Sequence[Any]) -> set[type]:
    return set(map(type, values))
