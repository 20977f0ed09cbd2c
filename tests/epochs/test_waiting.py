"""Whoever makes an epoch does not wait for a room's lock without end, and waits once. On a system of its own, with real rates."""

import time
from contextlib import contextmanager

import psycopg2
import pytest
import redis
from django.db import OperationalError
from psycopg2 import errors

from kernel.kept import with_kept_connection
from kernel.limits import RATES
from tests.cast import Cast
from tests.epochs.conftest import with_keys
from tests.epochs.maker import Room

LOCK_S = 3.0  # config/databases.py


@pytest.fixture
def own(private_system):
    return private_system(web=1, workers=0, environment={"RATE_SCALE": "1"})


@contextmanager
def held(system, room):
    """Somebody holds the room's row."""
    connection = psycopg2.connect(system.database_url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM chat_room WHERE id = %s FOR UPDATE", [room])
            yield
    finally:
        connection.close()


async def test_a_room_that_is_held_for_long_is_waited_for_once_and_costs_one_token(own):
    async with Cast(own.url) as cast:
        alice, bob = await with_keys(cast, "alice"), await with_keys(cast, "bob")
        room = Room(await alice.person.direct_room(bob.person), alice, bob)
        with held(own, room.id):
            began = time.monotonic()
            status, code, said = await room.tries(alice)
            seconds = time.monotonic() - began

        assert (status, code) == (503, "unavailable"), said
        assert LOCK_S - 0.1 < seconds < LOCK_S * 1.6
        with redis.Redis.from_url(own.valkey_url) as valkey:
            until_full_ms = valkey.pttl(f"letterlock:rate:epoch:{room.id}:{alice.person.phone.id}")
        assert 0 < until_full_ms <= 1000 / RATES["epoch"].per_second, "more than one token was taken"
        assert (await room.tries(alice))[0] == 201


@pytest.mark.parametrize(
    ("cause", "calls"),
    [
        (errors.LockNotAvailable(), 1),
        (errors.QueryCanceled(), 1),
        (errors.DeadlockDetected(), 2),
        (psycopg2.OperationalError("server closed the connection unexpectedly"), 2),
        (None, 2),
    ],
)
def test_on_a_kept_connection_only_what_was_lost_or_broken_off_is_done_again(cause, calls):
    called = []

    def fails_once():
        called.append(True)
        if len(called) == 1:
            raise OperationalError from cause
        return "done"

    if calls == 1:
        with pytest.raises(OperationalError):
            with_kept_connection(fails_once)
    else:
        assert with_kept_connection(fails_once) == "done"
    assert len(called) == calls
