"""W1, W2, W6 and W8: pairs in direct rooms; the first of each pair writes, the second reads."""

import asyncio
import random
import time
from typing import Any

from bench.generator.device import Device
from bench.generator.run import Run, quantiles, tell

BYSTANDERS = 50


class Pairs:
    """The pairs of a run, and the watcher of their devices. Keeps `in_flight` messages of each writer undelivered."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.delivered = self.taken = self.echoed = 0
        self.in_flight = 0
        self.coalesce = bool(run.params.get("coalesce"))
        self.flowing = False
        self.writers: list[Device] = []
        self.readers: list[Device] = []
        self._writer_of: dict[int, Device] = {}

    async def open(self, count: int) -> None:
        cast = self.run.cast()
        people = await cast.need([f"{role}{n}" for n in range(count) for role in ("alice", "bob")])
        pairs = list(zip(people[::2], people[1::2], strict=True))
        rooms = await cast.direct(pairs)
        await cast.close()
        for (first, second), room in zip(pairs, rooms, strict=True):
            writer, reader = self.run.device(first, self), self.run.device(second, self)
            writer.author = self.run.author(first, room)
            self.writers.append(writer)
            self.readers.append(reader)
            self._writer_of[id(reader)] = writer
        await self.run.open([device for pair in zip(self.writers, self.readers, strict=True) for device in pair])

    def close(self) -> None:
        for device in self.writers + self.readers:
            device.close()

    @property
    def sent(self) -> int:
        return sum(writer.author.number for writer in self.writers if writer.author is not None)

    def arrived(self, device: Device, sender: str, number: int) -> None:
        writer = self._writer_of.get(id(device))
        if writer is None:
            self.echoed += 1
            return
        self.delivered += 1
        if self.flowing:
            if self.coalesce:
                asyncio.get_running_loop().call_soon(self._refill, writer, device)
            else:
                writer.send()

    def _refill(self, writer: Device, reader: Device) -> None:
        assert writer.author is not None
        room = self.in_flight - (writer.author.number - reader.positions.get(writer.id, 0))
        if room > 0 and self.flowing:
            writer.send(room, coalesce=True)

    def accepted(self, device: Device, number: int) -> None:
        self.taken += 1

    async def settle(self, seconds: float = 30) -> None:
        """Stop writing; wait until everything is with everybody, then check."""
        self.flowing = False
        complete = await self.run.until(
            "everything accepted, delivered and echoed",
            lambda: self.delivered == self.echoed == self.taken == self.sent or bool(self.run.ledger.errors),
            seconds=seconds,
        )
        if complete and not self.run.ledger.errors:
            for writer, reader in zip(self.writers, self.readers, strict=True):
                self.run.check([writer, reader], [writer])
        self.close()


async def saturated(run: Run) -> dict[str, object]:
    """W1: every writer keeps `in_flight` messages undelivered."""
    pairs = Pairs(run)
    await pairs.open(run.params["pairs"])
    pairs.in_flight, pairs.flowing = run.params["in_flight"], True
    for writer in pairs.writers:
        writer.send(pairs.in_flight, coalesce=pairs.coalesce)
    count, seconds = await run.window(
        warm_up=run.params["warm_up"],
        seconds=run.params["seconds"],
        count=lambda: pairs.delivered,
        what="saturated 1:1",
    )
    await pairs.settle()
    return run.result(messages=count, seconds=seconds, per_second=count / seconds)


class Timed(Pairs):
    """Pairs that note when each message was sent and how long it took."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.sent_at: dict[tuple[str, int], float] = {}
        self.latencies: list[float] = []
        self.answers: list[float] = []
        self.measuring = False

    def arrived(self, device: Device, sender: str, number: int) -> None:
        if id(device) not in self._writer_of:
            self.echoed += 1
            return
        self.delivered += 1
        took = time.perf_counter() - self.sent_at[sender, number]
        if self.measuring:
            self.latencies.append(took)

    def accepted(self, device: Device, number: int) -> None:
        self.taken += 1
        if self.measuring:
            self.answers.append(time.perf_counter() - self.sent_at[device.id, number])

    async def write(self, per_second: float, lags: list[float]) -> None:
        """Open loop: Poisson arrivals at random writers, whatever the server does."""
        due = time.perf_counter()
        while self.flowing:
            due += random.expovariate(per_second)
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            writer = random.choice(self.writers)
            assert writer.author is not None
            now = time.perf_counter()
            lags.append(now - due)
            self.sent_at[writer.id, writer.author.number] = now
            writer.send()


class Bystanders:
    """The watcher of sockets on which nothing should happen."""

    def arrived(self, device: Device, sender: str, number: int) -> None: ...
    def accepted(self, device: Device, number: int) -> None: ...


async def bystanders(run: Run, count: int) -> list[Device]:
    """Open so many sockets of people who neither write nor are written to, and leave them be."""
    if count <= 0:
        return []
    cast = run.cast()
    first: int = run.params["pairs"]
    people = await cast.need([f"{role}{n}" for n in range(first + BYSTANDERS) for role in ("alice", "bob")])
    await cast.close()
    # Each takes several: a socket costs the same, and signing up thousands would only cost time.
    devices = [run.device(people[2 * first + n % (2 * BYSTANDERS)], Bystanders()) for n in range(count)]
    for start in range(0, count, 100):
        await run.open(devices[start : start + 100])
        tell("progress", what="sockets open", done=start, of=count)
    return devices


async def latency(run: Run) -> dict[str, object]:
    """W2: `rate` messages per second, in all; the time from the send to the entry at the peer.

    W8: the same, with so many others online that each web process holds `sockets`.
    """
    pairs, lags = Timed(run), list[float]()
    await pairs.open(run.params["pairs"])
    others = await bystanders(run, run.params.get("sockets", 0) * len(run.urls) - 2 * run.params["pairs"])
    pairs.flowing = True
    writing = asyncio.create_task(pairs.write(run.params["rate"], lags))
    await run.pause(run.params["warm_up"], "warming up")
    lags.clear()
    pairs.measuring = True
    count, seconds = await run.window(
        warm_up=0,
        seconds=run.params["seconds"],
        count=lambda: pairs.delivered,
        what=f"latency at {run.params['rate']}/s",
    )
    pairs.measuring = False
    pairs.flowing = False
    await writing
    await pairs.settle()
    for device in others:
        device.close()
    return run.result(
        messages=count,
        seconds=seconds,
        per_second=count / seconds,
        latency=quantiles(pairs.latencies),
        answer=quantiles(pairs.answers),
        generator_lag=quantiles(lags),
    )


class Burst(Pairs):
    """Pairs whose writers keep `pipeline` messages unanswered, until each has written its share."""

    share = 0
    pipeline = 0

    def accepted(self, device: Device, number: int) -> None:
        self.taken += 1
        assert device.author is not None
        left = self.share - device.author.number
        if self.coalesce:
            # As an outbox does: what could not go yet goes together.
            if left and len(device.outstanding) <= self.pipeline // 2:
                device.send(min(left, self.pipeline - len(device.outstanding)), coalesce=True)
        elif left:
            device.send()


async def burst(run: Run) -> dict[str, object]:
    """W6: `messages` sends as fast as they are taken; seconds until all are accepted, and until all are delivered."""
    pairs = Burst(run)
    await pairs.open(run.params["pairs"])
    total: int = run.params["messages"]
    pairs.share, pairs.pipeline = total // len(pairs.writers), run.params["pipeline"]
    goal: Any = pairs.share * len(pairs.writers)
    await run.pause(run.params["warm_up"], "resting")
    tell("begin")
    began = time.monotonic()
    for writer in pairs.writers:
        writer.send(min(pairs.pipeline, pairs.share), coalesce=pairs.coalesce)
    accepted_s = delivered_s = 0.0
    while not run.ledger.errors and time.monotonic() < began + run.params["deadline"]:
        now = time.monotonic() - began
        if not accepted_s and pairs.taken == goal:
            accepted_s = now
        if pairs.delivered == goal:
            delivered_s = now
            break
        tell("progress", what="burst", done=pairs.delivered, of=goal, count=pairs.taken)
        await asyncio.sleep(0.01 if now < 1 or pairs.delivered > goal * 0.9 or pairs.taken > goal * 0.9 else 0.1)
    accepted_s = accepted_s or delivered_s
    tell("end")
    await pairs.settle()
    return run.result(
        messages=goal,
        seconds=delivered_s,
        accepted_s=accepted_s,
        delivered_s=delivered_s,
        per_second=goal / delivered_s if delivered_s else 0,
    )
