"""The key documents of a user that newer ones have replaced: which of them stay, and for whom (docs/protocol.md §6.3).

Writers hold the lock of the user's row.
"""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.documents import Document
from accounts.models import UserKeys, UserKeysHistory
from kernel import ports

# So many are there for whoever was away; beyond, what the chain of `pruned` names, and what somebody sees across a block.
KEPT: Final = 100


def keep(row: UserKeys, *, document: Document) -> None:
    """The document that this one replaces stays for a while, or for good where `pruned` names it."""
    _into_history(row, is_kept=document.pruned is not None and document.pruned.seq == row.seq)
    _forget(
        row.user_id, UserKeysHistory.objects.filter(Q(is_former=True) | Q(seq__lt=document.seq - KEPT, is_kept=False))
    )


def give_up(row: UserKeys) -> None:
    """This document and those before it are of no identity any more."""
    _into_history(row, is_former=True)
    UserKeysHistory.objects.filter(user_id=row.user_id).update(is_former=True)
    _forget(row.user_id, UserKeysHistory.objects.all())


def _into_history(row: UserKeys, **flags: bool) -> None:
    UserKeysHistory.objects.create(
        user_id=row.user_id,
        seq=row.seq,
        payload=row.payload,
        signature=row.signature,
        digest=row.digest,
        stored_at=row.stored_at,
        ambiguous_seq=row.ambiguous_seq,
        **flags,
    )


def _forget(user_id: UUID, which: QuerySet[UserKeysHistory]) -> None:
    """Delete those of the user's old documents that nobody sees: across a block, somebody sees what was the newest one then."""
    ids = set(which.filter(user_id=user_id).values_list("pk", flat=True))
    if not ids:
        return
    rows = UserKeysHistory.objects.filter(user_id=user_id).order_by("stored_at", "seq")
    stored = list(rows.values_list("pk", "stored_at", "is_former", "is_kept"))
    moments = sorted(ports.blocks.moments_of(user_id)) if stored else []
    ends = [*(at for _, at, _, _ in stored[1:]), None]
    frozen = {pk for (pk, at, _, _), end in zip(stored, ends, strict=True) if _is_any_in(moments, at, end)}
    if any(is_former and pk in frozen for pk, _, is_former, _ in stored):
        # By these, the devices of old messages are found.
        frozen |= {pk for pk, _, is_former, is_kept in stored if is_former and is_kept}
    UserKeysHistory.objects.filter(pk__in=ids - frozen).delete()


def _is_any_in(moments: Sequence[datetime], first: datetime, end: datetime | None) -> bool:
    """Whether one of these (sorted) is from `first` on and before `end`."""
    place = bisect_left(moments, first)
    return place < len(moments) and (end is None or moments[place] < end)
