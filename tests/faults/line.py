"""One socket of a phone."""

import asyncio
import time
from typing import Any, Protocol

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from tests.faults import wire
from tests.faults.ledger import Connection


class Holder(Protocol):
    """Whose it is."""

    session: dict[str, Any]

    def heard(self, line: "Line", frame: dict[str, Any]) -> None:
        """A frame came."""

    def hung_up(self, code: int | None) -> None:
        """The server closed it."""


class Line(WSListener):
    """From its hello to its end."""

    def __init__(self, phone: Holder) -> None:
        self.phone = phone
        self.log: Connection | None = None
        # The newest number that came on this socket, and the newest that was acknowledged on it.
        self.newest = self.acked = 0
        self.acked_at = 0.0
        self.window = 512
        self.drained = False
        self.heard_at = time.monotonic()
        # Welcomed, or over before that; over.
        self.begun, self.over = asyncio.Event(), asyncio.Event()
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.send(wire.frame("hello", token=self.phone.session["access"], client={"name": "faults", "version": "1"}))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.heard_at = time.monotonic()
        if frame.msg_type == WSMsgType.TEXT:
            self.phone.heard(self, orjson.loads(frame.get_payload_as_memoryview()))
        elif frame.msg_type == WSMsgType.CLOSE:
            self.phone.hung_up(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.begun.set()
        self.over.set()

    async def welcomed(self, seconds: float) -> bool:
        """Wait for `welcome`, or for the end; False when neither comes."""
        try:
            async with asyncio.timeout(seconds):
                await self.begun.wait()
        except TimeoutError:
            return False
        return True

    def send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_disconnected:
            self._transport.send(WSMsgType.TEXT, data)

    def drop(self) -> None:
        """Cut it off without a word, as a phone in a tunnel does."""
        self.begun.set()
        self.over.set()
        if self._transport is not None:
            self._transport.disconnect()
