"""Who wants to be told by push, and of which rooms not."""

from django.db import models
from django.db.models import Q


class Subscription(models.Model):
    """Where and how one device is told. The endpoint is a secret of the device's: whoever knows it can send there."""

    device_id = models.UUIDField(primary_key=True)
    user_id = models.UUIDField(db_index=True)
    endpoint = models.CharField(max_length=1_024, unique=True)
    p256dh = models.BinaryField()
    auth = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    # Everything up to this number of the mailbox has been decided on.
    looked_seq = models.BigIntegerField(default=0)
    # When to look next; null: nothing has come since.
    due_at = models.DateTimeField(null=True)
    # Somebody is at it until then, or has died.
    claimed_until = models.DateTimeField(null=True)
    # Told when the mailbox had this number; not again until the device has acknowledged it, or until that time.
    rung_seq = models.BigIntegerField(default=0)
    quiet_until = models.DateTimeField(null=True)
    # In a row.
    failures = models.PositiveSmallIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=Q(due_at__isnull=False), name="subscriptions_due")]

    def __str__(self) -> str:
        return f"subscription of device {self.device_id}"


class Mute(models.Model):
    """The user wants no push for what is written in this room."""

    pk = models.CompositePrimaryKey("user_id", "room_id")
    user_id = models.UUIDField()
    room_id = models.UUIDField()
