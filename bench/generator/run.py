"""What every workload shares: its parameters, its way to speak to the parent process, its devices, and the end check."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from bench.generator import sealing, wire
from bench.generator.cast import Cast
from bench.generator.device import Device, Ledger, Watcher, open_all

SEALED = "chat.e2ee.v1"
# What a text of about 40 characters is when it is sealed. Each writer's few bodies are used in turn, under ids of their own.
BODY_BYTES = 220
BODIES = 8


def tell(event: str, **fields: object) -> None:
    """One line of JSON to the parent: `begin`, `end`, `progress`, `ask` or `result`."""
    sys.stdout.buffer.write(orjson.dumps({"event": event, "at": time.monotonic(), **fields}) + b"\n")
    sys.stdout.buffer.flush()


@dataclass
class Run:
    """One run of one workload. `urls` has one base URL per web process; devices are spread over them."""

    urls: list[str]
    cast_file: Path
    params: dict[str, Any]
    ledger: Ledger = field(default_factory=Ledger)
    tag: str = field(default_factory=wire.new_run)

    def __post_init__(self) -> None:
        self.alg: str = self.params.get("alg", SEALED)
        self._authors = 0

    def cast(self) -> Cast:
        return Cast(
            self.cast_file,
            self.urls[0],
            lambda what, done, of: tell("progress", what=what, done=done, of=of),
            sealed=self.alg == SEALED,
        )

    def device(self, person: dict[str, Any], watcher: Watcher) -> Device:
        return Device(
            name=person["username"],
            token=person["access"],
            device_id=person["device"],
            run=self.tag,
            ledger=self.ledger,
            watcher=watcher,
        )

    def author(self, person: dict[str, Any], room: dict[str, Any]) -> wire.Author:
        """Who writes as this person in this room, with bodies that are made now: sealing is no part of any figure."""
        size: int = self.params.get("bytes", BODY_BYTES)
        sealed = self.alg == SEALED
        bodies = sealing.bodies(person, room, size=size, count=BODIES) if sealed else [wire.opaque(size)]
        self._authors += 1
        return wire.Author(
            room=room["id"], epoch=room["epoch"], run=self.tag, index=self._authors - 1, alg=self.alg, bodies=bodies
        )

    async def open(self, devices: list[Device], *, at_once: int = 20) -> None:
        """Open these sockets and wait until each has drained."""
        await open_all(devices, self.socket_url, at_once=at_once)

    def socket_url(self, index: int) -> str:
        return self.urls[index % len(self.urls)].replace("http", "ws", 1) + "/api/v1/socket"

    async def window(self, *, warm_up: float, seconds: float, count: Callable[[], int], what: str) -> tuple[int, float]:
        """Let the load run: warm up, then measure. Answers how much `count` grew, and the seconds it took."""
        await self.pause(warm_up, "warming up")
        tell("begin")
        first, began = count(), time.monotonic()
        await self.pause(seconds, what, count)
        last, ended = count(), time.monotonic()
        tell("end")
        return last - first, ended - began

    async def pause(self, seconds: float, what: str, count: Callable[[], int] | None = None) -> None:
        """Sleep with a progress bar. Stops early when the run is already spoilt."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.ledger.errors:
            tell("progress", what=what, done=round(seconds - left, 2), of=seconds, count=count and count())
            await asyncio.sleep(min(0.25, left))

    async def until(self, what: str, ready: Callable[[], bool], *, seconds: float) -> bool:
        """Wait for a condition; an error in the ledger when it does not come in time."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                self.ledger.error(f"not in {seconds:.0f} s", what)
                return False
            await asyncio.sleep(0.02)
        return True

    def check(self, readers: Iterable[Device], writers: Iterable[Device]) -> None:
        """At the end: every reader has every number of every writer."""
        for reader in readers:
            for writer in writers:
                assert writer.author is not None
                if reader.positions.get(writer.id, 0) != writer.author.number:
                    self.ledger.error(
                        "lost",
                        f"{reader.name} has {reader.positions.get(writer.id, 0)} of "
                        f"{writer.author.number} of {writer.name}",
                    )

    def result(self, **fields: object) -> dict[str, object]:
        """The result with what was found wrong."""
        return {
            **fields,
            "errors": self.ledger.errors,
            "examples": self.ledger.examples,
            "refusals": self.ledger.refusals,
            "receipts": self.ledger.receipts,
            "valid": not self.ledger.errors,
        }


def quantiles(values: list[float]) -> dict[str, float]:
    """p50, p90, p99 and max of seconds, in milliseconds."""
    ordered = sorted(values)
    if not ordered:
        return {}
    at = {
        name: ordered[min(len(ordered) - 1, int(len(ordered) * q))] * 1000
        for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    }
    return at | {"max": ordered[-1] * 1000}
