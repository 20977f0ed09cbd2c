"""A refusal of the server, the same on REST and on the socket (protocol §2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The codes whose repeat may succeed. Others with status 5xx (a proxy's 502, say) are repeated too: the outcome is
# unknown, and a repeat with the same id cannot do harm.
RETRYABLE = frozenset({"rate_limited", "unavailable", "overloaded", "earlier_send_refused"})
# Codes that concern everything this device sends, not one room.
EVERYTHING = frozenset({"rate_limited", "overloaded"})


@dataclass(frozen=True)
class Problem:
    """Problem details (RFC 9457) with the protocol's `code`; `retry_after` is in seconds, other members in `more`."""

    code: str
    status: int
    title: str = ""
    detail: str = ""
    retry_after: float | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def may_retry(self) -> bool:
        """Whether the same request can succeed later."""
        return self.code in RETRYABLE or self.status >= 500

    def __str__(self) -> str:
        where = f" ({self.more['field']})" if "field" in self.more else ""
        return f"{self.status} {self.code}{where}: {self.detail or self.title}"


def decode_problem(fields: object, *, status: int = 0) -> Problem:
    """Read a problem object; what has no code (an answer that is not ours) becomes `http_<status>`."""
    if not isinstance(fields, dict) or not isinstance(fields.get("code"), str):
        return Problem(code=f"http_{status}", status=status, title="The answer is not a Letterlock problem.")
    known = {"type", "title", "status", "code", "detail", "retry_after"}
    after = fields.get("retry_after")
    given = fields.get("status")
    return Problem(
        code=fields["code"],
        status=given if isinstance(given, int) else status,
        title=str(fields.get("title", "")),
        detail=str(fields.get("detail", "")),
        retry_after=float(after) if isinstance(after, int | float) else None,
        more={name: value for name, value in fields.items() if name not in known},
    )
