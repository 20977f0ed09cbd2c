"""`manage.py web`: one web process (a host), Daphne inside it so that it can end gracefully."""

import asyncio
import logging
import resource
import signal
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.urls import get_resolver

from config import health
from kernel import interpreter, limits

logger = logging.getLogger(__name__)

# Behind the moving of users (DRAIN_SECONDS) the committer empties its backlog and the last sockets are told to go within
# this; the supervisor kills after 6 s.
GRACE_S = 4.0


class Command(BaseCommand):
    """Serves the API, the sockets and the pages on one port."""

    help = "Run one web process (manage.py up runs all of them)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *args: Any, port: int, host: str, **options: Any) -> None:
        """Serve until SIGTERM or SIGINT; exit status 1 if the port cannot be had or the runtime does not start."""
        _allow_many_sockets()
        life = Life()
        server = _server(host, port, life)
        server.run()
        if not server.listening_addresses:
            sys.exit(f"cannot listen on {host}:{port}: is something else there?")
        if life.failed:
            sys.exit(1)


class Life:
    """The process from its first turn of the loop to its last."""

    def __init__(self) -> None:
        self.failed = False

    def begin(self) -> None:
        """Called once, before the reactor runs: puts on its loop what needs it running."""
        loop = self._reactor._asyncioEventloop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: loop.create_task(self._stop()))
        loop.call_soon(lambda: loop.create_task(self._start()))

    @property
    def _reactor(self) -> Any:
        from twisted.internet import reactor

        return reactor

    async def _start(self) -> None:
        from config import runtime

        try:
            runtime.start()
            interpreter.settle()
        except Exception:
            # Half a host would take connections and serve none: better to be started again.
            logger.exception("the runtime did not start")
            self.failed = True
            await self._stop()

    async def _stop(self) -> None:
        """End gracefully, once: refuse readiness, let the runtime finish, then stop the reactor."""
        if health.stopping.is_set():
            return
        health.stopping.set()
        from config import runtime

        try:
            async with asyncio.timeout(settings.DRAIN_SECONDS + GRACE_S):
                await runtime.stop()
        except Exception:
            logger.exception("the runtime did not stop in time")
        self._reactor.stop()


def _allow_many_sockets() -> None:
    """Each connection is a file; the usual first limit of 1 024 is for interactive programs."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _server(host: str, port: int, life: Life) -> Any:
    import uvloop
    from twisted.internet import asyncioreactor

    # Before anything imports daphne.server, which would install asyncio's own loop.
    asyncioreactor.install(uvloop.new_event_loop())
    from config import bodies, sockets
    from config.asgi import application

    sockets.install()
    bodies.install()
    # Now, and not at the first request: importing every view takes a second or more, in which no socket would be served.
    get_resolver().url_patterns  # noqa: B018
    address = host.replace(":", r"\:")
    return sockets.HostServer(
        application,
        endpoints=[f"tcp:{port}:interface={address}:backlog=1024"],
        signal_handlers=False,
        http_timeout=30,
        ping_interval=20,
        ping_timeout=30,
        websocket_timeout=86_400,
        # What is over FRAME_BYTES is hung up on with a close code (delivery/frames.py); this limit drops the connection.
        websocket_max_message_size=4 * limits.FRAME_BYTES,
        websocket_max_frame_size=4 * limits.FRAME_BYTES,
        application_close_timeout=5,
        # Who the client is behind a proxy, accounts/addresses.py says: Daphne would believe the first name, which is the client's own.
        proxy_forwarded_address_header=None,
        ready_callable=life.begin,
        verbosity=0,
        server_name="",
    )
