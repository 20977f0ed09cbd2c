"""A scene beside the play: Borachio is blocked, and writes on with a client that does not care.

Hero blocks Borachio  →  all devices of both know  →  his honest client refuses by itself
→  half a minute later his other one, with its check switched off, writes  →  nothing arrives, one alert appears
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import DatabaseError

from client import FLOOR, Blocked, Client, Message
from delivery.judging import KNOWN_FOR_S, alerts_about

LINES: Final = (
    "Thou shouldst not shut me out.",
    "I am not so easily put by.",
    "Mark what I say to thee, Hero.",
    "Thou canst not choose but hear me.",
    "I will yet be heard.",
)
STEPS: Final = 6
PATIENCE_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: `accepted` and `arrived` of the hostile client's lines, and the counts of the alerts about it."""

    refused: bool
    accepted: int
    arrived: int
    # None where the alerts cannot be looked at from here.
    alerts: Sequence[int] | None

    @property
    def is_good(self) -> bool:
        """Whether the block held and staff were told once."""
        return self.refused and self.arrived == 0 and self.alerts in (None, [self.accepted])

    def __str__(self) -> str:
        told = "seen in the admin only" if self.alerts is None else f"{len(self.alerts)} alert"
        counted = f", {self.alerts[0]} messages" if self.alerts else ""
        return (
            "Hero blocks Borachio. "
            + ("His client refuses to write to her. " if self.refused else "His client writes to her all the same! ")
            + f"Another, with that check switched off, writes {self.accepted} lines: {self.arrived} arrive. Staff: {told}{counted}."
        )


async def perform(
    urls: Sequence[str], folder: Path, *, patience: float, told: Callable[[], None], sees_alerts: bool
) -> Outcome:
    """Play it; `told` is called after each of `STEPS`. Raises `TimeoutError` when something does not come."""
    run = secrets.token_hex(4)
    password = secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:

        async def device(name: str, device: str, *, first: bool, honest: bool = True) -> Client:
            path = folder / f"block.{name}.{device}.db"
            made = await stack.enter_async_context(
                Client(urls[0], path, patience=patience, enforce_blocks=honest, carrier="socket", strength=FLOOR)
            )
            enter = made.register if first else made.sign_in
            await enter(f"{name}.{run}", password, device_name=device)
            made.connect()
            return made

        hero = [await device("hero", "phone", first=True), await device("hero", "laptop", first=False)]
        honest = await device("borachio", "phone", first=True)
        hostile = await device("borachio", "other", first=False, honest=False)
        ursula = await device("ursula", "phone", first=True)
        told()
        room = (await honest.direct_room(hero[0].me.user)).id
        heard: list[list[str]] = [[] for _ in hero]
        tasks = [asyncio.create_task(_listen(each, lines)) for each, lines in zip(hero, heard, strict=True)]
        try:
            await honest.send(room, b"Before the block.")
            await _until(lambda: all("Before the block." in lines for lines in heard))
            told()

            await hero[0].connections.block(honest.me.user)
            await _until(lambda: _relation(hero[1], honest) == (True, False))
            await _until(lambda: all(_relation(each, hero[0]) == (False, True) for each in (honest, hostile)))
            await hostile.connections.sync()
            told()

            refused = False
            try:
                await honest.send(room, b"I write to thee.")
            except Blocked:
                refused = True
            told()

            # Whoever has known for less than this is told, and not yet alerted about (docs/protocol.md §5.5).
            await asyncio.sleep(KNOWN_FOR_S + 2)
            for line in LINES:
                await hostile.send(room, line.encode())
            await ursula.send((await ursula.direct_room(hero[0].me.user)).id, b"Good morrow, cousin.")
            await _until(lambda: all("Good morrow, cousin." in lines for lines in heard))
            told()

            alerts = await _alerts(hostile.me.device, sure=sees_alerts)
            arrived = sum(line in lines for lines in heard for line in LINES)
            told()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return Outcome(refused, len(LINES), arrived, alerts)


async def _listen(device: Client, lines: list[str]) -> None:
    """Keep what arrives on a device."""
    async for event in device.events(after=0):
        if isinstance(event, Message):
            lines += [(event.body or b"").decode()]


def _relation(device: Client, other: Client) -> tuple[bool, bool] | None:
    """(blocked, blocked_by) as this device has it."""
    found = device.connections.get(other.me.user)
    return None if found is None else (found.blocked, found.blocked_by)


async def _alerts(device: str, *, sure: bool) -> list[int] | None:
    """The counts of the alerts about this device, once all lines are counted. None where no database of this system is at hand."""
    counts: list[int] = []
    for _ in range(100):
        try:
            counts = await sync_to_async(alerts_about)(UUID(device))
        except DatabaseError:
            break
        if sum(counts) >= len(LINES):
            return counts
        await asyncio.sleep(0.1)
    return counts if sure else None


async def _until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not true():
            await asyncio.sleep(0.05)
