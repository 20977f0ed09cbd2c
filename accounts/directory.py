"""Whose key document somebody may see, and which (docs/protocol.md §6.3).

Across a block nothing new passes: what there was before it is all that the two see of each other, except in a group of
both, where everybody must be able to seal to everybody.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import documents, holders
from accounts.models import UserKeys, UserKeysHistory
from kernel import ports
from kernel.errors import NotFound
from kernel.sealed import Envelope, b64, envelope_json

# (user, identity key in base64url, version of the encryption key)
Line = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class Seen:
    """A document as stored. `ambiguous_seq`: see `UserKeys`; `is_frozen`: it was the newest one when a block came."""

    seq: int
    ambiguous_seq: int
    is_frozen: bool
    stored_at: datetime
    payload: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """As it is answered."""
        return {"userkeys": envelope_json(documents.KIND, documents.KEYID, self.payload, self.signature)}


def query(asker: UUID, device: UUID, known: Mapping[UUID, int]) -> dict[str, dict[str, Any]]:
    """The documents of these users, or that they are the ones known by number; whom the asker may not see is left out."""
    holders.check(asker, device)
    return {str(user): _answer(seen, known[user]) for user, seen in newest(asker, known).items()}


def get(asker: UUID, device: UUID, user: UUID, seq: int) -> dict[str, Any]:
    """The document that had this number. Raises `NotFound`."""
    holders.check(asker, device)
    top = newest(asker, [user]).get(user)
    if top is None or seq > top.seq:
        raise NotFound
    if seq == top.seq:
        return top.json()
    rows = UserKeysHistory.objects.filter(user_id=user, seq=seq)
    # What a block has frozen may be of an identity that was given up since: then so is what was before it.
    rows = rows.filter(stored_at__lte=top.stored_at) if top.is_frozen else rows.filter(is_former=False)
    row = rows.order_by("-stored_at").first()
    if row is None:
        raise NotFound
    return _seen(row).json()


def newest(asker: UUID, users: Collection[UUID]) -> dict[UUID, Seen]:
    """The newest document of each of the users that the asker may see; without those who have none."""
    open_ones, before = _visible(asker, users)
    found = {row.user_id: row for row in UserKeys.objects.filter(user_id__in=[*open_ones, *before])}
    seen = {user: _seen(row) for user, row in found.items() if user in open_ones}
    for user in found.keys() - open_ones:
        if (row := _as_of(found[user], before[user])) is not None:
            seen[user] = _seen(row, is_frozen=True)
    return seen


def line_for(asker: UUID, user: UUID) -> Line | None:
    """What the asker has to write into a roster of this user's keys; None for somebody who has none that the asker sees."""
    seen = newest(asker, [user]).get(user)
    if seen is None:
        return None
    document = documents.parse(Envelope(documents.KIND, documents.KEYID, seen.payload, seen.signature))
    return str(user), b64(document.uik), document.uek_version


def _visible(asker: UUID, users: Collection[UUID]) -> tuple[set[UUID], dict[UUID, datetime]]:
    """Whose newest document the asker may see; and whose as of which moment."""
    others = set(users) - {asker}
    blocked = dict(ports.blocks.between(asker, others)) if others else {}
    for user in ports.rosters.groups_shared(asker, blocked.keys()) if blocked else ():
        del blocked[user]
    peers = ports.rosters.direct_peers(asker) if blocked else ()
    before = {
        user: since
        for user, since in blocked.items()
        # Who is blocked and not told must not find out by what is missing here.
        if user in peers or ports.policy.may_see_profile(asker, user)
    }
    return set(users) - blocked.keys(), before


def _as_of(row: UserKeys, moment: datetime) -> UserKeys | UserKeysHistory | None:
    """The newest document that was there at this moment, if it is kept."""
    if row.stored_at <= moment:
        return row
    older = UserKeysHistory.objects.filter(user_id=row.user_id, stored_at__lte=moment)
    return older.order_by("-stored_at", "-seq").first()


def _seen(row: UserKeys | UserKeysHistory, *, is_frozen: bool = False) -> Seen:
    return Seen(row.seq, row.ambiguous_seq, is_frozen, row.stored_at, bytes(row.payload), bytes(row.signature))


def _answer(seen: Seen, known: int) -> dict[str, Any]:
    # Whoever knows a newer one than a block lets through (from a group that both were in) is told nothing at all.
    is_known = known >= seen.seq if seen.is_frozen else known == seen.seq
    # After a reset the same number may mean another document, so a number from before it says nothing.
    return {"unchanged": True} if is_known and known > seen.ambiguous_seq else seen.json()
