"""Sessions: a device, an access token and the refresh token that renews it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from django.db import transaction

from accounts import devices, refresh_tokens, tokens
from accounts.models import Device, User
from accounts.refresh_tokens import Standing
from accounts.tokens import Suspended
from kernel import limits, rates
from kernel.errors import Conflict, Unauthenticated


class TooManyDevices(Conflict):
    """The user has as many live devices as are allowed."""

    code = "too_many_devices"
    title = "There are too many devices; revoke one first."


@dataclass(frozen=True, slots=True)
class Session:
    """What a client holds. Prints no token."""

    device: Device
    access: str
    access_expires_at: datetime
    refresh: str
    refresh_expires_at: datetime

    @property
    def user(self) -> User:
        """Whose device it is."""
        return self.device.user

    def __repr__(self) -> str:
        return f"<session of device {self.device.pk}>"


def open_session(user: User, *, device_name: str, now: datetime) -> Session:
    """Make a device and its tokens, in the caller's transaction. Raises `Suspended` and `TooManyDevices`."""
    # Sign-ins of one user wait for each other here, or two could both take the last place.
    user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if user.suspended_at is not None:
        raise Suspended
    if Device.objects.filter(user=user, revoked_at=None).count() >= limits.DEVICES:
        raise TooManyDevices(f"a user has at most {limits.DEVICES} devices")
    device = Device.objects.create(
        user=user, name=devices.checked_name(device_name, field="device_name"), last_seen_at=now
    )
    return _renewed(device, now=now)


def refresh(token: str, *, now: datetime) -> Session:
    """Spend a refresh token for a new pair. Raises `Unauthenticated` and `Suspended`.

    A token that was spent before is theft, or looks like it: the device is revoked, so that neither party has it.
    """
    sealed = refresh_tokens.unseal(token, now=now)
    rates.take("request", sealed.device_id)
    with transaction.atomic():
        device = (
            Device.objects.select_for_update(no_key=True, of=("self",))
            .select_related("user")
            .filter(pk=sealed.device_id)
            .first()
        )
        if device is None or device.revoked_at is not None:
            raise Unauthenticated("This device has been revoked; sign in again.")
        if device.user.suspended_at is not None:
            raise Suspended
        if refresh_tokens.spend(sealed, now=now) is not Standing.REPLAYED:
            transaction.on_commit(partial(devices.seen, device.pk, now=now))
            return _renewed(device, now=now)
        devices.revoke(device.pk)
    raise Unauthenticated("This refresh token was used before; the device has been revoked. Sign in again.")


def _renewed(device: Device, *, now: datetime) -> Session:
    access, ends_ms = tokens.issue(device.user_id, device.pk, now=now.timestamp())
    renewal, renewal_ends = refresh_tokens.issue(device, now=now)
    return Session(device, access, datetime.fromtimestamp(ends_ms / 1000, UTC), renewal, renewal_ends)
