"""Users' signed key documents (docs/protocol.md §6.3): who has which keys now."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from accounts.models import Device, UserKeys


@dataclass(frozen=True, slots=True)
class CurrentKeys:
    """What others seal to: a user's identity key and encryption key (32 bytes each) with its version."""

    uik: bytes
    uek_version: int
    uek_public: bytes


def current(users: Collection[UUID]) -> dict[UUID, CurrentKeys]:
    """The keys of those of the users who have set up."""
    rows = UserKeys.objects.filter(user_id__in=list(users))
    columns = rows.values_list("user_id", "uik", "uek_version", "uek_public")
    return {user: CurrentKeys(bytes(uik), version, bytes(public)) for user, uik, version, public in columns}


def device_key(user: UUID, device: UUID) -> bytes | None:
    """The signing key (Ed25519, 32 bytes) of one of the user's devices; None unless it is live and listed."""
    row = Device.objects.filter(pk=device, user_id=user, is_listed=True, revoked_at=None)
    key = row.values_list("key", flat=True).first()
    return None if key is None else bytes(key)
