"""The signed key document (docs/protocol.md §6.3): its form, and which document may follow which. Pure.

    read(envelope, user)           form and signature
    check_first(document, …)       the first of an identity: at set-up, and after a reset
    check_follows(old, new, …)     any later one

Contacts check the same; the server refuses first what they would refuse, so that nobody locks themselves out by mistake.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from kernel import limits
from kernel.errors import InvalidInput
from kernel.forms import members_of, number_of, uuid_of
from kernel.sealed import (
    HASH,
    KEY,
    PROTOCOL,
    Envelope,
    can_be_sealed_to,
    can_sign,
    document_of,
    read_envelope,
    unb64,
    verified,
)

KIND: Final = f"{PROTOCOL}.userkeys"
KEYID: Final = "uik"
X25519: Final = "x25519"
# Numbers and versions fit PostgreSQL's integer, times every JSON reader's whole numbers.
MOST: Final = 2**31 - 1
LATEST: Final = 2**53 - 1

_NAME: Final = "userkeys"


@dataclass(frozen=True, slots=True)
class Listed:
    """A device in a document: its signing key, its box key if it has one; times in seconds since 1970."""

    key: bytes
    box: bytes | None
    since: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Pruned:
    """The document, by number and hash, that lists devices which were left out since."""

    seq: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """What a document says, and the envelope that says it."""

    user: UUID
    seq: int
    prev: bytes
    uik: bytes
    uek_version: int
    uek_public: bytes
    devices: Mapping[UUID, Listed]
    pruned: Pruned | None
    envelope: Envelope = field(repr=False)

    @property
    def live(self) -> set[UUID]:
        """The devices that may send."""
        return {id for id, device in self.devices.items() if device.until is None}


def read(value: Any, *, user: UUID) -> Document:
    """The user's document in an envelope that its own identity key signed.

    Raises `InvalidInput`, `UnknownField` and `TooLarge`; whether it may follow the stored one is not asked here.
    """
    envelope = read_envelope(value, _NAME, kind=KIND, keyid=KEYID, most=limits.USERKEYS_BYTES)
    # The key is all that is taken from what is not verified yet.
    uik = _signing_key(document_of(envelope.payload, _NAME).get("uik"), "uik")
    verified(envelope, _NAME, uik)
    document = parse(envelope)
    if document.user != user:
        raise InvalidInput("the document is about somebody else", field=f"{_NAME}.user")
    return document


def parse(envelope: Envelope) -> Document:
    """The same without looking at signature and user: of an envelope that was taken before."""
    needs = ("v", "user", "seq", "prev", "uik", "uek", "devices")
    form = members_of(document_of(envelope.payload, _NAME), needs=needs, may=("pruned",))
    number_of(form["v"], f"{_NAME}.v", least=1, most=1)
    seq = number_of(form["seq"], f"{_NAME}.seq", least=1, most=MOST)
    prev = b"" if form["prev"] == "" else unb64(form["prev"], f"{_NAME}.prev", length=HASH)
    if (seq == 1) != (prev == b""):
        raise InvalidInput("the first document, and no other, follows none", field=f"{_NAME}.prev")
    uek = _object(form["uek"], "uek", needs=("ver", "suite", "pk"))
    if uek["suite"] != X25519:
        raise InvalidInput(f"the suite must be {X25519}", field=f"{_NAME}.uek.suite")
    return Document(
        user=uuid_of(form["user"], f"{_NAME}.user"),
        seq=seq,
        prev=prev,
        uik=_signing_key(form["uik"], "uik"),
        uek_version=number_of(uek["ver"], f"{_NAME}.uek.ver", least=1, most=MOST),
        uek_public=unb64(uek["pk"], f"{_NAME}.uek.pk", length=KEY),
        devices=_devices(form["devices"]),
        pruned=_pruned(form["pruned"], seq) if "pruned" in form else None,
        envelope=envelope,
    )


def check_first(document: Document, *, device: UUID, live: Collection[UUID]) -> None:
    """The first document of an identity: by `device`, with the user's live devices and no past. Raises `InvalidInput`."""
    _check(document.seq == 1, "seq", "the first document has the number 1")
    _check(document.uek_version == 1, "uek.ver", "the first encryption key has the version 1")
    _check(document.pruned is None, "pruned", "nothing can have been left out yet")
    _check(device in document.live, "devices", "this device must be listed")
    _check(document.live == document.devices.keys(), "devices", "no device can have been revoked yet")
    _check_devices(document, known={}, live=live)
    _check_sealing_key(document)


def check_follows(old: Document, new: Document, *, device: UUID, live: Collection[UUID]) -> None:
    """A step by `device`, one of the user's `live` ones, from the stored document to the next. Raises `InvalidInput`."""
    _check(new.uik == old.uik, "uik", "the identity key stays the same; see reset")
    _check(new.seq == old.seq + 1, "seq", "numbers have no gaps")
    _check(new.prev == old.envelope.digest, "prev", "this is not the hash of the document before")
    if new.uek_version == old.uek_version:
        _check(new.uek_public == old.uek_public, "uek.pk", "another encryption key has another version")
    else:
        _check(new.uek_version == old.uek_version + 1, "uek.ver", "versions of encryption keys have no gaps")
        _check(new.uek_public != old.uek_public, "uek.pk", "another version is another encryption key")
        _check_sealing_key(new)
    for id, before in old.devices.items():
        if id in new.devices:
            _check_unchanged(before, new.devices[id])
        else:
            _check(before.until is not None, "devices", "a live device cannot be left out")
    left_out = old.devices.keys() - new.devices.keys()
    named = Pruned(old.seq, old.envelope.digest) if left_out else old.pruned
    _check(new.pruned == named, "pruned", "this does not name the document that lists who was left out")
    _check(device in new.devices, "devices", "this device must be listed")
    _check_devices(new, known=old.devices, live=live)


def revoked_between(old: Document, new: Document) -> set[UUID]:
    """The devices that are live in the old document and not any more in the new one."""
    return old.live - new.live


def _check(holds: bool, name: str, detail: str) -> None:
    if not holds:
        raise InvalidInput(detail, field=f"{_NAME}.{name}")


def _check_unchanged(before: Listed, after: Listed) -> None:
    same = (before.key, before.box, before.since) == (after.key, after.box, after.since)
    _check(same, "devices", "a listed device keeps its keys")
    _check(before.until in (None, after.until), "devices", "a revoked device stays revoked, as of then")


def _check_devices(document: Document, *, known: Mapping[UUID, Listed], live: Collection[UUID]) -> None:
    """New entries are the user's live devices, with box keys that can be sealed to."""
    for id in document.devices.keys() - known.keys():
        device = document.devices[id]
        _check(id in live, "devices", f"{id} is no live device of this user")
        _check(device.until is None, "devices", "a device that was never live cannot be revoked")
        _check(device.box is None or can_be_sealed_to(device.box), "devices.box", "nothing can be sealed to this key")


def _check_sealing_key(document: Document) -> None:
    _check(can_be_sealed_to(document.uek_public), "uek.pk", "nothing can be sealed to this key")


def _devices(value: Any) -> dict[UUID, Listed]:
    if not isinstance(value, list) or not 1 <= len(value) <= limits.LISTED_DEVICES:
        raise InvalidInput(f"devices must be a list of 1 to {limits.LISTED_DEVICES}", field=f"{_NAME}.devices")
    found: dict[UUID, Listed] = {}
    for item in value:
        form = _object(item, "devices", needs=("id", "key", "since", "until"), may=("box",))
        id = uuid_of(form["id"], f"{_NAME}.devices.id")
        _check(id not in found, "devices", "a device is listed twice")
        found[id] = _listed(form)
    live = sum(device.until is None for device in found.values())
    _check(live <= limits.DEVICES, "devices", f"at most {limits.DEVICES} devices are live")
    return found


def _listed(form: Mapping[str, Any]) -> Listed:
    since = number_of(form["since"], f"{_NAME}.devices.since", most=LATEST)
    until = form["until"]
    if until is not None:
        until = number_of(until, f"{_NAME}.devices.until", least=since, most=LATEST)
    box = unb64(form["box"], f"{_NAME}.devices.box", length=KEY) if "box" in form else None
    return Listed(_signing_key(form["key"], "devices.key"), box, since, until)


def _pruned(value: Any, seq: int) -> Pruned:
    form = _object(value, "pruned", needs=("seq", "hash"))
    before = number_of(form["seq"], f"{_NAME}.pruned.seq", least=1, most=max(1, seq - 1))
    return Pruned(before, unb64(form["hash"], f"{_NAME}.pruned.hash", length=HASH))


def _signing_key(value: Any, name: str) -> bytes:
    key = unb64(value, f"{_NAME}.{name}", length=KEY)
    _check(can_sign(key), name, "this is no key that signs for one only")
    return key


def _object(value: Any, name: str, *, needs: Collection[str], may: Collection[str] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} must be a JSON object", field=f"{_NAME}.{name}")
    return members_of(value, needs=needs, may=may)
