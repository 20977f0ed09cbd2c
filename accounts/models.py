"""Users, their devices and refresh tokens; staff accounts, which are separate (design §4)."""

from django.contrib.auth.models import AbstractUser
from django.db import models

from kernel.ids import uuid7


class Staff(AbstractUser):
    """Somebody who works in the admin, with an ordinary password. Never a messaging account."""

    class Meta:
        verbose_name = "staff member"
        verbose_name_plural = "staff"


class User(models.Model):
    """A messaging account. `password` is the hash of the opaque string that clients derive."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=32, unique=True)
    password = models.CharField(max_length=255)
    created_at = models.DateTimeField(auto_now_add=True)
    suspended_at = models.DateTimeField(null=True, blank=True)
    read_receipts = models.BooleanField(default=True)

    class Meta:
        indexes = [
            # Every process asks each second who is suspended (accounts/revocations.py); only those few rows are in here.
            models.Index(
                fields=["suspended_at"], name="user_suspended", condition=models.Q(suspended_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.username


class Device(models.Model):
    """One sign-in of a user; holds until it is revoked."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="devices")
    name = models.CharField(max_length=64)
    client_name = models.CharField(max_length=64, blank=True)
    client_version = models.CharField(max_length=32, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    # The newest version of the user's connections that this device has reported as stored (design §7).
    connections_version = models.BigIntegerField(default=0)
    # Whether the user's signed key document lists this device as a live one: only then may it send sealed messages.
    is_listed = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes = [
            # Every process polls for new revocations each second; only the few revoked rows are in here.
            models.Index(fields=["revoked_at"], name="device_revoked", condition=models.Q(revoked_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


class RefreshToken(models.Model):
    """One link in a device's chain of refresh tokens; only its SHA-256 is kept."""

    digest = models.BinaryField(primary_key=True)
    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="refresh_tokens")
    issued_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    # Set when it was exchanged; a second use later than a short grace is theft and revokes the device.
    used_at = models.DateTimeField(null=True)


class SignInAttempt(models.Model):
    """Failed sign-ins per account or address in a window: kept here and not in Valkey, so that losing Valkey opens nothing."""

    # "user:<name>" or "address:<ip>"
    subject = models.CharField(primary_key=True, max_length=160)
    failures = models.PositiveIntegerField(default=0)
    window_started_at = models.DateTimeField(db_index=True)
