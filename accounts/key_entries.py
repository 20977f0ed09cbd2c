"""Telling whom it concerns that a user's keys are other ones: an entry of kind `keys` (docs/protocol.md §3.2, §6.3)."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from uuid import UUID

from django.db import connection

from kernel import ports

# The number of `Kind.KEYS` (messages/kinds.py), which is part of the stored format.
ENTRY_KIND: Final = 6


class Change(StrEnum):
    """What is new: on the wire the same words."""

    DEVICES = "devices"
    ENCRYPTION = "encryption"
    IDENTITY = "identity"
    VAULT_READ = "vault_read"


def tell(user: UUID, *, seq: int, change: Change, device: UUID | None) -> None:
    """Put it into the mailboxes of the user and of those who write to the user, in the caller's transaction.

    `device` is the one it is about. Call it last: it takes the locks of deliveries.
    """
    recipients = [user] if change is Change.VAULT_READ else _concerned(user)
    payload = {"user": str(user), "document": seq, "change": change.value, "device": device and str(device)}
    with connection.cursor() as cursor:
        # With the sender: a block that comes before the drain keeps it from the blocker.
        ports.mailboxes.put(cursor, recipients=recipients, kind=ENTRY_KIND, payload=payload, sender_id=user)


def _concerned(user: UUID) -> Sequence[UUID]:
    """The user, the user's contacts and the peers of the user's direct rooms, less those with a block between."""
    others = {*ports.policy.contacts_of(user), *ports.rosters.direct_peers(user)} - {user}
    return [user, *sorted(others - ports.blocks.between(user, others).keys())]
