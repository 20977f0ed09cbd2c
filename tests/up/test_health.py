"""`/healthz` and `/readyz` tell the truth (docs/operations.md)."""

import asyncio
import signal
import time

import httpx
import pytest

from delivery.frames import CloseCode
from kernel.limits import WELCOME_S
from tests.cast import Cast, until


@pytest.fixture(scope="module")
def alone(request):
    """A system whose parts are taken away and given back."""
    from tests.services import services

    running = services().system("health", beat=False)
    yield running
    running.stop()


def asked(system):
    response = httpx.get(f"{system.url}/readyz", timeout=10)
    return response.status_code, response.json()


def test_with_everything_there_it_is_ready(alone):
    status, body = asked(alone)

    assert (status, body["status"]) == (200, "ok")
    assert set(body["parts"].values()) == {"ok"}


async def test_without_valkey_it_is_ready_and_says_what_is_missing(alone):
    alone.stop_part("valkey")
    status, body = asked(alone)
    alone.start_part("valkey")

    assert (status, body["status"]) == (200, "degraded")
    assert body["parts"]["valkey"].startswith("away")
    await until(lambda: asked(alone)[1]["status"] == "ok")


async def test_without_the_database_it_is_not_ready_but_alive(alone):
    alone.stop_part("postgres")
    status, body = asked(alone)
    alive = httpx.get(f"{alone.url}/healthz").status_code
    alone.start_part("postgres")

    assert (status, body["status"], alive) == (503, "unavailable", 200)
    assert body["parts"]["database"].startswith("away")
    await until(lambda: asked(alone)[0] == 200)


async def test_with_a_frozen_database_it_answers_all_the_same(alone):
    alone.freeze("postgres")
    try:
        status, _ = asked(alone)
    finally:
        alone.thaw("postgres")

    assert status == 503
    await until(lambda: asked(alone)[0] == 200)


async def test_with_a_frozen_database_a_socket_is_closed_in_time_and_a_post_is_answered(alone):
    async with Cast(alone.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        alone.freeze("postgres")
        try:
            began = time.monotonic()
            async with alice.phone.opened() as socket, asyncio.TaskGroup() as tasks:
                posted = tasks.create_task(
                    alice.phone.http.post(
                        "messages", json={"messages": [alice.phone.message(room, b"hello")]}, timeout=20
                    )
                )
                await socket.send("hello", token=alice.phone.access, client={"name": "held up", "version": "1"})
                assert await socket.closed(patience_s=WELCOME_S + 5) == CloseCode.RESTART
                assert time.monotonic() - began < WELCOME_S + 2
            # As a whole, or the message for itself.
            assert "unavailable" in posted.result().text
        finally:
            alone.thaw("postgres")
        async with alice.phone.socket():
            pass


def test_an_error_is_answered_without_its_cause(alone):
    alone.stop_part("postgres")
    response = httpx.post(
        f"{alone.url}/api/v1/accounts/sign-in", json={"username": "alice", "password": "x" * 30, "device_name": "phone"}
    )
    alone.start_part("postgres")
    alone.wait_ready("postgres")

    assert response.status_code == 503
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["code"] == "unavailable"
    assert "psycopg" not in response.text


async def test_a_web_process_that_is_told_to_stop_ends_by_itself(alone):
    pid = alone.parts["web-1"].pid

    alone.kill("web-1", signal.SIGTERM)

    alone.wait_restarted("web-1", pid)
    assert alone.parts["web-1"].restarts >= 1
