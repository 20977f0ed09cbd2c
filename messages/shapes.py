"""What the message service takes and answers, for the OpenAPI page (docs/protocol.md §3 and §3.2)."""

from typing import Any

from drf_spectacular.utils import PolymorphicProxySerializer
from rest_framework import serializers

from accounts.forms import Form

MS = "ms since 1970"


class _Numbered(serializers.Serializer[Any]):
    seq = serializers.IntegerField(help_text="the number in your mailbox")


class MessageEntry(_Numbered):
    """A message."""

    kind = serializers.ChoiceField(["message"])
    id = serializers.UUIDField()
    room = serializers.UUIDField()
    sender = serializers.UUIDField()
    device = serializers.UUIDField(help_text="the sending device")
    recipient = serializers.UUIDField(allow_null=True, help_text="direct rooms only")
    sent_at = serializers.IntegerField(help_text=f"the sender's clock, {MS}")
    accepted_at = serializers.IntegerField(help_text=MS)
    alg = serializers.CharField()
    epoch = serializers.IntegerField()
    ciphertext = serializers.CharField(help_text="base64url without padding")
    delivered = serializers.BooleanField()
    read = serializers.BooleanField()


class RejectionEntry(_Numbered):
    """That `by` refused `message` of `sender`."""

    kind = serializers.ChoiceField(["rejection"])
    message = serializers.UUIDField()
    room = serializers.UUIDField()
    sender = serializers.UUIDField()
    device = serializers.UUIDField()
    by = serializers.UUIDField()
    reason = serializers.ChoiceField(["late", "blocked"])
    status = serializers.IntegerField()


class RoomEntry(_Numbered):
    """A change of who is in a room, or as what."""

    kind = serializers.ChoiceField(["room"])
    room = serializers.UUIDField()
    change = serializers.ChoiceField(["created", "added", "removed", "left", "role", "owner"])
    by = serializers.UUIDField()
    users = serializers.ListField(
        child=serializers.UUIDField(), help_text="whom it concerns; of more than 100, the first 100"
    )
    role = serializers.CharField(allow_null=True)
    members_version = serializers.IntegerField()


class ConnectionEntry(_Numbered):
    """A change of your connections: one of them (as `GET /connections/{user}` has it), or the settings."""

    kind = serializers.ChoiceField(["connection"])
    version = serializers.IntegerField(help_text="of all your connections")
    connection = serializers.DictField(required=False)
    settings = serializers.DictField(required=False)


class EpochEntry(_Numbered):
    """A room has a new epoch."""

    kind = serializers.ChoiceField(["epoch"])
    room = serializers.UUIDField()
    epoch = serializers.IntegerField()
    creator = serializers.UUIDField()
    device = serializers.UUIDField(help_text="the device that made and signed it")
    hash = serializers.CharField(help_text="SHA-256 of the signed record, base64url without padding")


class KeysEntry(_Numbered):
    """Keys of a user have changed: yours, or those of a contact or of the other in a direct room."""

    kind = serializers.ChoiceField(["keys"])
    user = serializers.UUIDField()
    document = serializers.IntegerField(help_text="the number of the user's newest key document")
    change = serializers.ChoiceField(["devices", "encryption", "identity", "vault_read"])
    device = serializers.UUIDField(allow_null=True, help_text="the device that it is about, if it is one")


class HiddenEntry(_Numbered):
    """The number is kept, the content is not there."""

    kind = serializers.ChoiceField(["hidden"])


def entries() -> PolymorphicProxySerializer:
    """A list of entries of any kind."""
    kinds: dict[str, Any] = {
        "message": MessageEntry,
        "rejection": RejectionEntry,
        "room": RoomEntry,
        "connection": ConnectionEntry,
        "epoch": EpochEntry,
        "keys": KeysEntry,
        "hidden": HiddenEntry,
    }
    return PolymorphicProxySerializer("Entry", kinds, resource_type_field_name="kind", many=True)


class MailboxPage(serializers.Serializer[Any]):
    """Entries in order."""

    entries = entries()
    last_seq = serializers.IntegerField(help_text="the newest number of the mailbox")
    next = serializers.IntegerField(allow_null=True, help_text="pass it as `after`; null at the end")


class UndeliveredPage(MailboxPage):
    """What this device has not acknowledged."""

    acknowledged = serializers.IntegerField(help_text="this device's cursor")


class RoomHistoryPage(serializers.Serializer[Any]):
    """Entries, newest first."""

    entries = entries()
    next = serializers.IntegerField(allow_null=True, help_text="pass it as `before`; null at the end")


class DeliveryShape(serializers.Serializer[Any]):
    """How a message stands with one recipient."""

    user = serializers.UUIDField()
    delivered = serializers.BooleanField()
    read = serializers.BooleanField()


class MessageStateShape(MessageEntry):
    """A message with its state."""

    deliveries = DeliveryShape(many=True, required=False, help_text="for its sender only")


class LaterShape(Form):
    """The proof: a message that was shown before."""

    later = serializers.UUIDField()


class RejectedShape(serializers.Serializer[Any]):
    """The message is refused."""

    message = serializers.UUIDField()
    reason = serializers.ChoiceField(["late"])


class SeqShape(Form):
    """A number of your mailbox."""

    seq = serializers.IntegerField(min_value=0)


class AcknowledgedShape(serializers.Serializer[Any]):
    """This device's cursor."""

    acknowledged = serializers.IntegerField()


class ReadShape(serializers.Serializer[Any]):
    """How far you have read the room."""

    room = serializers.UUIDField()
    seq = serializers.IntegerField()


class ReceiptShape(serializers.Serializer[Any]):
    """The newest message of one of your devices that a member has, and has read."""

    user = serializers.UUIDField()
    device = serializers.UUIDField()
    delivered = serializers.UUIDField(allow_null=True)
    read = serializers.UUIDField(allow_null=True)


class ReceiptsShape(serializers.Serializer[Any]):
    """Receipts of a room."""

    receipts = ReceiptShape(many=True)
