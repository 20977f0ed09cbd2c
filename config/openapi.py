"""What drf-spectacular cannot know of our API: that a field which the protocol does not name is refused (docs/protocol.md §1)."""

from typing import Any

_PREFIX = "#/components/schemas/"


def refuse_unknown_fields(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Postprocessing hook: every object that a request may carry says `additionalProperties: false`."""
    components = result.get("components", {}).get("schemas", {})
    for operations in result["paths"].values():
        for operation in operations.values():
            _close(operation.get("requestBody", {}), components, set())
    return result


def _close(node: Any, components: dict[str, Any], seen: set[str]) -> None:
    """Close the objects in this part of the document, and those that it refers to."""
    if isinstance(node, list):
        for item in node:
            _close(item, components, seen)
        return
    if not isinstance(node, dict):
        return
    name = str(node.get("$ref", "")).removeprefix(_PREFIX)
    if name and name not in seen:
        seen.add(name)
        _close(components.get(name), components, seen)
    if "properties" in node:
        node.setdefault("additionalProperties", False)
    for value in node.values():
        _close(value, components, seen)
