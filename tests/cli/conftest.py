"""People in front of the messenger, on the live system: what they type, and what they see in 80 by 24."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.keys import _character_to_key
from textual.pilot import Pilot

from client import FLOOR, Client
from client.cli.place import Place
from client.cli.questions import Asker
from client.cli.tui.app import Letterlock
from config.supervisor.system import System
from tests.cast import until

PASSWORD = secrets.token_urlsafe(9)  # it is typed often
PATIENCE_S = 45.0


class Somebody:
    """A user on one device, with a store of its own."""

    def __init__(self, client: Client, place: Place, asker: Asker) -> None:
        self.client, self.place, self.asker = client, place, asker

    @property
    def name(self) -> str:
        """The user name."""
        return self.client.me.username


class People:
    """Makes people, and closes their clients after the test."""

    def __init__(self, url: str, folder: Path, closing: AsyncExitStack) -> None:
        self.url, self.folder, self._closing = url, folder, closing
        self._made = 0

    async def device(self, **options: Any) -> Somebody:
        """A device that nobody has signed in on."""
        self._made += 1
        return await self.at(Place(self.folder / f"{self._made}.db", options.pop("url", self.url)), **options)

    async def at(self, place: Place, **options: Any) -> Somebody:
        """The device whose store this is."""
        asker = Asker()
        # The least of Argon2id that clients take: these passwords guard nothing.
        options = {"strength": FLOOR, **options}
        client = Client(place.url, place.store, on_conflict=asker.on_conflict, on_lag=asker.on_lag, **options)
        return Somebody(await self._closing.enter_async_context(client), place, asker)

    async def person(self, name: str, **options: Any) -> Somebody:
        """Somebody new, connected."""
        who = await self.device(**options)
        await who.client.register(f"{name}.{secrets.token_hex(4)}", PASSWORD, device_name="phone")
        who.client.keys.confirm_recovery_key()
        return await connected(who)

    async def another_device(self, of: Somebody, name: str = "tablet", **options: Any) -> Somebody:
        """Another device of somebody, signed in and not connected."""
        who = await self.device(**options)
        await who.client.sign_in(of.name, PASSWORD, device_name=name)
        return who


async def connected(who: Somebody) -> Somebody:
    who.client.connect()
    await who.client.caught_up()
    return who


def set_clock_back(who: Somebody, seconds: float) -> None:
    """A device whose store was restored from an old copy, and whose clock is wrong: it does not know what it has stamped."""
    who.client._store.database.run("UPDATE facts SET value = 1000 WHERE name = 'last_sent_at'")
    who.client._sender._now_ms = lambda: time.time_ns() // 1_000_000 - int(seconds * 1000)


class Terminal:
    """The messenger in 80 by 24, with somebody in front of it."""

    def __init__(self, app: Letterlock, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def text(self) -> str:
        """What is on the screen in front, line by line."""
        return "\n".join(strip.text for strip in self.app.screen._compositor.render_strips())

    async def types(self, text: str, *keys: str) -> None:
        """Type a text, as fast as one can; then press other keys, each when the one before has had its effect."""
        for number, line in enumerate(text.split("\n")):
            if number:
                await self.pilot.press("ctrl+j")
            for character in line:
                key = Key(_character_to_key(character), character)
                self.app.post_message(key.set_sender(self.app))
            await self._settled()
        await self.pilot.press(*keys)

    async def _settled(self) -> None:
        """Wait until the application, and then what has the focus, has dealt with all that was typed."""
        for pump in (self.app, self.app.focused or self.app.screen):
            dealt = asyncio.Event()
            pump.call_later(dealt.set)
            await dealt.wait()
        await self.pilot.pause()

    async def says(self, text: str) -> None:
        """Type a text or a command, and press Enter."""
        await self.types(text, "enter")

    async def sees(self, *texts: str) -> None:
        """Wait until all of this is on the screen."""

        def missing() -> list[str]:
            return [text for text in texts if text not in self.text]

        try:
            await until(lambda: not missing(), patience_s=PATIENCE_S)
        except AssertionError:
            raise AssertionError(f"{missing()} not on the screen:\n{self.text}") from None

    async def sees_no(self, text: str) -> None:
        """Wait until this is not on the screen."""
        await until(lambda: text not in self.text, f"{text!r} stays on the screen", patience_s=PATIENCE_S)


@asynccontextmanager
async def terminal(who: Somebody, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Terminal]:
    """Start the messenger on somebody's device."""
    app = Letterlock(who.client, who.place, who.asker)
    async with app.run_test(size=size) as pilot:
        yield Terminal(app, pilot)


@pytest.fixture
async def people(system: System, tmp_path: Path) -> AsyncIterator[People]:
    async with AsyncExitStack() as closing:
        yield People(system.url, tmp_path, closing)
