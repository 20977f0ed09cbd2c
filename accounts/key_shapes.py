"""What the endpoints of keys and vaults take and answer, for the OpenAPI page (docs/protocol.md §6.1-6.3)."""

from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema_field
from rest_framework import serializers

from accounts import documents
from accounts.forms import Form, Text
from accounts.serializers import KdfField
from accounts.vaults import MOST
from kernel import limits
from kernel.schema import ProblemShape

BYTES: Final = "base64url without padding"
# Canonical: the last character has no bits that decode to nothing.
OF_32: Final = "^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$"
OF_60: Final = "^[A-Za-z0-9_-]{80}$"
OF_64: Final = "^[A-Za-z0-9_-]{85}[AQgw]$"
OF_80: Final = "^[A-Za-z0-9_-]{106}[AEIMQUYcgkosw048]$"
ANY_BYTES: Final = "^([A-Za-z0-9_-]{4})*([A-Za-z0-9_-][AQgw]|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])?$"


def if_match(what: str) -> OpenApiParameter:
    """The header that names what a change is based on."""
    return OpenApiParameter(
        "If-Match",
        {"type": "string", "pattern": "^[0-9]{1,9}$"},
        location=OpenApiParameter.HEADER,
        required=True,
        description=f"{what} that this follows",
    )


@extend_schema_field({"type": "string", "pattern": ANY_BYTES, "minLength": 40})
class Sealed(Text):
    """Something sealed, of any length that fits: what is too large is told apart (413)."""


@extend_schema_field({"type": "string", "pattern": OF_60})
class SealedKey(Text):
    """A key of 32 bytes, sealed by AES-256-GCM."""


@extend_schema_field({"type": "string", "pattern": OF_64})
class Signature(Text):
    """An Ed25519 signature."""


class IdentitySignatureShape(Form):
    """The one signature of an envelope."""

    keyid = serializers.ChoiceField([documents.KEYID])
    sig = Signature()


class EnvelopeShape(Form):
    """A key document in a DSSE envelope; the payload is JSON in base64url without padding."""

    payloadType = serializers.ChoiceField([documents.KIND])  # noqa: N815 - DSSE's name
    payload = Sealed()
    signatures = serializers.ListField(child=IdentitySignatureShape(), min_length=1, max_length=1)


class PasswordSlotShape(Form):
    """The vault's key, sealed under what the password gives."""

    type = serializers.ChoiceField(["pw"])
    kdf = KdfField()
    ct = SealedKey()


class RecoverySlotShape(Form):
    """The vault's key, sealed under what the recovery key gives."""

    type = serializers.ChoiceField(["rk"])
    ct = SealedKey()


class VaultShape(Form):
    """A user's secrets, sealed; at most 16 KiB as JSON."""

    v = serializers.ChoiceField([1])
    version = serializers.IntegerField(min_value=1, max_value=MOST)
    ct = Sealed()
    slots = PolymorphicProxySerializer(
        "Slot", {"pw": PasswordSlotShape, "rk": RecoverySlotShape}, resource_type_field_name="type", many=True
    )


class ArchiveShape(Form):
    """A page of encryption keys that left the vault."""

    page = serializers.IntegerField(min_value=1, max_value=MOST)
    ct = Sealed()


class SetupShape(Form):
    """A user's first keys."""

    userkeys = EnvelopeShape()
    vault = VaultShape()
    recovery_auth = Text(max_length=256, required=False, help_text="what signs in with the recovery key")


class ResetShape(SetupShape):
    """A user's keys, from the beginning; `auth` is the present password."""

    auth = Text(max_length=256)


class ChangedVaultShape(Form):
    """The next vault; `auth` is the present password."""

    vault = VaultShape()
    auth = Text(max_length=256)
    archive = ArchiveShape(required=False)
    recovery_auth = Text(max_length=256, required=False, help_text="what signs in with a new recovery key")


@extend_schema_field({"type": "object", "additionalProperties": {"type": "string", "pattern": OF_80}})
class Boxes(serializers.Field[Any, Any, Any, Any]):
    """Device → the new encryption key sealed to its box key."""


class StepShape(Form):
    """The next key document, and what changes with it."""

    userkeys = EnvelopeShape()
    vault = VaultShape(required=False)
    archive = ArchiveShape(required=False)
    boxes = Boxes(required=False)


class ByOldShape(Form):
    """Another password, proved by the present one."""

    old_auth = Text(max_length=256)
    new_auth = Text(max_length=256)
    kdf = KdfField()
    vault = VaultShape(required=False, help_text="needed as soon as there is one")


class ByRecoveryShape(Form):
    """Another password, proved by the recovery key."""

    recovery_auth = Text(max_length=256)
    new_auth = Text(max_length=256)
    kdf = KdfField()
    vault = VaultShape(required=False, help_text="needed as soon as there is one")


ANY_PASSWORD = PolymorphicProxySerializer(
    "PasswordChange", [ByOldShape, ByRecoveryShape], resource_type_field_name=None
)


@extend_schema_field(
    {
        "type": "object",
        "maxProperties": limits.KEY_QUERY,
        "additionalProperties": {"type": "integer", "minimum": 0, "maximum": documents.MOST},
    }
)
class Known(serializers.Field[Any, Any, Any, Any]):
    """User → the number of the document that the asker has, 0 without."""


class QueryShape(Form):
    """Whose documents are asked for."""

    known = Known()


class KdfShape(serializers.Serializer[Any]):
    """How to split the password."""

    alg = serializers.CharField()
    m = serializers.IntegerField(help_text="KiB")
    t = serializers.IntegerField(help_text="passes")
    p = serializers.IntegerField(help_text="lanes")
    salt = serializers.CharField(help_text=f"16 bytes, {BYTES}")


class DocumentNumberShape(serializers.Serializer[Any]):
    """The number of the document that was stored."""

    seq = serializers.IntegerField()


class VaultVersionShape(serializers.Serializer[Any]):
    """The version of the vault that was stored."""

    version = serializers.IntegerField(allow_null=True)


class BegunShape(serializers.Serializer[Any]):
    """The first document and the first vault."""

    seq = serializers.IntegerField()
    version = serializers.IntegerField()


class BoxShape(serializers.Serializer[Any]):
    """An encryption key that was sealed to this device."""

    ver = serializers.IntegerField()
    ct = serializers.CharField(help_text=f"80 bytes, {BYTES}")


class UserKeysShape(serializers.Serializer[Any]):
    """A key document."""

    userkeys = EnvelopeShape()


# User → the document, or that it is the known one.
FOUND: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [
            {"$ref": "#/components/schemas/UserKeysShape"},
            {
                "type": "object",
                "properties": {"unchanged": {"type": "boolean", "enum": [True]}},
                "required": ["unchanged"],
                "additionalProperties": False,
            },
        ]
    },
}


class OtherSeqShape(ProblemShape):
    """`seq`: there is another document."""

    seq = serializers.IntegerField(required=False)
    version = serializers.IntegerField(required=False, help_text="`version`: there is another vault")
