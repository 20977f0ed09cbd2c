"""The form of what clients upload of an epoch (docs/protocol.md §6.4, §6.6). Pure: from JSON to values, or a refusal.

A large group's epoch has 1 000 lines and wraps, so the lines are compared as they stand with what they must be, and only
wraps are decoded.
"""

import re
from base64 import urlsafe_b64decode
from collections.abc import Mapping
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
# 80 bytes in canonical base64url.
_WRAP: Final = re.compile(r"[A-Za-z0-9_-]{106}[AEIMQUYcgkosw048]")

# user → (identity key in base64url, version of the encryption key)
Roster = Mapping[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Wrap:
    """An epoch's key for one member: 80 bytes, sealed to this version of the member's encryption key."""

    version: int
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewEpoch:
    """What a device uploads; nothing in the record is true before its signature holds."""

    members_version: int
    envelope: Envelope
    roster: Roster
    wraps: Mapping[str, Wrap] = field(repr=False)


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
    raw = form["wraps"]
    if not isinstance(raw, Mapping) or raw.keys() != roster.keys():
        raise InvalidInput("wraps must be for exactly the members of the roster", field="wraps")
    wraps = {user: _wrap(wrap) for user, wrap in raw.items()}
    if any(wraps[user].version != version for user, (_, version) in roster.items()):
        raise InvalidInput("a wrap is for another version than the roster says", field="wraps")
    return NewEpoch(number_of(form["members_version"], "members_version"), envelope, roster, wraps)


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
        epoch = number_of(line.pop("epoch"), "wraps.epoch", least=1, most=INT)
        if epoch in found:
            raise InvalidInput("an epoch stands there twice", field="wraps")
        found[epoch] = _wrap(line)
    return user, found


def roster_digest(roster: Roster) -> bytes:
    """SHA-256 of the sorted lines `user:identity:version`, each with its line feed."""
    lines = sorted(f"{user}:{identity}:{version}\n" for user, (identity, version) in roster.items())
    return sha256("".join(lines).encode()).digest()


def roster_json(roster: Roster) -> list[list[Any]]:
    """The roster as it goes over the wire, by user."""
    return [[user, *line] for user, line in sorted(roster.items())]


def wrap_json(version: int, wrap: bytes) -> dict[str, Any]:
    """A wrap as it goes over the wire."""
    return {"ver": version, "ct": b64(wrap)}


def _roster(value: Any) -> dict[str, tuple[str, int]]:
    """Only the shape: whether ids and keys are right is told by comparing with the members' own."""
    if not isinstance(value, list) or not 1 <= len(value) <= MEMBERS:
        raise InvalidInput(f"roster must be a list of 1 to {MEMBERS}", field="roster")
    found: dict[str, tuple[str, int]] = {}
    for line in value:
        match line:
            case [str(user), str(identity), int(version)] if type(version) is int and user not in found:
                found[user] = identity, version
            case _:
                raise InvalidInput("a line of the roster is [user, identity, version], once for each", field="roster")
    return found


def _wrap(value: Any) -> Wrap:
    match value:
        case {"ver": int(version), "ct": str(text)} if type(version) is int and len(value) == 2:
            if not 1 <= version <= INT or not _WRAP.fullmatch(text):
                raise InvalidInput(f"a wrap is {WRAP} bytes for a version", field="wraps")
            return Wrap(version, urlsafe_b64decode(text + "="))
        case _:
            raise InvalidInput("a wrap is {ver, ct}", field="wraps")
