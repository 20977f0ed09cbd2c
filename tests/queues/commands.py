"""An operator at a running system: `manage.py queues`, and a process that moves slots one after the other, as quickly as it can."""

import asyncio
import sys
from contextlib import asynccontextmanager

import psycopg2

from config.supervisor.system import CHECKOUT
from delivery.sweeper import served_groups

# Slot and queue a line; answers the queue that it came from. A command for each move would take the machine to start it.
MOVER = """
import sys, django
django.setup()
from delivery import queuemap
for line in sys.stdin:
    slot, queue = line.split()
    moved = queuemap.move(int(slot), queue)
    print(moved.source if moved else "-", flush=True)
"""


async def queues(system, *arguments):
    """What `manage.py queues …` says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "manage.py", "queues", *arguments),
        cwd=CHECKOUT,
        env=system.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@asynccontextmanager
async def mover(system):
    """`await move(slot, queue)`: in a process of its own, with the product's code; answers whether it moved."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MOVER),
        cwd=CHECKOUT,
        env={**system.environment, "DJANGO_SETTINGS_MODULE": "config.settings"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )

    async def move(slot, queue):
        process.stdin.write(f"{slot} {queue}\n".encode())
        await process.stdin.drain()
        answer = await process.stdout.readline()
        assert answer, "the mover has ended"
        return answer.strip() != b"-"

    try:
        yield move
    finally:
        process.stdin.close()
        await process.wait()


def served(system):
    """The groups that have a worker, which must have said that it is ready."""
    connection = psycopg2.connect(system.database_url)
    try:
        with connection.cursor() as cursor:
            found = set(served_groups(cursor))
    finally:
        connection.close()
    workers = [name for name in list(system.parts) if name.startswith("worker")]
    return found if all(system.is_ready(name) for name in workers) else set()
