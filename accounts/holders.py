"""Who may touch a user's keys: a live device of a user who is not suspended, as PostgreSQL has it at that moment.

Access tokens are checked without a database and hold for up to two seconds longer (accounts/revocations.py). With keys that
is too long. Locks are taken in one order everywhere: the user's row, the user's devices by id, rooms by id, mailboxes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from accounts.models import Device, User
from accounts.tokens import Suspended
from kernel.errors import Conflict, Unauthenticated


class KeysMissing(Conflict):
    """The caller has not published keys yet."""

    code = "keys_missing"
    title = "Set up your keys first."


@dataclass(frozen=True, slots=True)
class Holder:
    """A user and the user's live devices by id, all locked until the transaction ends; `device` is the one that asks."""

    user: User
    device: UUID
    live: Mapping[UUID, Device]


def lock(user_id: UUID, device_id: UUID) -> Holder:
    """Lock the user and the devices, in the caller's transaction. Raises `Suspended` and `Unauthenticated`."""
    # No key update: rows that refer to the user can still be written.
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    rows = Device.objects.select_for_update(no_key=True).filter(user_id=user_id, revoked_at=None).order_by("pk")
    live = {device.pk: device for device in rows}
    _check(user, is_live=device_id in live)
    assert user is not None
    return Holder(user, device_id, live)


def check(user_id: UUID, device_id: UUID) -> None:
    """The same question without locks, for reading. Raises `Suspended` and `Unauthenticated`."""
    user = User.objects.filter(pk=user_id).first()
    _check(user, is_live=Device.objects.filter(pk=device_id, user_id=user_id, revoked_at=None).exists())


def _check(user: User | None, *, is_live: bool) -> None:
    if user is None or not is_live:
        raise Unauthenticated("This device has been revoked; sign in again.")
    if user.suspended_at is not None:
        raise Suspended
