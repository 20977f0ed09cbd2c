"""The same system on installed servers: PostgreSQL 15, Redis 7, RabbitMQ.

Collected only when LETTERLOCK_TEST_DATABASE_URL, LETTERLOCK_TEST_VALKEY_URL and LETTERLOCK_TEST_BROKER_URL are given.
"""

import asyncio
import os
import secrets

import pytest
from kombu.connection import Connection

from config.queues import declare
from tests.up.conftest import NEEDED
from tests.up.running import Up, gone
from tests.up.talk import talk


@pytest.fixture
def given(database):
    """The URLs, with a new database on the server; the broker's queues are removed afterwards."""
    urls = {name.removeprefix("LETTERLOCK_TEST_"): os.environ[name] for name in NEEDED}
    yield {**urls, "DATABASE_URL": database(urls["DATABASE_URL"]), "KEY_PREFIX": f"test-{secrets.token_hex(4)}"}
    with Connection(urls["BROKER_URL"]) as broker:
        for queue in declare(urls["BROKER_URL"]):
            broker.default_channel.queue_delete(queue.name)


async def test_messages_arrive_and_it_ends_quickly(given):
    with Up("installed", **given) as up:
        started = up.ready().everybody()

        assert set(up.family()) == {"web", "worker", "beat"}
        assert len(set(await talk(up.url))) == 10

        # An idle worker on AMQP is slow to notice a signal unless something wakes it.
        assert await asyncio.to_thread(up.stop) < 5
        assert gone(started, 0.5) == []
