"""The shapes of requests and answers about accounts and devices (docs/protocol.md §3)."""

from typing import Any, Final

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from accounts import devices, kdf
from accounts.forms import Flag, Form, Milliseconds, Text

USERNAME_SCHEMA: Final = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$"}


@extend_schema_field(USERNAME_SCHEMA)
class Username(Text):
    """A user name as somebody types it; `users.folded` checks it."""


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 64, "pattern": devices.NAME_PATTERN})
class DeviceName(Text):
    """A device's name; `devices.checked_name` checks it."""


KDF_SCHEMA: Final = {
    "type": "object",
    "description": "Argon2id: memory in KiB, passes, lanes, and 16 bytes of base64url without padding",
    "properties": {
        "alg": {"type": "string", "enum": [kdf.ALGORITHM]},
        **{
            name: {"type": "integer", "minimum": least, "maximum": most}
            for name, (least, most, _) in kdf.BOUNDS.items()
        },
        "salt": {"type": "string", "pattern": "^[A-Za-z0-9_-]{21}[AQgw]$"},
    },
    "required": ["alg", *kdf.BOUNDS, "salt"],
}


@extend_schema_field(KDF_SCHEMA)
class KdfField(serializers.Field[Any, Any, Any, Any]):
    """By what a client splits its user's password; `kdf.read` checks it."""

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Raises `InvalidInput`."""
        return kdf.read(data, "kdf")

    def to_representation(self, value: Any) -> Any:
        """As it is kept."""
        return value


class RegisterForm(Form):
    """Register: the password is an opaque string that the client derives, by `kdf` if it says so."""

    username = Username()
    password = Text(max_length=256)
    device_name = DeviceName(max_length=64)
    kdf = KdfField(required=False)


class SignInForm(Form):
    """Sign-in: by the string derived from the password, or by the one derived from the recovery key."""

    username = Username()
    password = Text(max_length=256, required=False)
    recovery = Text(max_length=256, required=False)
    device_name = DeviceName(max_length=64)


class PasswordSignIn(Form):
    """By the string derived from the password."""

    username = Username()
    password = Text(max_length=256)
    device_name = DeviceName(max_length=64)


class RecoverySignIn(Form):
    """By the string derived from the recovery key."""

    username = Username()
    recovery = Text(max_length=256)
    device_name = DeviceName(max_length=64)


ANY_SIGN_IN = PolymorphicProxySerializer("SignIn", [PasswordSignIn, RecoverySignIn], resource_type_field_name=None)


class RefreshForm(Form):
    """A refresh token, to be spent."""

    refresh = Text(max_length=256)


class Nothing(Form):
    """An empty object."""


class AccountForm(Form):
    """What a user may change about the account."""

    read_receipts = Flag()


class DeviceForm(Form):
    """What a user may change about a device."""

    name = DeviceName(max_length=64)


class UserShape(serializers.Serializer[Any]):
    """A user, as others see one."""

    id = serializers.UUIDField()
    username = serializers.CharField()


class DeviceNameShape(serializers.Serializer[Any]):
    """Which device it is."""

    id = serializers.UUIDField()
    name = serializers.CharField()


class TokensShape(serializers.Serializer[Any]):
    """A new pair of tokens; the ends are milliseconds since 1970."""

    access = serializers.CharField()
    access_expires_at = Milliseconds()
    refresh = serializers.CharField()
    refresh_expires_at = Milliseconds()


class SessionShape(TokensShape):
    """A new device with its tokens."""

    user = UserShape()
    device = DeviceNameShape()


class AccountShape(UserShape):
    """The caller's own account."""

    created_at = Milliseconds()
    read_receipts = serializers.BooleanField()


class DeviceShape(DeviceNameShape):
    """One of the caller's devices. `client` is what the device last said it runs."""

    client = serializers.SerializerMethodField()
    created_at = Milliseconds()
    last_seen_at = Milliseconds(allow_null=True)
    this_device = serializers.SerializerMethodField()

    def get_client(self, device: Any) -> str:
        """`name version`, or empty."""
        return f"{device.client_name} {device.client_version}".strip()

    def get_this_device(self, device: Any) -> bool:
        """Whether the request came from it."""
        return bool(device.pk == self.context["device_id"])


class DevicesShape(serializers.Serializer[Any]):
    """The caller's live devices, oldest first."""

    devices = DeviceShape(many=True)
