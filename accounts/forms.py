"""What requests may look like: exactly the named fields, of exactly the named types (docs/protocol.md §1)."""

from collections.abc import Mapping
from typing import Any

from django.core.validators import ProhibitNullCharactersValidator
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from kernel.errors import InvalidInput, UnknownField


class Form(serializers.Serializer[Any]):
    """The base of request bodies: an object without unknown fields."""

    def to_internal_value(self, data: Any) -> Any:
        """Raises `UnknownField`, so that a client bug can never store a plaintext."""
        if isinstance(data, Mapping):
            for name in data:
                if name not in self.fields:
                    raise UnknownField(f"{name} is not a field of this request", field=name)
        return super().to_internal_value(data)

    @classmethod
    def read(cls, request: Request) -> dict[str, Any]:
        """The body's fields, checked. Raises `InvalidInput` with the field at fault."""
        if not isinstance(request.data, dict):
            raise InvalidInput("the body must be a JSON object")
        form = cls(data=request.data)
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)


class ClosedForm(OpenApiSerializerExtension):
    """How the OpenAPI page says that a form has no other fields."""

    target_class = "accounts.forms.Form"
    match_subclasses = True

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        """The schema as it would be, closed."""
        schema = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**schema, "additionalProperties": False}


class Text(serializers.CharField):
    """A JSON string, taken as it is: no number is turned into one, no space is cut off."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_length": 1, "trim_whitespace": False, **options})
        # A password may hold anything; what goes to PostgreSQL as text is checked where its form is known.
        self.validators = [one for one in self.validators if not isinstance(one, ProhibitNullCharactersValidator)]

    def to_internal_value(self, data: Any) -> str:
        """Raises a ValidationError for anything but a string."""
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class Flag(serializers.BooleanField):
    """JSON's true or false, and none of the words that mean them."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises a ValidationError for anything else."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


@extend_schema_field(OpenApiTypes.INT64)
class Milliseconds(serializers.Field[Any, Any, Any, Any]):
    """A time as milliseconds since 1970, for answers."""

    def to_representation(self, value: Any) -> int:
        """From an aware datetime."""
        milliseconds: float = value.timestamp() * 1000
        return round(milliseconds)


class Problem(serializers.Serializer[Any]):
    """Problem details (RFC 9457 §3), as every refusal is answered (docs/protocol.md §2)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    field = serializers.CharField(required=False)
    retry_after = serializers.FloatField(required=False)
