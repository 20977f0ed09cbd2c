"""What is still to be delivered, and how the work is divided (design §4)."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Queue(models.Model):
    """A Celery queue of recipients. Its row is the lock under which its slots are drained."""

    name = models.CharField(primary_key=True, max_length=32)
    # Queues of one group are consumed by the same workers and drained by one wake-up.
    group = models.SmallIntegerField(default=0)
    # Made for one hot recipient (`manage.py queues isolate`): rebalancing leaves it alone.
    reserved = models.BooleanField(default=False, db_default=False)

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
    """Delivery's own copy of what keeps a sender's messages from a recipient, written in the transaction of the block."""

    pk = models.CompositePrimaryKey("recipient_id", "sender_id")
    recipient_id = models.UUIDField()
    sender_id = models.UUIDField()
    # The recipient blocks the sender: nothing of the sender's reaches the recipient, in any room.
    everywhere = models.BooleanField(default=True)
    # One of them blocks the other: nothing passes in their direct room.
    direct = models.BooleanField(default=True)
    # The sender is a stranger who waits in the recipient's request box: direct messages are held.
    held = models.BooleanField(default=False)
    # The version of the *sender's* connections that says so; none: the sender is not told.
    known_version = models.BigIntegerField(null=True)
    # Messages of the sender's with greater numbers are hidden wherever the recipient's mailbox is read: what no device of
    # the recipient's had when the block came.
    hides_after = models.BigIntegerField(null=True)
    # How far the recipient had read each shared room then, as others may know it: room → seq. All that the sender learns.
    frozen_reads = models.JSONField(default=dict)
    blocked_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["sender_id"], name="blocks_of_sender")]


class Held(models.Model):
    """A delivery to one recipient that waits in the request box; becomes a pending one when the request is accepted."""

    recipient_id = models.UUIDField()
    sender_id = models.UUIDField()
    # The pending row's, which it gets back: so it stands before what the sender has written since.
    pending_id = models.BigIntegerField()
    slot = models.SmallIntegerField()
    kind = models.SmallIntegerField()
    message_id = models.UUIDField(null=True)
    room_id = models.UUIDField(null=True)
    device_id = models.UUIDField(null=True)
    connections_version = models.BigIntegerField(default=0)
    payload = models.TextField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["recipient_id", "sender_id", "pending_id"], name="a_delivery_is_held_once")
        ]
        indexes = [models.Index(fields=["message_id"], name="held_message")]


class SyncReport(models.Model):
    """That a device has said at a time that it has stored a version of its user's connections."""

    id = models.BigAutoField(primary_key=True)
    device_id = models.UUIDField()
    version = models.BigIntegerField()
    reported_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["device_id", "version"], name="report_of_device")]


class AbuseAlert(models.Model):
    """A device sends messages to somebody who blocks it (or whom its own user blocks) although it had synced the block.

    One open alert per (device, recipient): further messages are counted. Never a body.
    """

    class State(models.TextChoices):
        OPEN = "open"
        ACKNOWLEDGED = "acknowledged"

    device_id = models.UUIDField()
    sender_id = models.UUIDField()
    recipient_id = models.UUIDField()
    # The device's client, as it was at the first of the messages.
    client_name = models.CharField(max_length=64, blank=True)
    client_version = models.CharField(max_length=32, blank=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    count = models.PositiveBigIntegerField(default=0)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    # The newest of the messages, to find it in logs and by `manage.py trace`.
    last_message_id = models.UUIDField()
    # The version that said so, the newest one that the device had reported by then, and the one at the newest accept.
    block_version = models.BigIntegerField()
    reported_version = models.BigIntegerField()
    accepted_version = models.BigIntegerField()
    notes = models.TextField(blank=True)
    handled_by = models.ForeignKey(
        "accounts.Staff", null=True, blank=True, on_delete=models.SET_NULL, related_name="handled_alerts"
    )
    handled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["device_id", "recipient_id"], condition=Q(state="open"), name="one_open_alert_per_pair"
            )
        ]
        indexes = [models.Index(fields=["state", "-last_at"], name="alerts_by_state")]

    def __str__(self) -> str:
        return f"alert {self.pk}"


class AlertNotice(models.Model):
    """What has been told of an alert through one channel, and when it is tried again."""

    class Channel(models.TextChoices):
        MAIL = "mail"
        WEBHOOK = "webhook"

    alert = models.ForeignKey(AbuseAlert, on_delete=models.CASCADE, related_name="notices")
    channel = models.CharField(max_length=8, choices=Channel.choices)
    # The count that was told last, and when; nothing further within the hour.
    told_count = models.PositiveBigIntegerField(default=0)
    told_at = models.DateTimeField(null=True)
    # Failures since, and when to try again.
    failures = models.PositiveIntegerField(default=0)
    retry_at = models.DateTimeField(null=True)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["alert", "channel"], name="one_notice_per_channel")]
