"""The system that gets the requests, and people to make them."""

from collections.abc import Iterator

import httpx
import pytest
from django.conf import settings

from config.supervisor.system import System
from tests.api.world import World
from tests.strained import strained_system


@pytest.fixture(scope="session")
def strained() -> System:
    """See tests/strained.py."""
    return strained_system()


@pytest.fixture(scope="session")
def worlds(strained: System) -> Iterator[list[World]]:
    """The last one that was made."""
    with httpx.Client(base_url=f"{strained.url}/api/v1/", timeout=30) as http:
        yield [World(http)]


@pytest.fixture
def world(worlds: list[World]) -> World:
    """People with a room and messages; fresh ones if the last test signed somebody out or broke up the room."""
    if not worlds[-1].is_intact:
        worlds.append(World(worlds[-1].http))
    return worlds[-1]


@pytest.fixture(scope="session")
def protocol() -> str:
    """The text of docs/protocol.md."""
    return (settings.BASE_DIR / "docs" / "protocol.md").read_text()
