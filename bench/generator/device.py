"""One device on its socket (docs/protocol.md §4): says hello, acknowledges, sends, and checks all that it gets."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.generator import wire

ACK_S: Final = 0.045  # protocol §4.4: at the latest after 50 ms …
HELLO_FRAME: Final = '{"type":"hello","token":"%s","client":{"name":"bench","version":"1"}}'
MAX_FRAME: Final = 1 << 20


class Watcher(Protocol):
    """What a workload wants to know of its devices. Called from the event loop; must be cheap."""

    def arrived(self, device: "Device", sender: str, number: int) -> None: ...
    def accepted(self, device: "Device", number: int) -> None: ...


class Ledger:
    """Everything that went wrong in a run. A run with an entry here is not valid."""

    def __init__(self) -> None:
        self.errors: dict[str, int] = {}
        self.examples: list[str] = []
        self.refusals = 0
        self.receipts = 0

    def error(self, what: str, detail: object = "") -> None:
        self.errors[what] = self.errors.get(what, 0) + 1
        if len(self.examples) < 10:
            self.examples.append(f"{what}: {detail}"[:300])


class Device(WSListener):
    """A socket of one device. `positions` holds, per sending device, the number expected next in this run."""

    def __init__(self, *, name: str, token: str, device_id: str, run: str, ledger: Ledger, watcher: Watcher) -> None:
        self.name, self._token, self.id = name, token, device_id
        self._run, self._ledger, self._watcher = run, ledger, watcher
        self._loop = asyncio.get_running_loop()
        self.transport: WSTransport | None = None
        self.welcome: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self.drained: asyncio.Future[float] = self._loop.create_future()
        self.author: wire.Author | None = None
        self.outstanding: dict[str, tuple[int, str]] = {}  # id: (number, text), in the order of sending
        self.positions: dict[str, int] = {}
        self.seq = 0
        self._acked = 0
        self._ack_every = 128
        self._ack_timer: asyncio.TimerHandle | None = None
        self._refused: set[str] = set()
        self._retry_timer: asyncio.TimerHandle | None = None
        self._closing = False
        self.hello_at = 0.0
        self.entries = 0

    # -- connection ------------------------------------------------------------------------------------------------

    async def connect(self, url: str) -> None:
        """Open the socket and wait for `welcome`."""
        await ws_connect(
            lambda: self,
            url,
            enable_auto_pong=True,
            max_frame_size=MAX_FRAME,
            read_buffer_init_size=4096,
            websocket_handshake_timeout=30,
        )
        await asyncio.wait_for(asyncio.shield(self.welcome), 30)

    def close(self) -> None:
        """Acknowledge what came and say goodbye."""
        self._closing = True
        if self.transport is not None and not self.transport.is_disconnected:
            self._ack()
            self.transport.send_close()
            self.transport.disconnect()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.hello_at = self._loop.time()
        transport.send(WSMsgType.TEXT, (HELLO_FRAME % self._token).encode())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        for timer in (self._ack_timer, self._retry_timer):
            if timer is not None:
                timer.cancel()
        if not self._closing:
            self._ledger.error("socket closed", f"{self.name} {transport.close_handshake}")
            for future in (self.welcome, self.drained):
                if not future.done():
                    future.set_exception(ConnectionError(f"{self.name}: the socket closed"))
                    future.exception()  # a run that does not wait for this one has the ledger

    # -- receiving -------------------------------------------------------------------------------------------------

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            if frame.msg_type == WSMsgType.CLOSE:
                self._ledger.errors.setdefault(f"close {frame.get_close_code()}", 1)
                transport.disconnect()
            return
        fields = orjson.loads(frame.get_payload_as_memoryview())
        match fields["type"]:
            case "entries":
                self._take(fields["entries"])
            case "accepted":
                for message in fields["messages"]:
                    self._accepted(message["id"])
            case "receipts":
                self._ledger.receipts += len(fields["receipts"])
            case "error":
                self._refuse(fields)
            case "welcome":
                self.seq = self._acked = fields["acknowledged"]
                self._ack_every = max(1, fields["window"] // 4)
                self.welcome.set_result(fields)
            case "drained":
                if fields["seq"] != self.seq or self.drained.done():
                    self._ledger.error("drained twice or at another seq", f"{self.name} {fields} at {self.seq}")
                else:
                    self.drained.set_result(self._loop.time())
            case other:
                self._ledger.error("unexpected frame", other)

    def _take(self, entries: list[dict[str, Any]]) -> None:
        run, positions, arrived = self._run, self.positions, self._watcher.arrived
        seq = self.seq
        for entry in entries:
            seq += 1
            if entry["seq"] != seq:
                self._ledger.error("seq not dense", f"{self.name} got {entry['seq']}, expected {seq}")
                seq = entry["seq"]
            if entry["kind"] != "message":
                continue
            number = wire.number_of(entry["id"], run)
            if number < 0:
                continue  # of an earlier run
            sender = entry["device"]
            expected = positions.get(sender, 0)
            if number != expected:
                kind = "doubled or reordered" if number < expected else "lost or reordered"
                self._ledger.error(kind, f"{self.name} got {number}, expected {expected}")
            positions[sender] = number + 1
            arrived(self, sender, number)
        self.entries += len(entries)
        self.seq = seq
        if seq - self._acked >= self._ack_every:
            self._ack()
        elif self._ack_timer is None:
            self._ack_timer = self._loop.call_later(ACK_S, self._ack)

    def _ack(self) -> None:
        if self._ack_timer is not None:
            self._ack_timer.cancel()
            self._ack_timer = None
        if self.seq > self._acked and self.transport is not None:
            self._acked = self.seq
            self.transport.send(WSMsgType.TEXT, b'{"type":"ack","seq":%d}' % self.seq)

    # -- sending ---------------------------------------------------------------------------------------------------

    def send(self, count: int = 1, *, coalesce: bool = False) -> None:
        """Compose and send `count` messages: each in a frame of its own, or together in frames of up to 100."""
        assert self.author is not None and self.transport is not None
        texts = []
        for _ in range(count):
            number = self.author.number
            id_, text = self.author.compose()
            self.outstanding[id_] = (number, text)
            if self._refused:
                self._refused.add(id_)  # order: nothing overtakes a refused one
                continue
            texts.append(text)
        self._write(texts, 100 if coalesce else 1)

    def _write(self, texts: list[str], per_frame: int) -> None:
        assert self.transport is not None
        for start in range(0, len(texts), per_frame):
            self.transport.send(WSMsgType.TEXT, wire.send_frame(texts[start : start + per_frame]))

    def _accepted(self, id_: str) -> None:
        sent = self.outstanding.pop(id_, None)
        if sent is None:
            self._ledger.error("accepted what was not outstanding", id_)
        else:
            self._watcher.accepted(self, sent[0])

    def _refuse(self, fields: dict[str, Any]) -> None:
        problem = fields["problem"]
        id_ = problem.get("id")
        if id_ not in self.outstanding or problem["status"] not in (429, 503):
            self._ledger.error(f"error {problem['code']}", problem)
            return
        self._ledger.refusals += 1
        self._refused.add(id_)
        if self._retry_timer is None:
            wait = float(problem.get("retry_after", 1)) * random.uniform(1.0, 1.25)
            self._retry_timer = self._loop.call_later(wait, self._repeat)

    def _repeat(self) -> None:
        """Send again what was refused, with the same ids and in the old order (§4.4)."""
        self._retry_timer = None
        texts = [text for id_, (_, text) in self.outstanding.items() if id_ in self._refused]
        self._refused.clear()
        if self.transport is not None and not self.transport.is_disconnected:
            self._write(texts, 20)


async def open_all(devices: list[Device], url_of: Callable[[int], str], *, at_once: int = 20) -> None:
    """Open the sockets, a few at a time, and wait until each has drained."""
    gate = asyncio.Semaphore(at_once)

    async def one(index: int, device: Device) -> None:
        async with gate:
            await device.connect(url_of(index))
        await asyncio.wait_for(asyncio.shield(device.drained), 60)

    await asyncio.gather(*(one(index, device) for index, device in enumerate(devices)))
