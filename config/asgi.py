"""The front door of a web process: the socket, the API, and the pages for people."""

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django

django.setup()

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponseBase

from config import cors, databases
from kernel import metrics

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

# What takes longer is refused (503).
databases.hasten(settings.DATABASES["default"])

SOCKET = "/api/v1/socket"
PAGES = ("/api/v1/docs", "/api/v1/schema")


class ApiHandler(ASGIHandler):
    """Django without middleware: sessions and CSRF are for browsers with cookies, and each one costs every request a thread hop."""

    def load_middleware(self, is_async: bool = False) -> None:
        """Called once by Django; builds the chain of nothing but the guard."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        self._guarded: Any = convert_exception_to_response(self._asked)
        self._middleware_chain = self._answered

    async def _asked(self, request: HttpRequest) -> HttpResponseBase:
        request.get_host()  # refuses a Host that is not ours
        answer: HttpResponseBase = cors.preflight(request) or await self._get_response_async(request)  # type: ignore[attr-defined]
        return answer

    async def _answered(self, request: HttpRequest) -> HttpResponseBase:
        """Refusals too get these headers."""
        started = time.monotonic()
        response: Any = await self._guarded(request)
        cors.mark(request, response)
        if not response.streaming:
            response.headers.setdefault("Content-Length", str(len(response.content)))
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Cache-Control", "no-store")
        metrics.REQUESTS.labels(response.status_code).inc()
        metrics.REQUEST_SECONDS.observe(time.monotonic() - started)
        return response


api = ApiHandler()
pages = ASGIHandler()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route one connection by its kind and path."""
    if scope["type"] == "websocket":
        await _socket(scope, receive, send)
    elif scope["path"].startswith(("/api/", "/healthz", "/readyz", "/metrics")) and not scope["path"].startswith(PAGES):
        await api(scope, receive, send)
    else:
        await pages(scope, receive, send)


async def _socket(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] != SOCKET:
        await receive()
        await send({"type": "websocket.close", "code": 4400})
        return
    # Here and not above: a process that only serves HTTP (a test, a command) need not load the socket's side.
    from delivery.consumers import SocketConsumer

    await SocketConsumer()(scope, receive, send)
