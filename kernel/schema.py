"""How refusals are described on the OpenAPI page: the one envelope of docs/protocol.md §2."""

from typing import Any

from rest_framework import serializers


class ProblemShape(serializers.Serializer[Any]):
    """Problem details (RFC 9457) with a stable `code`."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField(help_text="for people")
    field = serializers.CharField(required=False, help_text="the field at fault")
    retry_after = serializers.FloatField(required=False, help_text="seconds after which a repeat may succeed")


def problems(*statuses: int) -> dict[tuple[int, str], type[ProblemShape]]:
    """These refusals, for `extend_schema(responses=…)`."""
    return {(status, "application/problem+json"): ProblemShape for status in statuses}


def require_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A hook of drf-spectacular: a body that is one of several forms is needed as much as each of them."""
    schemas = result["components"]["schemas"]
    for operations in result["paths"].values():
        for operation in operations.values():
            body = operation.get("requestBody", {})
            for content in body.get("content", {}).values():
                name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                if "oneOf" in schemas.get(name, {}):
                    body["required"] = True
    return result
