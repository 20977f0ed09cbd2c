"""People who write at a steady rate, whatever happens, and those who read them: what is lost, doubled, out of order, or late.

Each writer sends to one reader over one socket, numbered messages and several in a frame, and does not wait for the answers.
That is the order that the protocol promises to keep (docs/protocol.md §4), so the reader must get 0, 1, 2, … n exactly.
"""

import asyncio
import json
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.cast import PATIENCE_S, unb64, until

SETTLE_S = 60.0


class Wire:
    """A device's socket, as thin as can be: acknowledges every frame of entries; `on_entry` gets each message."""

    def __init__(self, device, on_entry=None, url=""):
        self.device, self.on_entry = device, on_entry
        self.url = (url or device.cast.url).replace("http", "ws", 1) + "/api/v1/socket"
        self.accepted, self.problems = set(), []

    async def open(self):
        self.socket = await connect(self.url, proxy=None, max_size=2**22, ping_interval=None, open_timeout=PATIENCE_S)
        await self.send("hello", token=self.device.access, client={"name": "flow", "version": "1"})
        while json.loads(await self.socket.recv())["type"] != "drained":
            pass
        self._reader = asyncio.create_task(self._read())
        return self

    async def send(self, type, **fields):
        await self.socket.send(json.dumps({"type": type, **fields}))

    async def _read(self):
        try:
            async for text in self.socket:
                frame = json.loads(text)
                if frame["type"] == "entries":
                    for entry in frame["entries"]:
                        if entry["kind"] == "message" and self.on_entry:
                            self.on_entry(entry)
                    await self.send("ack", seq=frame["entries"][-1]["seq"])
                elif frame["type"] == "accepted":
                    self.accepted.update(answer["id"] for answer in frame["messages"])
                elif frame["type"] == "error":
                    self.problems.append(frame)
        except ConnectionClosed as error:
            self.problems.append(f"the socket was closed: {error}")

    async def close(self):
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self.socket.close()


class Talk:
    """One writer, one reader, and what has become of every message."""

    def __init__(self, writer, reader, room, every_s, at_once, size):
        self.writer, self.reader, self.room = writer, reader, room
        self.every_s, self.at_once, self.size = every_s, at_once, size
        self.sent_at, self.ids, self.got = [], [], []

    async def open(self, urls):
        self.out = await Wire(self.writer.phone, url=urls[0]).open()
        self.into = await Wire(self.reader.phone, self._entry, url=urls[-1]).open()

    def _entry(self, entry):
        if entry["room"] == self.room:
            self.got.append((int(unb64(entry["ciphertext"]).split()[0]), time.monotonic()))

    async def run(self, over, wait_s=0.0):
        await asyncio.sleep(wait_s)
        due = time.monotonic()
        while not over.is_set():
            due += self.every_s
            drafts = []
            for _ in range(self.at_once):
                draft = self.writer.phone.message(self.room, f"{len(self.ids)} ".encode().ljust(self.size, b"."))
                self.ids.append(draft["id"])
                drafts.append(draft)
            self.sent_at += [time.monotonic()] * self.at_once
            await self.out.send("send", messages=drafts)
            # Late by its own doing: the rate is kept on average.
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    @property
    def problems(self):
        return self.out.problems + self.into.problems

    def is_complete(self):
        return len(self.out.accepted) == len(self.ids) and len(self.got) >= len(self.ids)

    async def close(self):
        await self.out.close()
        await self.into.close()


class Flow:
    """`async with Flow(cast, talks, per_second, at_once=…) as flow`: writes until its end, then waits until all have come.

    The writers write in step, or one after the other (`in_step=False`): then no two messages share a fate by being sent at once.
    """

    def __init__(self, cast, pairs, per_second, *, at_once=1, size=200, urls=(), in_step=True):
        self.cast, self.pairs, self.at_once, self.size, self.in_step = cast, pairs, at_once, size, in_step
        self.every_s = pairs * at_once / per_second
        self.urls = list(urls) or [cast.url]
        self.talks, self._over = [], asyncio.Event()

    async def __aenter__(self):
        for _ in range(self.pairs):
            writer, reader = await self.cast.people("alice", "bob")
            room = await writer.direct_room(reader)
            self.talks.append(Talk(writer, reader, room, self.every_s, self.at_once, self.size))
            await self.talks[-1].open(self.urls)
        self.began = time.monotonic()
        apart_s = 0.0 if self.in_step else self.every_s / self.pairs
        self._work = [asyncio.create_task(talk.run(self._over, n * apart_s)) for n, talk in enumerate(self.talks)]
        return self

    async def __aexit__(self, kind, *_):
        self._over.set()
        await asyncio.gather(*self._work)
        self.seconds = time.monotonic() - self.began
        try:
            if kind is None:
                await until(
                    lambda: all(talk.is_complete() for talk in self.talks) or self.problems,
                    "the last to arrive",
                    SETTLE_S,
                )
        finally:
            for talk in self.talks:
                await talk.close()

    @property
    def problems(self):
        return [problem for talk in self.talks for problem in talk.problems]

    @property
    def sent(self):
        return sum(len(talk.ids) for talk in self.talks)

    @property
    def readers(self):
        return [talk.reader for talk in self.talks]

    def check(self):
        """Everything accepted, and everything there once and in order."""
        assert not self.problems, self.problems[:3]
        for talk in self.talks:
            assert len(talk.out.accepted) == len(talk.ids)
            assert [number for number, _ in talk.got] == list(range(len(talk.ids)))

    def latencies(self, since, until=float("inf"), *, to=lambda reader: True):
        """Seconds from the send to the reader, of what was sent in this time and has come, to these readers; sorted."""
        return sorted(
            at - talk.sent_at[number]
            for talk in self.talks
            if to(talk.reader)
            for number, at in talk.got
            if since <= talk.sent_at[number] < until
        )

    def late(self, seconds, since=0.0, until=float("inf")):
        """When the last message of this time was sent that took longer than so many seconds; None if none did."""
        sent = [
            talk.sent_at[number]
            for talk in self.talks
            for number, at in talk.got
            if at - talk.sent_at[number] > seconds and since <= talk.sent_at[number] < until
        ]
        return max(sent, default=None)


def quantile(sorted_figures, share):
    """The figure below which this share lies."""
    return (
        sorted_figures[min(len(sorted_figures) - 1, int(len(sorted_figures) * share))]
        if sorted_figures
        else float("nan")
    )


def figures(sorted_seconds):
    """p50, p99 and the worst, for people."""
    p50, p99, worst = (quantile(sorted_seconds, share) * 1000 for share in (0.5, 0.99, 1.0))
    return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {worst:.0f} ms"
