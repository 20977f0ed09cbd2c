"""Somebody who asks through the gateway all the time, and must always be answered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from tests.cast import until
from tests.deploy.gateway import Gateway, trusting


@asynccontextmanager
async def asking(gateway: Gateway) -> AsyncIterator[tuple[list[int], Callable[[], Awaitable[None]]]]:
    """As much as nginx takes from one address: the answers' codes so far, and a way to wait for more of them."""
    codes: list[int] = []
    over = asyncio.Event()

    async def ask() -> None:
        # Each on a connection of its own: one that is kept may be closed while it is idle, just when it is used again.
        kept = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=gateway.url, verify=trusting(gateway), limits=kept, timeout=30) as client:
            while not over.is_set():
                codes.append((await client.get("/api/v1/limits")).status_code)
                await asyncio.sleep(0.02)

    async def more() -> None:
        seen = len(codes)
        await until(lambda: len(codes) > seen + 50, "50 more answers", 60)

    task = asyncio.create_task(ask())
    try:
        yield codes, more
    finally:
        over.set()
        await task
