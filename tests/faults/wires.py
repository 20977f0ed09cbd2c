"""The wires between the machines of a fault test: relays in a process of their own, that can go deaf or be cut.

    Wires([Route("valkey", ("127.0.0.1", 7001), ("127.0.0.1", 6390), is_pubsub=True), …]) as wires
    wires.deaf(True)    what Valkey publishes no longer reaches a subscriber; everything else passes, and no error is seen
    wires.cut(True)     nothing passes on routes that are `far`; connections stay open and stay silent, new ones too

Relays, because the servers listen on loopback and because Valkey itself offers no way to lose a message without telling anybody.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

HERE = Path(__file__).resolve().parent.parent.parent
PUBLISHED = (b"message", b"pmessage", b"smessage")
HELD_UP = 1 << 18


@dataclass(frozen=True)
class Route:
    """Who listens where for whom."""

    name: str
    listen: tuple[str, int]
    to: tuple[str, int]
    is_pubsub: bool = False
    is_far: bool = False


class Wires:
    """The relays' process, seen from the test."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.wires", json.dumps([vars(route) for route in routes])],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            text=True,
        )
        assert self._answer() == "ready", "the wires could not be laid"

    def deaf(self, yes: bool) -> int:
        """Drop what is published, or no longer; answers how many messages were dropped since the start."""
        return int(self._ask(f"deaf {int(yes)}"))

    def cut(self, yes: bool) -> None:
        """Hold everything on the far routes, or let it pass again."""
        self._ask(f"cut {int(yes)}")

    def _ask(self, line: str) -> str:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        """Take them down."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


# --- inside the relays' process --------------------------------------------------------------------------------------------


class Switch:
    """What the test has ordered; shared by all relays."""

    def __init__(self) -> None:
        self.is_deaf = self.is_cut = False
        self.dropped = 0
        self.far: set[End] = set()

    def order(self, what: str, yes: bool) -> int:
        """Obey a line of the test's."""
        if what == "deaf":
            self.is_deaf = yes
        else:
            self.is_cut = yes
            for end in list(self.far):
                end.hold(yes)
        return self.dropped


class End(asyncio.Protocol):
    """One end of a relayed connection; what it gets, the other end sends."""

    def __init__(self, route: Route, switch: Switch, other: "End | None" = None) -> None:
        self.route, self.switch, self.other = route, switch, other
        self.transport: Any = None
        self.early: list[bytes] = []
        self.filter: Published | None = None
        self._dialling: asyncio.Task[Any] | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.set_write_buffer_limits(high=HELD_UP)
        if self.route.is_far:
            self.switch.far.add(self)
            self.hold(self.switch.is_cut)
        if self.other is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        else:
            for data in self.other.early:
                transport.write(data)
            self.other.early.clear()

    async def _dial(self) -> None:
        try:
            _, self.other = await asyncio.get_running_loop().create_connection(
                lambda: End(self.route, self.switch, self), *self.route.to
            )
        except OSError:
            self.transport.abort()
            return
        if self.transport.is_closing():
            self.other.transport.abort()

    def data_received(self, data: bytes) -> None:
        other = self.other
        if self.filter is not None:
            data = self.filter.rest(data, self.switch)
        elif self.route.is_pubsub and other is not None and b"SUBSCRIBE" in data and other.filter is None:
            other.filter = Published()
        if other is None or other.transport is None:
            self.early.append(data)
        elif data:
            other.transport.write(data)

    def hold(self, yes: bool) -> None:
        """Read nothing, so that nothing passes."""
        if not self.transport.is_closing():
            (self.transport.pause_reading if yes else self.transport.resume_reading)()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.hold(yes=True)

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.hold(yes=self.route.is_far and self.switch.is_cut)

    def connection_lost(self, error: Exception | None) -> None:
        self.switch.far.discard(self)
        if self.other is not None and self.other.transport is not None:
            # As abrupt as it came.
            (self.other.transport.abort if error else self.other.transport.close)()


class Published:
    """Takes published messages out of what Valkey says to a subscriber (RESP2 and RESP3)."""

    def __init__(self) -> None:
        self._buffer = b""

    def rest(self, data: bytes, switch: Switch) -> bytes:
        """What may pass; the beginning of an answer that is not complete is kept."""
        self._buffer += data
        passed, start = [], 0
        while (end := value_end(self._buffer, start)) > 0:
            value = self._buffer[start:end]
            if switch.is_deaf and is_published(value):
                switch.dropped += 1
            else:
                passed.append(value)
            start = end
        self._buffer = self._buffer[start:]
        return b"".join(passed)


def is_published(value: bytes) -> bool:
    """Whether this answer is a message of a channel."""
    return value[:1] in (b"*", b">") and any(b"\r\n%b\r\n" % word in value[:32] for word in PUBLISHED)


def value_end(data: bytes, at: int) -> int:
    """Where the RESP value that begins here ends; -1 when it is not all there."""
    line = data.find(b"\r\n", at)
    if line < 0:
        return -1
    kind, after = data[at : at + 1], line + 2
    if kind in b"$=!":
        size = int(data[at + 1 : line])
        end = after if size < 0 else after + size + 2
        return end if end <= len(data) else -1
    if kind in b"*>~%":
        count = int(data[at + 1 : line]) * (2 if kind == b"%" else 1)
        for _ in range(max(0, count)):
            after = value_end(data, after)
            if after < 0:
                return -1
    return after


async def _main(routes: Sequence[Route]) -> None:
    loop, switch = asyncio.get_running_loop(), Switch()
    for route in routes:
        await loop.create_server(lambda route=route: End(route, switch), *route.listen, backlog=512)
    print("ready", flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    # The test's end closes the pipe.
    while line := (await lines.readline()).decode():
        what, yes = line.split()
        print(switch.order(what, yes == "1"), flush=True)


if __name__ == "__main__":
    import uvloop

    asked = [{**route, "listen": tuple(route["listen"]), "to": tuple(route["to"])} for route in json.loads(sys.argv[1])]
    uvloop.run(_main([Route(**route) for route in asked]))
