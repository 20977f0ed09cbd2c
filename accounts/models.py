"""Users, their devices and refresh tokens; staff accounts, which are separate (design §4)."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models

from kernel.ids import uuid7


class Staff(AbstractUser):
    """Somebody who works in the admin, with an ordinary password. Never a messaging account."""

    # What `createsuperuser` asks for beside name and password: nothing, and no mail address.
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        verbose_name = "staff member"
        verbose_name_plural = "staff"


class User(models.Model):
    """A messaging account. `password` is the hash of the opaque string that clients derive by `kdf` from the real one.

    `recovery` is kept likewise: of the string derived from the recovery key, which signs in as well; empty without.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    username = models.CharField(max_length=32, unique=True)
    password = models.CharField(max_length=255)
    recovery = models.CharField(max_length=255, blank=True, default="", db_default="")
    # As clients sent it: {"alg", "m", "t", "p", "salt"}; none for whoever registered without and has no vault.
    kdf = models.JSONField(null=True, blank=True)
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
    # The device's signing key (Ed25519, 32 bytes), as the newest document that listed it has it.
    key = models.BinaryField(null=True)

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


class UserKeys(models.Model):
    """A user's signed key document (docs/protocol.md §6.3): the newest one, byte by byte, and what the server reads in it.

    Written under the lock of the user's row. The documents before it are `UserKeysHistory`.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    seq = models.IntegerField()
    payload = models.BinaryField()
    signature = models.BinaryField()
    digest = models.BinaryField()
    # The identity key (Ed25519), and the encryption key (X25519) with its version: 32 bytes each.
    uik = models.BinaryField()
    uek_version = models.IntegerField()
    uek_public = models.BinaryField()
    stored_at = models.DateTimeField()
    # The highest number that a document of an identity given up by a reset had: up to it, a number alone does not say
    # which document somebody knows.
    ambiguous_seq = models.IntegerField(default=0)

    def __str__(self) -> str:
        return f"keys {self.seq} of {self.user_id}"


class UserKeysHistory(models.Model):
    """A document that a newer one has replaced."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    seq = models.IntegerField()
    payload = models.BinaryField()
    signature = models.BinaryField()
    digest = models.BinaryField()
    stored_at = models.DateTimeField()
    # Whether the chain of `pruned` names it: then it is the only one that lists some old device, and stays.
    is_kept = models.BooleanField(default=False)
    # Of an identity given up by a reset: only there because somebody with a block between must not notice the reset.
    is_former = models.BooleanField(default=False, db_default=False)
    # See `UserKeys`, as it was then.
    ambiguous_seq = models.IntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "seq"], condition=models.Q(is_former=False), name="one_key_document_per_number"
            )
        ]


class Vault(models.Model):
    """A user's secrets, sealed by the clients: the JSON object of docs/protocol.md §6.2 as it came. Never shown to staff."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True, related_name="+")
    version = models.IntegerField()
    sealed = models.BinaryField()
    # How many pages of old encryption keys lie beside it.
    archives = models.IntegerField(default=0)


class VaultArchive(models.Model):
    """A page of encryption keys that have left the vault, sealed under the vault's own key. Written once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    page = models.IntegerField()
    sealed = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "page"], name="one_archive_per_page")]


class DeviceBox(models.Model):
    """The newest encryption key that another device of the user sealed to this one (80 bytes)."""

    device = models.OneToOneField(Device, on_delete=models.CASCADE, primary_key=True, related_name="+")
    version = models.IntegerField()
    sealed = models.BinaryField()
