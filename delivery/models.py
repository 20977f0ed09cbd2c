"""What is still to be delivered, and how the work is divided (design §4)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Queue(models.Model):
    """A Celery queue of recipients. Its row is the lock under which its slots are drained."""

    name = models.CharField(primary_key=True, max_length=32)
    # Queues of one group are consumed by the same workers and drained by one wake-up.
    group = models.SmallIntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Slot(models.Model):
    """Which queue a slot of recipients belongs to. The truth; moved under the locks of both queues."""

    slot = models.SmallIntegerField(primary_key=True)
    queue = models.ForeignKey(Queue, on_delete=models.PROTECT, related_name="slots")
    # Raised with every move, so that nobody goes on by what was true of another map (delivery/drain.py, TAKE).
    version = models.IntegerField(default=1)


class Pending(models.Model):
    """One delivery still to be made: one row per (message, slot), its recipients frozen at accept."""

    pk = models.CompositePrimaryKey("slot", "id")
    id = models.BigIntegerField()
    slot = models.SmallIntegerField()
    recipients = ArrayField(models.UUIDField())
    kind = models.SmallIntegerField()
    message_id = models.UUIDField(null=True)
    room_id = models.UUIDField(null=True)
    # Whose doing it is, for the block step; null for what the system itself tells.
    sender_id = models.UUIDField(null=True)
    device_id = models.UUIDField(null=True)
    # The sending device's `connections_version` when the message was accepted (design §7).
    connections_version = models.BigIntegerField(default=0)
    payload = models.TextField(null=True)
    created_at = models.DateTimeField()


class Dead(models.Model):
    """A delivery that could not be made, set aside with its reason so that the queue goes on."""

    id = models.BigAutoField(primary_key=True)
    pending_id = models.BigIntegerField()
    slot = models.SmallIntegerField()
    recipients = ArrayField(models.UUIDField())
    kind = models.SmallIntegerField()
    message_id = models.UUIDField(null=True)
    room_id = models.UUIDField(null=True)
    sender_id = models.UUIDField(null=True)
    device_id = models.UUIDField(null=True)
    connections_version = models.BigIntegerField(default=0)
    payload = models.TextField(null=True)
    created_at = models.DateTimeField()
    failed_at = models.DateTimeField(auto_now_add=True)
    error = models.TextField()

    class Meta:
        verbose_name = "dead delivery"
        verbose_name_plural = "dead deliveries"

    def __str__(self) -> str:
        return f"delivery {self.pending_id} of slot {self.slot}"


class BlockCopy(models.Model):
    """Delivery's own copy of a block: nothing from `sender_id` reaches `recipient_id`."""

    pk = models.CompositePrimaryKey("recipient_id", "sender_id")
    recipient_id = models.UUIDField()
    sender_id = models.UUIDField()
    blocked_at = models.DateTimeField(auto_now_add=True)
