"""Requests to the API from a page of another of our hosts: a client that was loaded from one host may be sent to another.

Only the origins of `HOST_ORIGINS` and `PUBLIC_URL` are let in, without cookies: the API knows none. Anybody else's page may
send a request, as it always could, but learns nothing from the answer.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
SENT = "authorization, content-type, if-match"
READ = "ETag, Retry-After"
REMEMBERED_S = 7_200  # Chromium's most


def preflight(request: HttpRequest) -> HttpResponse | None:
    """The answer to a browser that asks first, or None when that is not what this request is."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    response = HttpResponse(status=204)
    if _is_ours(request):
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = SENT
        response.headers["Access-Control-Max-Age"] = str(REMEMBERED_S)
    return response


def mark(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let a page of ours read the answer."""
    if _is_ours(request):
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = READ
        response.headers["Vary"] = "Origin"


def _is_ours(request: HttpRequest) -> bool:
    # PUBLIC_URL alone is where everybody is anyway: then nothing has to be let in.
    origin = request.META.get("HTTP_ORIGIN")
    return (
        origin is not None and bool(settings.HOST_ORIGINS) and origin in (settings.PUBLIC_URL, *settings.HOST_ORIGINS)
    )
