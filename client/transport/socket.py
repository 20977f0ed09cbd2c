"""The WebSocket: frames out and in, and how it ended (protocol §4)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from client.errors import LetterlockError, Unreachable
from client.protocol.frames import FRAME_BYTES, ClientFrame, ServerFrame, decode, encode

OPEN_S = 10.0
# Protocol §4.4.5: a client that hears nothing for 50 s reconnects. Our ping goes out every 20 s, and its pong has 30 s.
PING_S = 20.0
PONG_S = 30.0


class SocketClosed(LetterlockError):
    """The socket is gone; `code` is the close code of protocol §4.3, None if it broke without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Socket:
    """An open socket."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def send(self, frame: ClientFrame) -> None:
        """Send a frame; waits while the network takes no more. Raises SocketClosed."""
        try:
            await self._websocket.send(encode(frame))
        except ConnectionClosed as closed:
            raise _gone(closed) from closed

    async def receive(self) -> ServerFrame:
        """The next frame. Raises SocketClosed, or MalformedFrame for what the protocol does not know."""
        try:
            return decode(await self._websocket.recv())
        except ConnectionClosed as closed:
            raise _gone(closed) from closed

    def abort(self) -> None:
        """Drop the connection without a word, as a dead network would."""
        self._websocket.transport.abort()


def _gone(closed: ConnectionClosed) -> SocketClosed:
    return SocketClosed(closed.rcvd.code if closed.rcvd else None)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Socket]:
    """Open the socket of the server at `url` (http or https); it is closed at the end. Raises Unreachable."""
    address = "ws" + url.removeprefix("http").rstrip("/") + "/api/v1/socket"
    try:
        websocket = await connect(
            address, proxy=None, compression=None, max_size=2 * FRAME_BYTES, open_timeout=OPEN_S, close_timeout=2,
            ping_interval=PING_S, ping_timeout=PONG_S,
        )  # fmt: skip
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI) as error:
        raise Unreachable(f"{address}: {type(error).__name__}") from error
    try:
        yield Socket(websocket)
    finally:
        await websocket.close()
