"""Daphne's sockets, able to say 1012, bounded in both directions. Import after the reactor is installed.

What was sent and is still here can be asked; what has come and was not yet taken stops the reading (docs/adr/0058).
"""

import select
import time
from typing import Any, Final

from daphne.server import Server
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from delivery.frames import CloseCode
from kernel import metrics, rates
from kernel.limits import READ_AHEAD_BYTES, UNSENT_BYTES

# What a frame that waits takes beside its text.
OVERHEAD_BYTES: Final = 256
# How long one that has said goodbye may take to read what is still here.
GOODBYE_S: Final = 5.0


class Protocol(WebSocketProtocol):
    """Closes with any code, knows what its client has not taken, and reads no further than its application."""

    _ahead = 0
    _is_paused = False
    _ping_rate: rates.Bucket | None = None

    def onOpen(self) -> None:  # noqa: N802
        """Take the transport from the HTTP channel, which else would pause and resume it by rules of its own."""
        self.transport.unregisterProducer()
        super().onOpen()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: N802, N803
        """Hand a frame on, and stop reading while more lies there than the application has taken.

        What is behind is then the kernel's, whose buffers are bounded, and the client's own.
        """
        if self.state != self.STATE_OPEN:
            return  # after the close frame nobody takes it
        if self.application_queue.empty():
            self._ahead = 0
        self._ahead += len(payload) + OVERHEAD_BYTES
        super().onMessage(payload, isBinary)
        if self._ahead > READ_AHEAD_BYTES and not self._is_paused:
            self._is_paused = True
            self.transport.pauseProducing()

    def onPing(self, payload: bytes) -> None:  # noqa: N802
        """Answer, unless the client does not read; hang up who pings faster than frames may come (`frame` in the limits).

        Of several pings only the last one needs its pong (RFC 6455 §5.5.3).
        """
        if self._ping_rate is None:
            self._ping_rate = rates.bucket("frame")
        if self.state != self.STATE_OPEN:
            return
        if self._ping_rate.take(1, time.monotonic()):
            metrics.SOCKETS_CLOSED.labels(int(CloseCode.RATE_LIMITED)).inc()
            self.serverClose(CloseCode.RATE_LIMITED)
        elif self.unsent() <= UNSENT_BYTES:
            super().onPing(payload)

    def taken(self) -> None:
        """Called by the application when it has taken a frame: reading goes on when it has all."""
        if self._is_paused and self.application_queue.empty():
            self._resume()

    def _closeConnection(self, abort: bool = False) -> None:  # noqa: N802
        """Wait for a client that has said goodbye to read what is still here, but not for ever: Twisted would."""
        super()._closeConnection(abort)
        if not abort:
            self.factory._batched_timer.call_later(GOODBYE_S, self.transport.abortConnection)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802
        """Let go of what was not sent: protocol and transport know each other, and the collector comes late."""
        super().connectionLost(reason)
        self.transport.dataBuffer = b""
        self.transport._tempDataBuffer = []
        self.transport._tempDataLen = 0

    def _resume(self) -> None:
        self._is_paused = False
        self.transport.resumeProducing()

    def serverClose(self, code: int | None = None) -> None:  # noqa: N802
        """Send the close frame itself: Autobahn's `sendClose` raises for every code below 3000 but 1000, and the socket stays open.

        1012 (service restart) is registered for servers (RFC 6455 §11.7).
        """
        self.sendCloseFrame(code=1000 if code is None else code)
        # The client's own close frame is behind what was not read.
        if self._is_paused:
            self._resume()

    def unsent(self) -> int:
        """How many bytes wait in this process because the client does not read: 0 as long as the kernel takes everything.

        What was written since the kernel was last asked (`_tempDataLen`) is no slow client's backlog if the kernel would
        take it: a quick client's batch. It is asked only where there is much. That it has refused nothing says little: what it
        took last may have been just all there was, and then what is written piles up unasked.
        """
        transport = self.transport
        refused = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        unasked: int = getattr(transport, "_tempDataLen", 0)
        if refused > 0 or (unasked > UNSENT_BYTES and not _takes_more(transport)):
            return refused + unasked
        return 0


def _takes_more(transport: Any) -> bool:
    poll = select.poll()
    try:
        poll.register(transport.fileno(), select.POLLOUT)
    except (OSError, ValueError):
        return True  # it is gone, and with it what was written
    return bool(poll.poll(0))


class HostServer(Server):
    """Gives each socket's application `scope["unsent"]()` to ask and `scope["taken"]()` to call after each frame it took.

    Daphne itself takes whatever it is given, from either side.
    """

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """See `daphne.server.Server`."""
        if isinstance(protocol, Protocol):
            scope["unsent"] = protocol.unsent
            scope["taken"] = protocol.taken
        return super().create_application(protocol, scope)


def install() -> None:
    """Have Daphne make such sockets."""
    WebSocketFactory.protocol = Protocol
