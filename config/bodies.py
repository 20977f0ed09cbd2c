"""Daphne's requests, with a bound on what they keep of a body. Import after the reactor is installed.

Daphne takes a request's whole body, of any size, before it calls the application: a few large uploads would fill the disk.
And it keeps a request that has become a socket on its list for a second, and answers it 503 if its time is over then: the
process was frozen, or the clock jumped. That answer would lie among the socket's frames.
"""

from daphne import http_protocol

from kernel.limits import POST_BYTES

# One byte more than the API takes, so that its parser sees that it is too much and answers 413.
KEPT = POST_BYTES + 1
# Who sends this much does not wait for answers.
HANG_UP = 8 * POST_BYTES


class Request(http_protocol.WebRequest):
    """Forgets what goes beyond the bound, and knows the size of what it has."""

    _received = 0

    def handleContentChunk(self, data: bytes) -> None:  # noqa: N802
        """Called by Twisted for each piece of the body."""
        room = KEPT - self._received
        self._received += len(data)
        if room > 0:
            super().handleContentChunk(data[:room])
        elif self._received > HANG_UP:
            self.channel.forceAbortClient()

    def process(self) -> None:
        """Called by Twisted when the body is complete. DRF takes a body without Content-Length (RFC 9112 §7.1) for none at all."""
        if self._received and not self.requestHeaders.hasHeader(b"content-length"):
            self.requestHeaders.setRawHeaders(b"content-length", [b"%d" % min(self._received, KEPT)])
        super().process()

    def check_timeouts(self) -> None:
        """Called every other second; a socket has time-outs of its own."""
        if self.transport is not None and not self.finished:
            super().check_timeouts()


def install() -> None:
    """Have Daphne make such requests."""
    http_protocol.WebRequest = Request
