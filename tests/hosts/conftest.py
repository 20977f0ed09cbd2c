"""A system with several hosts, for tests that kill none of them; and how a device is asked where it belongs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Any

import httpx
import pytest

from config.supervisor.system import System
from tests.cast import Cast, Device, ok
from tests.services import services

SERVICE_TOKEN = "a token of the backends beside us"


@cache
def three_hosts() -> System:
    """One for the whole run, on servers of its own: another system's workers would push to other hosts."""
    return services().system("three-hosts", web=3, workers=1, beat=False, environment={"SERVICE_TOKEN": SERVICE_TOKEN})


@pytest.fixture
def hosts() -> System:
    """Three hosts, `.urls`."""
    return three_hosts()


@pytest.fixture
async def crowd(hosts: System) -> AsyncIterator[Cast]:
    """Makes people there."""
    async with Cast(hosts.url) as made:
        yield made


async def assignment(device: Device, url: str = "") -> dict[str, Any]:
    """Where the device should connect, as any of the hosts says."""

    async def asks() -> httpx.Response:
        return await device.cast.http(device.access, url).get("hosts/assignment")

    return await named(asks)


async def named(ask: Callable[[], Awaitable[httpx.Response]]) -> dict[str, Any]:
    """The answer of who asks again while no host can be named: on a busy machine the registry may be late."""
    async with asyncio.timeout(20):
        while (answer := await ask()).status_code == 503:
            await asyncio.sleep(float(answer.headers["Retry-After"]))
    told: dict[str, Any] = ok(answer)
    return told


def as_service(url: str, token: str = SERVICE_TOKEN) -> httpx.Client:
    """A backend."""
    return httpx.Client(base_url=f"{url}/api/v1/", headers={"Authorization": f"Bearer {token}"}, timeout=20)
