"""W1 and W2 against the baseline of bench/baseline/: its own little protocol, `{"message": …}` in a room per pair."""

import asyncio
import random
import time

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.generator import wire
from bench.generator.run import BODY_BYTES, Run, quantiles


class Guest(WSListener):
    """One socket in a chat room. Both of a pair hear everything; the second counts."""

    def __init__(self, chat: "Chat", index: int, reads: bool) -> None:
        self.chat, self.index, self.reads = chat, index, reads
        self.number = self.expected = 0
        self.transport: WSTransport | None = None
        self.closing = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.closing:
            self.chat.run.ledger.error("socket closed", self.index)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        text = orjson.loads(frame.get_payload_as_memoryview())["message"]
        if not text.startswith(self.chat.run.tag):
            return
        start = len(self.chat.run.tag)
        number = int(text[start : start + 8])
        if number != self.expected:
            self.chat.run.ledger.error("lost, doubled or reordered", f"{number}, expected {self.expected}")
        self.expected = number + 1
        if self.reads:
            self.chat.arrived(self.index, number)
        else:
            self.chat.echoed += 1

    def send(self) -> None:
        assert self.transport is not None
        body = f'{{"message":"{self.chat.run.tag}{self.number:08d}{self.chat.tail}"}}'
        self.number += 1
        self.transport.send(WSMsgType.TEXT, body.encode())


class Chat:
    """All pairs."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.tail = wire.opaque(run.params.get("bytes", BODY_BYTES) - 12)
        self.delivered = self.echoed = 0
        self.flowing = self.measuring = False
        self.timed = False
        self.writers: list[Guest] = []
        self.readers: list[Guest] = []
        self.sent_at: dict[tuple[int, int], float] = {}
        self.latencies: list[float] = []

    async def open(self, count: int) -> None:
        for n in range(count):
            url = self.run.urls[n % len(self.run.urls)].replace("http", "ws", 1) + f"/ws/chat/pair{n}/"
            for guests, reads in ((self.writers, False), (self.readers, True)):
                guest = Guest(self, n, reads)
                await ws_connect(lambda guest=guest: guest, url)
                guests.append(guest)
        await asyncio.sleep(0.5)  # the tutorial's protocol does not say when the group is joined

    def arrived(self, index: int, number: int) -> None:
        self.delivered += 1
        if self.timed:
            took = time.perf_counter() - self.sent_at[index, number]
            if self.measuring:
                self.latencies.append(took)
        elif self.flowing:
            self.writers[index].send()

    async def settle(self) -> None:
        self.flowing = False
        await self.run.until(
            "everything delivered",
            seconds=20,
            ready=lambda: self.delivered == self.echoed == sum(writer.number for writer in self.writers),
        )
        for guest in self.writers + self.readers:
            guest.closing = True
            if guest.transport is not None:
                guest.transport.disconnect()


async def saturated(run: Run) -> dict[str, object]:
    """W1."""
    chat = Chat(run)
    await chat.open(run.params["pairs"])
    chat.flowing = True
    for writer in chat.writers:
        for _ in range(run.params["in_flight"]):
            writer.send()
    count, seconds = await run.window(
        warm_up=run.params["warm_up"],
        seconds=run.params["seconds"],
        count=lambda: chat.delivered,
        what="tutorial chat, saturated",
    )
    await chat.settle()
    return run.result(messages=count, seconds=seconds, per_second=count / seconds)


async def latency(run: Run) -> dict[str, object]:
    """W2."""
    chat = Chat(run)
    chat.timed = True
    await chat.open(run.params["pairs"])
    chat.flowing = True

    async def write() -> None:
        due = time.perf_counter()
        while chat.flowing:
            due += random.expovariate(run.params["rate"])
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            writer = random.choice(chat.writers)
            chat.sent_at[writer.index, writer.number] = time.perf_counter()
            writer.send()

    writing = asyncio.create_task(write())
    await run.pause(run.params["warm_up"], "warming up")
    chat.measuring = True
    count, seconds = await run.window(
        warm_up=0,
        seconds=run.params["seconds"],
        count=lambda: chat.delivered,
        what=f"tutorial chat at {run.params['rate']}/s",
    )
    chat.measuring = chat.flowing = False
    await writing
    await chat.settle()
    return run.result(messages=count, seconds=seconds, per_second=count / seconds, latency=quantiles(chat.latencies))
