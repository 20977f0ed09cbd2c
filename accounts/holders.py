"""Who may touch a user's keys: a live device of a user who is not suspended, as PostgreSQL has it at that moment.

Access tokens are checked without a database and hold for up to two seconds longer (accounts/revocations.py). With keys that
is too long. Locks are taken in one order everywhere: the user's row, the user's devices by id, rooms by id, mailboxes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import connection

from accounts.models import Device, User
from accounts.tokens import Suspended
from kernel.database import uuid_array
from kernel.errors import Conflict, Unauthenticated

# FOR SHARE, which Django does not have; FOR KEY SHARE would let in who locks to change keys.
HOLD: Final = "SELECT FROM accounts_user WHERE id = ANY(%s::uuid[]) ORDER BY id FOR SHARE"


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


def hold(users: Collection[UUID]) -> None:
    """None of these users changes keys while the caller's transaction goes on: who would, waits and then sees what it wrote.

    Before the locks of rooms.
    """
    with connection.cursor() as cursor:
        cursor.execute(HOLD, (uuid_array(users),))


def check(user_id: UUID, device_id: UUID) -> None:
    """The same question without locks, for reading. Raises `Suspended` and `Unauthenticated`."""
    user = User.objects.filter(pk=user_id).first()
    _check(user, is_live=Device.objects.filter(pk=device_id, user_id=user_id, revoked_at=None).exists())


def _check(user: User | None, *, is_live: bool) -> None:
    if user is None or not is_live:
        raise Unauthenticated("This device has been revoked; sign in again.")
    if user.suspended_at is not None:
        raise Suspended
