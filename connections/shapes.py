"""What the connection service takes and answers, for the OpenAPI page (docs/protocol.md §5)."""

from typing import Any, Final

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from accounts.forms import Form
from connections.models import Book
from connections.rules import STATES, Action
from kernel.forms import BIGINT
from kernel.schema import ProblemShape

MS: Final = "ms since 1970"
BYTES: Final = "base64url without padding"
PLAIN_ACTIONS: Final = [action.value for action in Action if action is not Action.NOTE]


@extend_schema_field({"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$"})
class Name(serializers.CharField):
    """A user name as somebody types it."""


@extend_schema_field({"oneOf": [{"type": "integer"}, {"type": "string"}], "nullable": True})
class Next(serializers.Field[Any, Any, Any, Any]):
    """Where a page ends: a version, or a name."""


class ConnectionShape(serializers.Serializer[Any]):
    """What you have with another user."""

    user = serializers.UUIDField()
    username = serializers.CharField()
    state = serializers.ChoiceField(STATES)
    blocked = serializers.BooleanField(help_text="you block the other")
    blocked_by = serializers.BooleanField(help_text="the other blocks you, where blocks are disclosed")
    note = serializers.CharField(allow_blank=True, help_text=f"ciphertext of your clients, {BYTES}; empty without")
    version = serializers.IntegerField(help_text="that of the change; 0 where nothing was ever changed")
    changed_by = serializers.UUIDField(allow_null=True, help_text="your device that made it; null: the other side did")
    changed_at = serializers.IntegerField(help_text=MS)


class SettingsShape(serializers.Serializer[Any]):
    """Who may reach you."""

    who_may_open = serializers.ChoiceField(Book.Audience.values, help_text="open a direct room with you")
    who_may_add = serializers.ChoiceField(Book.Audience.values, help_text="add you to a group")
    strangers = serializers.ChoiceField(
        Book.Strangers.values, help_text="where that goes which somebody who is no contact writes in a new direct room"
    )


class SettingsForm(Form):
    """Any of them."""

    who_may_open = serializers.ChoiceField(Book.Audience.values, required=False)
    who_may_add = serializers.ChoiceField(Book.Audience.values, required=False)
    strangers = serializers.ChoiceField(Book.Strangers.values, required=False)


class AtLeastOne(OpenApiSerializerExtension):
    """How the OpenAPI page says that an empty form of settings is none."""

    target_class = "connections.shapes.SettingsForm"
    # Before accounts.forms.ClosedForm, which is for all forms.
    priority = 1

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """The schema of any form, not empty."""
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False, "minProperties": 1}


class PageShape(serializers.Serializer[Any]):
    """Connections; with `since` the changes by version, with settings and consistency, else a list by name."""

    connections = ConnectionShape(many=True)
    version = serializers.IntegerField(help_text="of all your connections; of the last page: store it")
    settings = SettingsShape(required=False)
    consistency = serializers.ChoiceField(["confirm", "restrict"], required=False)
    next = Next(help_text="pass it as `since` or `after`; null at the end")


class _Change(Form):
    base_version = serializers.IntegerField(
        min_value=0, max_value=BIGINT, help_text="what this device had stored when its user pressed the button"
    )


class ChangeShape(_Change):
    """A change about a user by id."""

    action = serializers.ChoiceField(PLAIN_ACTIONS)
    user = serializers.UUIDField()


class ChangeByNameShape(_Change):
    """A change about a user by name."""

    action = serializers.ChoiceField(PLAIN_ACTIONS)
    username = Name()


class NoteShape(_Change):
    """A note about a user by id."""

    action = serializers.ChoiceField(["note"])
    user = serializers.UUIDField()
    note = serializers.CharField(allow_blank=True, help_text=BYTES)


class NoteByNameShape(_Change):
    """A note about a user by name."""

    action = serializers.ChoiceField(["note"])
    username = Name()
    note = serializers.CharField(allow_blank=True, help_text=BYTES)


ANY_CHANGE = PolymorphicProxySerializer(
    "ConnectionChange", [ChangeShape, ChangeByNameShape, NoteShape, NoteByNameShape], resource_type_field_name=None
)


class ChangedShape(serializers.Serializer[Any]):
    """The connection afterwards."""

    connection = ConnectionShape()
    version = serializers.IntegerField(help_text="of all your connections")


class VersionShape(serializers.Serializer[Any]):
    """The newest version that this device has reported."""

    version = serializers.IntegerField()


class SyncedShape(Form):
    """What this device has stored."""

    version = serializers.IntegerField(min_value=0, max_value=BIGINT)


class ChangedSinceShape(ProblemShape):
    """`connection_changed`: what there is now, what was asked for, and whose change came in between; or `conflict`."""

    connection = ConnectionShape(required=False)
    version = serializers.IntegerField(required=False, help_text="confirm with this `base_version`")
    request = serializers.DictField(required=False)
    changed_by = serializers.UUIDField(required=False, allow_null=True)
    changed_at = serializers.IntegerField(required=False, help_text=MS)


class LaggingDeviceShape(serializers.Serializer[Any]):
    """A device of yours that has not stored the block."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    last_seen_at = serializers.IntegerField(allow_null=True, help_text=MS)


class DevicesLagShape(ProblemShape):
    """`devices_lag`."""

    devices = LaggingDeviceShape(many=True)


NAME_PARAMETER: Final = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,32}$"}
