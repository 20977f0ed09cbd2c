"""From exceptions to problem details (RFC 9457): the only place that knows both our errors and HTTP (docs/protocol.md §2)."""

import logging
import math
from typing import Any, NoReturn

import orjson
from django.core.exceptions import DisallowedHost, PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from django.views import defaults
from psycopg2 import InterfaceError as RawInterfaceError
from psycopg2 import OperationalError as RawOperationalError
from redis import RedisError
from rest_framework import exceptions
from rest_framework.response import Response

from kernel import errors

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class MethodNotAllowed(errors.DomainError):
    """The path exists, the method does not."""

    code = "invalid"
    title = "This path does not have this method."
    status = 405


class NotAcceptable(errors.DomainError):
    """The client wants another form than JSON."""

    code = "invalid"
    title = "Answers are JSON."
    status = 406


class UnsupportedMediaType(errors.DomainError):
    """The body is not declared as JSON."""

    code = "invalid"
    title = "Requests are JSON: Content-Type application/json."
    status = 415


class Unexpected(errors.DomainError):
    """A mistake of ours. The details are in our log, not in the answer."""

    code = "internal"
    title = "Something went wrong here; it has been logged."
    status = 500
    retryable = True


def refusal_of(error: Exception) -> errors.DomainError | None:
    """The refusal that an exception stands for, or None for one that nobody expected."""
    match error:
        case errors.DomainError():
            return error
        case exceptions.MethodNotAllowed():
            return MethodNotAllowed()
        case exceptions.NotAcceptable():
            return NotAcceptable()
        case exceptions.UnsupportedMediaType():
            return UnsupportedMediaType()
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return errors.Unauthenticated()
        case exceptions.PermissionDenied() | PermissionDenied():
            return errors.Forbidden()
        case exceptions.NotFound() | Http404():
            return errors.NotFound()
        case exceptions.Throttled():
            return errors.TooManyRequests(retry_after=getattr(error, "wait", None))
        case exceptions.ValidationError():
            field, detail = _first(error.detail)
            return errors.InvalidInput(detail, field=field) if field else errors.InvalidInput(detail)
        case exceptions.ParseError() | UnreadablePostError() | DisallowedHost():
            return errors.InvalidInput()
        case RequestDataTooBig():
            return errors.TooLarge()
        case OperationalError() | InterfaceError() | RawOperationalError() | RawInterfaceError() | RedisError():
            logger.warning("a part is away: %s", error)
            return errors.Unavailable(retry_after=1)
    return None


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler. Nothing leaves here as a traceback."""
    refusal = refusal_of(error)
    if refusal is None:
        request = context.get("request")
        logger.error("unexpected in %s", getattr(request, "path", "?"), exc_info=error)
        refusal = Unexpected()
    return Response(refusal.problem(), status=refusal.status, headers=headers(refusal), content_type=MEDIA_TYPE)


def headers(refusal: errors.DomainError) -> dict[str, str]:
    """What goes beside the body: `Retry-After` in whole seconds, `WWW-Authenticate` with 401 (RFC 9110 §11.6.1)."""
    found = {}
    if refusal.retry_after is not None:
        found["Retry-After"] = str(max(1, math.ceil(refusal.retry_after)))
    if refusal.status == 401:
        found["WWW-Authenticate"] = "Bearer"
    return found


def respond(refusal: errors.DomainError) -> HttpResponse:
    """The same answer outside of DRF."""
    return HttpResponse(
        orjson.dumps(refusal.problem()), status=refusal.status, headers=headers(refusal), content_type=MEDIA_TYPE
    )


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A request that Django itself refuses."""
    if not request.path.startswith("/api/"):
        return defaults.bad_request(request, exception)
    return respond(refusal_of(exception) or errors.InvalidInput())


def handler403(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What a page refuses."""
    if not request.path.startswith("/api/"):
        return defaults.permission_denied(request, exception)
    return respond(errors.Forbidden())


def handler404(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A path that does not exist."""
    if not request.path.startswith("/api/"):
        return defaults.page_not_found(request, exception)
    return respond(errors.NotFound())


def handler500(request: HttpRequest) -> HttpResponse:
    """A mistake outside of DRF's views."""
    if not request.path.startswith("/api/"):
        return defaults.server_error(request)
    return respond(Unexpected())


def unknown_path(request: HttpRequest) -> NoReturn:
    """For anything under /api/ that no other pattern takes."""
    raise Http404


def _first(detail: Any, field: str = "") -> tuple[str, str]:
    """The first complaint of a DRF ValidationError, and the field it is about: nested ones joined by dots."""
    while isinstance(detail, dict | list) and detail:
        if isinstance(detail, dict):
            name, detail = next(iter(detail.items()))
            field = f"{field}.{name}" if field else str(name)
        else:
            detail = next((item for item in detail if item), "")
    return ("" if field.endswith("non_field_errors") else field), str(detail)
