"""One error family. A `DomainError` knows its stable code and whether repeating can help, and nothing of HTTP.

DomainError
  ├── defined in the module that raises it, with a `code`, a `title` and the `status` of RFC 9457
  └── turned into problem details (REST and socket alike) by `problem()`
"""

from typing import Any, ClassVar


class DomainError(Exception):
    """A refusal that a client can act on: stable `code`, HTTP-like `status`, whether a repeat may succeed."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The request was refused."
    status: ClassVar[int] = 400
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str = "", *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.retry_after = retry_after
        self.fields = fields

    def problem(self) -> dict[str, Any]:
        """The problem-details object of RFC 9457 §3, with our `code`; `retry_after` is in seconds."""
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.retry_after is not None:
            body["retry_after"] = self.retry_after
        body.update(self.fields)
        return body


class InvalidInput(DomainError):
    """A field has the wrong form. `field` names it."""

    code = "invalid"
    title = "The request has the wrong form."
    status = 400


class UnknownField(InvalidInput):
    """A field that the protocol does not know: refused, so that a client bug can never store a plaintext."""

    code = "unknown_field"
    title = "The request has a field that is not part of the protocol."


class Unauthenticated(DomainError):
    """No token, a bad one, an expired one, or one of a revoked device."""

    code = "unauthenticated"
    title = "Sign in first."
    status = 401


class NotFound(DomainError):
    """Not there, or not for you: both are answered alike, so that existence is not revealed."""

    code = "not_found"
    title = "There is no such thing, or it is not yours to see."
    status = 404


class Forbidden(DomainError):
    """You are in it, but your role does not allow this."""

    code = "forbidden"
    title = "Your role does not allow this."
    status = 403


class Conflict(DomainError):
    """The request contradicts what is stored."""

    code = "conflict"
    title = "The request contradicts what is stored."
    status = 409


class TooLarge(DomainError):
    """Over a size limit of `GET /api/v1/limits`."""

    code = "too_large"
    title = "The request is larger than allowed."
    status = 413


class AckBeyondSent(DomainError):
    """An acknowledgement of entries that were not sent."""

    code = "ack_beyond_sent"
    title = "Only entries that were sent can be acknowledged."
    status = 422


class TooManyRequests(DomainError):
    """Over a rate limit; `retry_after` says when to come back."""

    code = "rate_limited"
    title = "Too many requests."
    status = 429
    retryable = True


class Unavailable(DomainError):
    """A part that is needed is away; the same request with the same id will do later."""

    code = "unavailable"
    title = "Not available at the moment; repeat with the same id."
    status = 503
    retryable = True


class Overloaded(Unavailable):
    """A stated bound is reached (committer backlog or pending deliveries)."""

    code = "overloaded"
    title = "Too much is waiting; repeat later with the same id."
