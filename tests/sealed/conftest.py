"""Alice, whose server is hostile, and others, whose clients reach the real one."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from client import Client
from config.supervisor.system import System
from tests.client.conftest import People, people  # noqa: F401
from tests.client.sealed import person
from tests.sealed.hostile import Hostile


@pytest.fixture
async def hostile(system: System) -> AsyncIterator[Hostile]:
    async with Hostile(system.urls[0]).standing() as hostile:
        yield hostile


@pytest.fixture
async def victims(hostile: Hostile, tmp_path: Path) -> AsyncIterator[People]:
    """People whose clients know the hostile server only."""
    (tmp_path / "victims").mkdir()
    async with AsyncExitStack() as closing:
        yield People([hostile.url], tmp_path / "victims", closing)


@pytest.fixture
async def alice(victims: People) -> Client:
    return await person(victims, "alice")


@pytest.fixture
async def bob(people: People) -> Client:  # noqa: F811
    return await person(people, "bob")


@pytest.fixture
async def mallory(people: People) -> Client:  # noqa: F811
    return await person(people, "mallory")
