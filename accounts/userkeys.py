"""Users' signed key documents (docs/protocol.md §6.3): who has which keys now, and every change of them.

lock the user, the devices  →  may this document follow?  →  vault, document, devices, boxes
→  the user's rooms are outdated, if the encryption key is another one  →  entries for whom it concerns  →  COMMIT
"""

from base64 import urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts import credentials, devices, documents, hashers, holders, key_entries, key_history, vaults
from accounts.credentials import Secret
from accounts.documents import Document
from accounts.holders import Holder, KeysMissing
from accounts.key_entries import Change
from accounts.models import Device, DeviceBox, User, UserKeys, UserKeysHistory
from accounts.tokens import Suspended
from accounts.vaults import Page, SealedVault
from kernel import ports, rates
from kernel.database import uuid_array
from kernel.errors import Conflict, InvalidInput
from kernel.sealed import Envelope

# In one row, as columns: 1 000 rows would cost PostgreSQL and us twice as much. A zero behind each key, so that all of them are
# written in base64 at once and each begins at a whole character.
LINES: Final = """
SELECT coalesce(string_agg(u.user_id::text, ',' ORDER BY u.user_id), ''),
       coalesce(string_agg(k.uik || '\\x00'::bytea, '' ORDER BY u.user_id), ''),
       coalesce(string_agg(coalesce(k.uek_version, 0)::text, ',' ORDER BY u.user_id), '')
FROM ({users}) u LEFT JOIN accounts_userkeys k ON k.user_id = u.user_id
"""
THESE: Final = "SELECT unnest(%s::uuid[]) AS user_id"
STRIDE: Final = 44

SIGNER: Final = """
SELECT u.suspended_at IS NOT NULL, d.key FROM accounts_user u
LEFT JOIN accounts_device d ON d.user_id = u.id AND d.id = %s AND d.is_listed AND d.revoked_at IS NULL
WHERE u.id = %s
"""


# User, identity key in base64url, version of the encryption key.
Line = tuple[str, str, int]


class AlreadySetUp(Conflict):
    """The user has published other keys before."""

    code = "already_set_up"
    title = "Your keys are set up already."


class OtherSeq(Conflict):
    """The newest document has another number than the one that this follows; `seq` names it."""

    code = "seq"
    title = "There is another key document."


@dataclass(frozen=True, slots=True)
class CurrentKeys:
    """What others seal to: a user's identity key and encryption key (32 bytes each) with its version."""

    uik: bytes
    uek_version: int
    uek_public: bytes


@dataclass(frozen=True, slots=True)
class Step:
    """What a device publishes at once: the next document and, where they change too, vault, archive page and boxes."""

    document: Document
    vault: SealedVault | None = None
    page: Page | None = None
    boxes: Mapping[UUID, bytes] = field(default_factory=dict, repr=False)


def current(users: Collection[UUID]) -> dict[UUID, CurrentKeys]:
    """The keys of those of the users who have set up."""
    rows = UserKeys.objects.filter(user_id__in=list(users))
    columns = rows.values_list("user_id", "uik", "uek_version", "uek_public")
    return {user: CurrentKeys(bytes(uik), version, bytes(public)) for user, uik, version, public in columns}


def current_lines(users: Iterable[str]) -> list[Line]:
    """The same of these, as an epoch's roster has it."""
    return lines_of(THESE, uuid_array(users))[1]


def lines_of(users: str, *values: UUID | str) -> tuple[list[str], list[Line]]:
    """The users whom a query names in its column `user_id`, and the lines of those who have keys; both by user."""
    with connection.cursor() as cursor:
        cursor.execute(LINES.format(users=users), values)
        named, keys, versions = cursor.fetchone()
    if not named:
        return [], []
    all_users, numbers = named.split(","), [int(version) for version in versions.split(",")]
    identities = urlsafe_b64encode(keys).decode()
    texts = [identities[start : start + STRIDE - 1] for start in range(0, len(identities), STRIDE)]
    having = [user for user, version in zip(all_users, numbers, strict=True) if version]
    return all_users, list(zip(having, texts, filter(None, numbers), strict=True))


def signing_key(user: UUID, device: UUID) -> bytes | None:
    """The signing key (Ed25519, 32 bytes) of one of the user's devices; None unless it is live and listed. Raises `Suspended`."""
    with connection.cursor() as cursor:
        cursor.execute(SIGNER, (device, user))
        is_suspended, key = cursor.fetchone() or (False, None)
    if is_suspended:
        raise Suspended
    return None if key is None else bytes(key)


def set_up(user_id: UUID, device_id: UUID, *, document: Document, vault: SealedVault, recovery: str | None) -> None:
    """Publish a user's first keys. Raises `AlreadySetUp`, unless it is a repeat, and `InvalidInput`."""
    rates.take("keys", user_id)
    stored = "" if recovery is None else hashers.keep(recovery)
    with transaction.atomic():
        holder = holders.lock(user_id, device_id)
        row = UserKeys.objects.filter(user_id=user_id).first()
        if row is not None:
            if _is_stored(row, Step(document, vault)):
                return
            raise AlreadySetUp
        documents.check_first(document, device=device_id, live=holder.live)
        if holder.user.kdf is None:
            # Somebody registered without: from now on this is what the next device is told.
            holder.user.kdf = vault.kdf
        User.objects.filter(pk=user_id).update(recovery=stored, kdf=holder.user.kdf)
        vaults.create(holder.user, vault)
        _store(holder, document)
        _told(holder, document, Change.ENCRYPTION, device_id)


def put(user_id: UUID, device_id: UUID, *, seq: int, step: Step) -> None:
    """Publish the document behind `seq`: devices added or revoked, another encryption key.

    Devices that it revokes are signed out at the same moment. Raises `KeysMissing`, `OtherSeq`, `OtherVersion`, `InvalidInput`.
    """
    rates.take("keys", user_id)
    with transaction.atomic():
        holder = holders.lock(user_id, device_id)
        row = _get(user_id)
        if _is_stored(row, step) or _was_stored(user_id, step.document):
            return
        if row.seq != seq:
            raise OtherSeq(seq=row.seq)
        old, new = _document(row), step.document
        documents.check_follows(old, new, device=device_id, live=holder.live)
        is_rekeyed = new.uek_version != old.uek_version
        _check_step(holder, step, is_rekeyed=is_rekeyed)
        if is_rekeyed:
            rates.take("rekey", user_id)
        if step.vault is not None:
            vaults.replace(holder.user, step.vault, step.page)
        key_history.keep(row, document=new)
        _store(holder, new)
        for id in documents.revoked_between(old, new) & holder.live.keys():
            devices.revoke(id)
        _seal(new.uek_version, step.boxes)
        changed = old.live ^ new.live
        about = next(iter(changed)) if len(changed) == 1 else None
        _told(holder, new, Change.ENCRYPTION if is_rekeyed else Change.DEVICES, about)


def reset(
    user_id: UUID,
    device_id: UUID,
    *,
    document: Document,
    vault: SealedVault,
    recovery: str | None,
    proof: Secret,
    address: str,
    now: datetime,
) -> None:
    """Begin again with a new identity: the old keys are gone, with all that only they open, and so are all other devices.

    Raises `BadCredentials`, `KeysMissing`, and `InvalidInput`.
    """
    rates.take("keys", user_id)
    rates.take("rekey", user_id)
    kept = credentials.check_own(user_id, proof, address=address, now=now)
    stored = "" if recovery is None else hashers.keep(recovery)
    with transaction.atomic():
        holder = holders.lock(user_id, device_id)
        credentials.check_still(holder.user, proof.kind, kept)
        row = _get(user_id)
        if _is_stored(row, Step(document, vault)):
            return
        documents.check_first(document, device=device_id, live={device_id})
        if document.uik == bytes(row.uik):
            raise InvalidInput("a reset makes another identity key", field="userkeys.uik")
        User.objects.filter(pk=user_id).update(recovery=stored)
        vaults.create(holder.user, vault)
        key_history.give_up(row)
        DeviceBox.objects.filter(device__user_id=user_id).delete()
        _store(holder, document, ambiguous_seq=max(row.ambiguous_seq, row.seq))
        for id in holder.live.keys() - {device_id}:
            devices.revoke(id)
        _told(holder, document, Change.IDENTITY, device_id)


# --- parts -------------------------------------------------------------------------------------------------------------


def _get(user_id: UUID) -> UserKeys:
    row = UserKeys.objects.filter(user_id=user_id).first()
    if row is None:
        raise KeysMissing
    return row


def _document(row: UserKeys) -> Document:
    """What the stored document says."""
    return documents.parse(Envelope(documents.KIND, documents.KEYID, bytes(row.payload), bytes(row.signature)))


def _is_stored(row: UserKeys, step: Step) -> bool:
    """Whether this was taken before, and only its answer was lost."""
    same = bytes(row.payload) == step.document.envelope.payload
    # Another vault beside the same document is another request, unless the vault has moved on since.
    return same and (step.vault is None or vaults.was_stored(row.user_id, step.vault))


def _was_stored(user_id: UUID, document: Document) -> bool:
    """The same for a document that has been replaced since."""
    found = UserKeysHistory.objects.filter(user_id=user_id, seq=document.seq, is_former=False).first()
    return found is not None and bytes(found.payload) == document.envelope.payload


def _check_step(holder: Holder, step: Step, *, is_rekeyed: bool) -> None:
    """What comes with a document must belong to it. Raises `InvalidInput`."""
    if is_rekeyed and step.vault is None:
        raise InvalidInput("another encryption key comes with the vault that holds it", field="vault")
    if step.page is not None and step.vault is None:
        raise InvalidInput("a page of the archive comes with the vault that names it", field="vault")
    if step.boxes and not is_rekeyed:
        raise InvalidInput("boxes come with another encryption key", field="boxes")
    for id in step.boxes:
        device = step.document.devices.get(id)
        if device is None or device.until is not None or device.box is None or id not in holder.live:
            raise InvalidInput(f"{id} is no live device with a box", field="boxes")


def _store(holder: Holder, document: Document, *, ambiguous_seq: int | None = None) -> None:
    """Make this the user's document, and bring the devices in line with it."""
    fields = {
        "seq": document.seq,
        "payload": document.envelope.payload,
        "signature": document.envelope.signature,
        "digest": document.envelope.digest,
        "uik": document.uik,
        "uek_version": document.uek_version,
        "uek_public": document.uek_public,
        "stored_at": Now(),
    }
    if ambiguous_seq is not None:
        fields["ambiguous_seq"] = ambiguous_seq
    UserKeys.objects.update_or_create(user_id=holder.user.pk, defaults=fields)
    for id, device in holder.live.items():
        entry = document.devices.get(id)
        is_listed, key = id in document.live, None if entry is None else entry.key
        if (device.is_listed, device.key) != (is_listed, key):
            Device.objects.filter(pk=id).update(is_listed=is_listed, key=key)


def _seal(version: int, boxes: Mapping[UUID, bytes]) -> None:
    for id, sealed in boxes.items():
        DeviceBox.objects.update_or_create(device_id=id, defaults={"version": version, "sealed": sealed})


def _told(holder: Holder, document: Document, change: Change, device: UUID | None) -> None:
    """The last locks of the transaction: rooms, then deliveries."""
    if change is not Change.DEVICES:
        ports.rosters.user_rekeyed(holder.user.pk)
    key_entries.tell(holder.user.pk, seq=document.seq, change=change, device=device)
