"""A user's devices: list, rename, revoke, and when they were last seen."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from accounts import revocations
from accounts.models import Device, DeviceBox, RefreshToken
from kernel.errors import InvalidInput, NotFound
from kernel.ids import DeviceId

# Nobody needs it finer, and a device that reconnects all day should not write all day.
SEEN_EVERY: Final = timedelta(minutes=1)
# What would break a line or a terminal, and surrogates, which are no characters. Joiners belong to emoji: they may stay.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# The same for the OpenAPI page: none of those, and something that is not a space.
NAME_PATTERN: Final = (
    r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\s\x00-\x1f\x7f-\x9f\u2028\u2029][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$"
)
_NAME: Final = 64
_CLIENT_NAME: Final = 64
_CLIENT_VERSION: Final = 32


def list_live(user_id: UUID) -> list[Device]:
    """The user's devices that are not revoked, oldest first; their number is bounded."""
    return list(Device.objects.filter(user_id=user_id, revoked_at=None).order_by("id"))


def tellable(ids: Collection[UUID]) -> dict[UUID, bool]:
    """Those of these devices that are not revoked, and whether they may be told anything: not while the user is suspended."""
    living = Device.objects.filter(pk__in=ids, revoked_at=None)
    return {device: since is None for device, since in living.values_list("pk", "user__suspended_at")}


def rename(user_id: UUID, device_id: UUID, *, name: str) -> Device:
    """Rename one of the user's live devices. Raises `NotFound`."""
    checked = checked_name(name, field="name")
    if not Device.objects.filter(pk=device_id, user_id=user_id, revoked_at=None).update(name=checked):
        raise NotFound
    return Device.objects.get(pk=device_id)


def revoke_own(user_id: UUID, device_id: UUID) -> None:
    """Revoke one of the user's devices; a second time is harmless. Raises `NotFound` for somebody else's."""
    if not Device.objects.filter(pk=device_id, user_id=user_id).exists():
        raise NotFound
    revoke(device_id)


def revoke(device_id: UUID) -> None:
    """End a device for good: its tokens are refused and its sockets close, here at once, elsewhere within two seconds."""
    with transaction.atomic():
        # PostgreSQL's clock, since every process compares it with PostgreSQL's. The row's lock first: a refresh
        # that is under way ends before, and what it issued falls under this revocation.
        Device.objects.filter(pk=device_id, revoked_at=None).update(revoked_at=Now(), is_listed=False)
        RefreshToken.objects.filter(device_id=device_id).delete()
        DeviceBox.objects.filter(device_id=device_id).delete()
        transaction.on_commit(partial(revocations.add, DeviceId(device_id)))


def revoke_all() -> int:
    """End every device of everybody; answers how many. For `manage.py restored`: sockets are closed by the next look."""
    with transaction.atomic():
        ended = Device.objects.filter(revoked_at=None).update(revoked_at=Now(), is_listed=False)
        RefreshToken.objects.all().delete()
        DeviceBox.objects.all().delete()
    return ended


def seen(device_id: UUID, client_name: str = "", client_version: str = "", *, now: datetime | None = None) -> None:
    """Note that a device was here, and with what client; at most one write a minute unless the client changed.

    Call it outside of a transaction and off the event loop. What is too long is cut, what cannot be shown is dropped.
    """
    moment = now or timezone.now()
    changes: dict[str, object] = {"last_seen_at": moment}
    due = Q(last_seen_at=None) | Q(last_seen_at__lt=moment - SEEN_EVERY)
    if client_name or client_version:
        client = {
            "client_name": _shown(client_name, _CLIENT_NAME),
            "client_version": _shown(client_version, _CLIENT_VERSION),
        }
        changes |= client
        due |= ~Q(**client)
    Device.objects.filter(due, pk=device_id).update(**changes)


def checked_name(name: str, *, field: str) -> str:
    """A device's name without spaces around it: 1 to 64 characters in one line. Raises `InvalidInput`."""
    stripped = name.strip()
    if not 1 <= len(stripped) <= _NAME or _CONTROL.search(stripped):
        raise InvalidInput(f"a device's name is 1 to {_NAME} characters in one line", field=field)
    return stripped


def _shown(text: str, length: int) -> str:
    return _CONTROL.sub("", text)[:length]


def synced(device_id: UUID, version: int) -> int:
    """The device has stored its user's connections up to this version; answers the newest it ever said, never less."""
    Device.objects.filter(pk=device_id, connections_version__lt=version).update(connections_version=version)
    return Device.objects.values_list("connections_version", flat=True).get(pk=device_id)


def behind(user_id: UUID, *, version: int, grace_days: int) -> list[Device]:
    """The user's live devices that have not stored this version of the connections; not those unseen for `grace_days`."""
    seen_at = Coalesce("last_seen_at", "created_at")
    recent = Device.objects.filter(user_id=user_id, revoked_at=None, connections_version__lt=version)
    return list(recent.alias(seen_at=seen_at).filter(seen_at__gt=Now() - timedelta(days=grace_days)).order_by("id"))
