"""W3, W4 and W5: a room with everybody online, sockets that do nothing, and devices that were away."""

import asyncio
import statistics
import time

from bench.generator.device import Device
from bench.generator.run import Run, tell


class Room:
    """The watcher of a group room: a message is in flight until the last member has it."""

    def __init__(self, members: int) -> None:
        self.members = members
        self.deliveries = self.taken = self.complete = 0
        self.flowing = False
        self.writers: dict[str, Device] = {}
        self._left: dict[tuple[str, int], int] = {}

    def arrived(self, device: Device, sender: str, number: int) -> None:
        if device.id != sender:  # the sender's own entry is no delivery
            self.deliveries += 1
        key = (sender, number)
        left = self._left.get(key, self.members) - 1
        if left:
            self._left[key] = left
            return
        del self._left[key]
        self.complete += 1
        if self.flowing:
            self.writers[sender].send()

    def accepted(self, device: Device, number: int) -> None:
        self.taken += 1


async def room(run: Run) -> dict[str, object]:
    """W3: `writers` members of a room keep `in_flight` messages each under way; deliveries to other members count."""
    members: int = run.params["members"]
    watcher = Room(members)
    cast = run.cast()
    names = [f"{role}{n}" for n in range((members + 1) // 2) for role in ("alice", "bob")][:members]
    people = await cast.need(names)
    place = await cast.group(people)
    await cast.close()
    devices = [run.device(person, watcher) for person in people]
    writers = devices[: run.params["writers"]]
    for writer, person in zip(writers, people, strict=False):
        writer.author = run.author(person, place)
        watcher.writers[writer.id] = writer
    await run.open(devices)
    watcher.flowing = True
    for writer in writers:
        writer.send(run.params["in_flight"])
    count, seconds = await run.window(
        warm_up=run.params["warm_up"],
        seconds=run.params["seconds"],
        count=lambda: watcher.deliveries,
        what=f"room of {members}",
    )
    watcher.flowing = False
    await run.until(
        "every member has everything",
        seconds=30,
        ready=lambda: (
            bool(run.ledger.errors)
            or (watcher.complete == watcher.taken == sum(w.author.number for w in writers if w.author is not None))
        ),
    )
    if not run.ledger.errors:
        run.check(devices, writers)
    for device in devices:
        device.close()
    return run.result(messages=count, seconds=seconds, per_second=count / seconds, sends=count / (members - 1))


class Silence:
    """The watcher of sockets on which nothing should happen."""

    def arrived(self, device: Device, sender: str, number: int) -> None: ...
    def accepted(self, device: Device, number: int) -> None: ...


async def idle(run: Run) -> dict[str, object]:
    """W4: the web processes' memory before and after `sockets` more authenticated sockets. The parent weighs them."""
    cast = run.cast()
    people = await cast.need([f"{role}{n}" for n in range(run.params["people"] // 2) for role in ("alice", "bob")])
    await cast.close()
    first, more = run.params["before"], run.params["sockets"]
    # Devices take several sockets each: a socket costs the same, and signing up thousands would only cost time.
    devices = [run.device(people[n % len(people)], Silence()) for n in range(first + more)]
    await run.open(devices[:first])
    await run.pause(run.params["rest"], "resting")
    tell("weigh", name="before")
    for start in range(first, len(devices), 100):
        await run.open(devices[start : start + 100])
        tell("progress", what="sockets open", done=start + 100 - first, of=more)
    await run.pause(run.params["rest"], "resting")
    tell("weigh", name="after")
    tell("begin")
    await run.pause(run.params["seconds"], f"{len(devices)} idle sockets")
    tell("end")
    for device in devices:
        device.close()
    return run.result(sockets=more, messages=0, seconds=run.params["seconds"])


class Count:
    """Counts what is accepted and what comes."""

    def __init__(self) -> None:
        self.taken = self.came = 0

    def arrived(self, device: Device, sender: str, number: int) -> None:
        self.came += 1

    def accepted(self, device: Device, number: int) -> None:
        self.taken += 1


async def catch_up(run: Run) -> dict[str, object]:
    """W5: devices are away while `messages` are written to each; then one after the other connects and drains."""
    absent: int = run.params["devices"]
    total: int = run.params["messages"]
    writing, reading = Count(), Count()
    cast = run.cast()
    people = await cast.need([f"{role}{n}" for n in range(absent) for role in ("alice", "bob")])
    pairs = list(zip(people[::2], people[1::2], strict=True))
    rooms = await cast.direct(pairs)
    writers, readers = [], []
    for (first, second), place in zip(pairs, rooms, strict=True):
        writer = run.device(first, writing)
        writer.author = run.author(first, place)
        writers.append(writer)
        readers.append(run.device(second, reading))
    await run.open(writers)
    for start in range(0, total, 100):
        for writer in writers:
            writer.send(min(100, total - start), coalesce=True)
        await run.until("the messages are accepted", seconds=30, ready=lambda: all(not w.outstanding for w in writers))
        tell("progress", what="writing", done=writing.taken, of=total * absent)
    # The writers' own entries say that the drain is through; the readers' mailboxes may be a little behind.
    await run.until("the writers have their own", seconds=60, ready=lambda: writing.came == total * absent)
    for reader, (_, person) in zip(readers, pairs, strict=True):
        deadline = time.monotonic() + 60
        while True:
            page = await cast.request("GET", "/mailbox/undelivered?limit=1", token=person["access"])
            if page["last_seq"] - page["acknowledged"] >= total:
                break
            if time.monotonic() > deadline:
                run.ledger.error("mailbox incomplete", f"{reader.name}: {page['last_seq']}")
                break
            await asyncio.sleep(0.1)
    await cast.close()
    for writer in writers:
        writer.close()
    await run.pause(run.params["rest"], "resting")
    speeds = []
    tell("begin")
    for n, reader in enumerate(readers):
        await run.open([reader])
        speeds.append(reader.entries / (reader.drained.result() - reader.hello_at))
        tell("progress", what="catching up", done=n + 1, of=absent)
    tell("end")
    for reader, writer in zip(readers, writers, strict=True):
        run.check([reader], [writer])
        reader.close()
    return run.result(
        messages=reading.came,
        seconds=reading.came / statistics.median(speeds),
        per_second=statistics.median(speeds),
        speeds=[round(speed) for speed in speeds],
    )
