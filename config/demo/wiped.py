"""The last scene: Beatrice's only device is wiped, others write meanwhile, and she reads everything on a new one.

What she needs is her name and the recovery key that she wrote down: her old device is gone, with all that it had.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from client import FLOOR, Client, Message

STEPS: Final = 4
PATIENCE_S: Final = 120.0
BEFORE: Final = (
    ("beatrice", "I pray you, is Signior Mountanto returned from the wars or no?"),
    ("benedick", "What, my dear Lady Disdain! Are you yet living?"),
    ("beatrice", "Is it possible disdain should die while she hath such meet food to feed it?"),
)
MEANWHILE: Final = (
    "I do love nothing in the world so well as you: is not that strange?",
    "By my sword, Beatrice, thou lovest me.",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What she had sent and received, and how much of it her new device shows, word for word."""

    sent: int
    received: int
    missed: int
    read: int

    @property
    def is_good(self) -> bool:
        """Whether she reads everything."""
        return self.read == self.sent + self.received + self.missed

    def __str__(self) -> str:
        found = "all" if self.is_good else f"only {self.read}"
        return (
            f"Beatrice's only device is wiped, and Benedick writes {self.missed} lines. With her recovery key a new device reads {found}"
            f" of {self.sent + self.received + self.missed}: {self.sent} sent, {self.received} received, {self.missed} written while she had none."
        )


async def perform(urls: Sequence[str], folder: Path, *, patience: float, told: Callable[[], None]) -> Outcome:
    """Play it; `told` is called after each of `STEPS`. Raises `TimeoutError` when something does not come."""
    run = secrets.token_hex(4)
    name, password = f"beatrice.{run}", secrets.token_urlsafe(24)
    async with AsyncExitStack() as stack:

        async def opened(path: Path) -> Client:
            return await stack.enter_async_context(Client(urls[0], path, patience=patience, strength=FLOOR))

        beatrice, benedick = await opened(folder / "wiped.db"), await opened(folder / "benedick.db")
        await beatrice.register(name, password, device_name="phone")
        await benedick.register(f"benedick.{run}", secrets.token_urlsafe(24), device_name="phone")
        recovery_key = beatrice.keys.recovery_key
        assert recovery_key is not None, "a new account has one to show"
        beatrice.keys.confirm_recovery_key()
        for client in (beatrice, benedick):
            client.connect()
        room = (await beatrice.direct_room(benedick.me.user)).id
        for who, line in BEFORE:
            await (beatrice if who == "beatrice" else benedick).send(room, line.encode())
        told()

        await beatrice.close()
        await asyncio.to_thread(_wipe, folder)
        told()

        for line in MEANWHILE:
            await benedick.send(room, line.encode())
        told()

        again = await opened(folder / "anew.db")
        await again.recover(name, recovery_key, device_name="new phone", new_password=secrets.token_urlsafe(24))
        again.connect()
        expected = [*(line for _, line in BEFORE), *MEANWHILE]
        async with asyncio.timeout(PATIENCE_S):
            await again.caught_up()
            while len(lines := _lines(again)) < len(expected):
                await asyncio.sleep(0.05)
        told()
    sent = sum(who == "beatrice" for who, _ in BEFORE)
    read = sum(line == text for line, text in zip(lines, expected, strict=False))
    return Outcome(sent, len(BEFORE) - sent, len(MEANWHILE), read)


def _wipe(folder: Path) -> None:
    for path in folder.glob("wiped.db*"):
        path.unlink()


def _lines(client: Client) -> list[str]:
    messages = [event for event in client.mailbox(limit=1_000) if isinstance(event, Message)]
    return [(message.body or b"").decode() for message in messages]
