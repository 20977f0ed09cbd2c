"""A request that has become a socket gets no answer of HTTP any more: it would lie among the socket's frames."""

import asyncio
import time
from typing import Any

import daphne.server  # noqa: F401 — it chooses the reactor before anything else of Twisted does
import pytest
from daphne.ws_protocol import WebSocketFactory
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel

from config.bodies import Request

UPGRADE = (
    b"GET /api/v1/socket HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ADDRESS = IPv4Address("TCP", "127.0.0.1", 50_000)


class Server:
    """As much of Daphne's server as one connection needs; its list of connections is as Daphne keeps it."""

    root_path, server_name, request_buffer_size = "", "", 8_192
    proxy_forwarded_address_header = None
    http_timeout, websocket_timeout, websocket_connect_timeout, ping_interval = 30, 86_400, 5, 20

    def __init__(self) -> None:
        self.connections: list[Any] = []
        self.ws_factory = WebSocketFactory(self, server="")

    def protocol_connected(self, protocol: Any) -> None:
        self.connections.append(protocol)

    def protocol_disconnected(self, protocol: Any) -> None:
        """Daphne takes it from the list when it looks next, a second later."""

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> "asyncio.Queue[Any]":
        return asyncio.Queue()

    def log_action(self, *_: Any) -> None:
        """Nobody listens."""


def connection() -> tuple[Server, HTTPChannel, StringTransport]:
    """A client's, as Twisted makes it."""
    server, transport = Server(), StringTransport(hostAddress=ADDRESS, peerAddress=ADDRESS)
    channel = HTTPChannel()
    channel.requestFactory, channel.site = Request, None
    channel.factory = type("Factory", (), {"server": server, "log": lambda *_: None})()
    transport.protocol = channel
    channel.makeConnection(transport)
    return server, channel, transport


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the clock jump, as it does for a process that was frozen."""

    def jump(seconds: float) -> None:
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + seconds)

    return jump


def test_a_process_that_was_frozen_just_after_the_upgrade_writes_no_answer_among_the_frames(later):
    server, channel, transport = connection()
    channel.dataReceived(UPGRADE)
    request, protocol = server.connections
    protocol.serverAccept()
    assert transport.value().startswith(b"HTTP/1.1 101")
    transport.clear()

    later(31)
    request.check_timeouts()

    assert transport.value() == b""


def test_a_request_that_nobody_answers_still_gets_its_503(later):
    server, channel, transport = connection()
    channel.dataReceived(b"GET /livez HTTP/1.1\r\nHost: example.org\r\n\r\n")
    (request,) = server.connections

    later(31)
    request.check_timeouts()

    assert transport.value().startswith(b"HTTP/1.1 503")
