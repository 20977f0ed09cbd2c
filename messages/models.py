"""The message log's tables (design §4). Rows here are written by `messages/log.py`; the ORM reads what is not hot.

`Message` is partitioned by RANGE(id) and `Entry` by HASH(user), so their migrations are hand-written SQL
(messages/migrations/0001_initial.py); these classes describe the same columns. Ids of other apps' rows are plain
UUIDs: a foreign key would cost a look-up per row on the hot path, and retention must be able to drop a partition.
"""

from django.db import models

from messages.kinds import Kind


class Message(models.Model):
    """An accepted message. `id` is the client's UUIDv7, `sent_at` the sender's clock in ms, `accepted_at` PostgreSQL's."""

    id = models.UUIDField(primary_key=True)
    room_id = models.UUIDField()
    sender_id = models.UUIDField()
    device_id = models.UUIDField()
    # Direct rooms only: the other user.
    recipient_id = models.UUIDField(null=True)
    sent_at = models.BigIntegerField()
    accepted_at = models.DateTimeField()
    alg = models.CharField(max_length=32)
    epoch = models.IntegerField()
    ciphertext = models.BinaryField()

    def __str__(self) -> str:
        # For staff's eyes and logs: never what it says.
        return f"message {self.id}"


class Mailbox(models.Model):
    """A user's mailbox: the newest number given. Changed only under this row's lock."""

    user_id = models.UUIDField(primary_key=True)
    last_seq = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "mailboxes"

    def __str__(self) -> str:
        return f"mailbox of {self.user_id}"


class Entry(models.Model):
    """Number `seq` of a user's mailbox. `payload` holds the JSON members of every kind but MESSAGE."""

    pk = models.CompositePrimaryKey("user_id", "seq")
    user_id = models.UUIDField()
    seq = models.BigIntegerField()
    kind = models.SmallIntegerField(choices=Kind.choices)
    message_id = models.UUIDField(null=True)
    room_id = models.UUIDField(null=True)
    payload = models.TextField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user_id", "message_id"], name="a_mailbox_holds_a_message_once"),
        ]
        indexes = [models.Index(fields=["user_id", "room_id", "seq"], name="entry_of_room")]


class Cursor(models.Model):
    """How far one device has come: everything up to `seq` is on it. Survives the device's revocation."""

    device_id = models.UUIDField(primary_key=True)
    user_id = models.UUIDField(db_index=True)
    seq = models.BigIntegerField(default=0)


class ReadPosition(models.Model):
    """How far a user has read a room, in the reader's own numbers."""

    pk = models.CompositePrimaryKey("user_id", "room_id")
    user_id = models.UUIDField()
    room_id = models.UUIDField()
    seq = models.BigIntegerField()
    # Whether read receipts were on when it moved: what was read in private stays private.
    disclosed_seq = models.BigIntegerField(default=0)


class Rejection(models.Model):
    """That a recipient refused a message as late; once per (recipient, message)."""

    pk = models.CompositePrimaryKey("user_id", "message_id")
    user_id = models.UUIDField()
    message_id = models.UUIDField(db_index=True)
    reason = models.CharField(max_length=16)
    # The message that had been shown before: lower seq, same device and room, greater sent_at.
    later_id = models.UUIDField()
    rejected_at = models.DateTimeField(auto_now_add=True)
