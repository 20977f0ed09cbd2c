"""Time stands still for the drains while a test looks at what waits."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.db import connection, transaction

from delivery.models import Queue


@asynccontextmanager
async def held_queues() -> AsyncIterator[None]:
    """Hold the lock of every queue, as a slow drain would."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                list(Queue.objects.select_for_update().order_by("name"))
                held.set()
                over.wait(15)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        await asyncio.to_thread(held.wait, 15)
        yield
    finally:
        over.set()
        await asyncio.to_thread(thread.join)
