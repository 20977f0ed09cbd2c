"""People who use the Python client, on the live system."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from client import Client, SignedOut
from config.supervisor.system import System
from tests.cast import PATIENCE_S, until
from tests.client.plain import Plain

PASSWORD = secrets.token_urlsafe(24)


class People:
    """Makes clients with stores of their own, and closes them after the test."""

    def __init__(self, urls: list[str], folder: Path, closing: AsyncExitStack) -> None:
        self.urls, self.folder, self._closing = itertools.cycle(urls), folder, closing
        self._numbers = itertools.count(1)

    async def opens(self, store: Path | None = None, **options: Any) -> Client:
        """A client on the next of the web processes, which nobody has signed in yet (or whose store says who did)."""
        options = {"sealer": Plain(), **options}
        client = Client(next(self.urls), store or self.folder / f"{next(self._numbers)}.db", **options)
        return await self._closing.enter_async_context(client)

    @staticmethod
    def tag() -> str:
        """What makes a name one's own."""
        return secrets.token_hex(5)

    async def person(self, name: str, **options: Any) -> Client:
        """Somebody new, on a first device that is connected and has caught up."""
        client = await self.opens(**options)
        await client.register(f"{name}.{secrets.token_hex(5)}", PASSWORD, device_name="phone")
        return await live(client)

    async def another_device(self, of: Client, **options: Any) -> Client:
        """Another device of somebody, signed in and not connected."""
        client = await self.opens(**options)
        await client.sign_in(of.me.username, PASSWORD, device_name="laptop")
        return client


async def live(client: Client) -> Client:
    client.connect()
    await client.caught_up()
    return client


async def finds_itself_signed_out(client: Client) -> None:
    """Ask until the answer is that. The revocation was made at one web process; another hears of it up to two seconds later."""
    async with asyncio.timeout(PATIENCE_S):
        with suppress(SignedOut):
            while True:
                await client.devices()
    assert not client.is_signed_in


@pytest.fixture
async def people(system: System, tmp_path: Path) -> AsyncIterator[People]:
    async with AsyncExitStack() as closing:
        yield People(system.urls, tmp_path, closing)


def bodies(client: Client, room: str) -> list[bytes | None]:
    """Every message of a room in a client's store, in order."""
    return [message.body for message in reversed(client.messages(room, limit=10_000))]


async def has(client: Client, room: str, *expected: bytes) -> None:
    """Wait until a client has these messages in a room; then they are all, and in this order."""
    await until(lambda: len(client.messages(room, limit=10_000)) >= len(expected), f"{len(expected)} messages")
    assert bodies(client, room) == list(expected)


def numbered(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]
