"""Daphne's sockets, able to say 1012. Import after the reactor is installed."""

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class Protocol(WebSocketProtocol):
    """Closes with any code."""

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802
        """Send the close frame itself: Autobahn's `sendClose` raises for every code below 3000 but 1000, and the socket stays open.

        1012 (service restart) is registered for servers (RFC 6455 §11.7).
        """
        self.sendCloseFrame(code=1000 if code is None else code)


def install() -> None:
    """Have Daphne make such sockets."""
    WebSocketFactory.protocol = Protocol
