"""What the client makes of answers that a proxy gives, and of none (docs/protocol.md §2)."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from client import Refused, Unreachable
from client.protocol.answers import Tokens
from client.session import Session
from client.store import Store
from client.transport.rest import Rest
from tests.client.script import signed_in_store


@asynccontextmanager
async def answering(*answers: str):
    """An HTTP server that gives these answers, one after the other, and then hangs up; the requests that it got."""
    waiting, requests = list(answers), []

    async def serve(reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(request.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
        requests.append(request.partition(" HTTP")[0] + " " + (await reader.readexactly(length)).decode())
        if waiting:
            writer.write(waiting.pop(0).replace("\n", "\r\n").encode())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


def answer(status: str, body: str = "", **headers: str) -> str:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    return "\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", body])


@asynccontextmanager
async def session(url, folder, *, patience=5.0, expires_at=2**52):
    store, rest = Store(signed_in_store(folder / "bob.db")), Rest(url)
    store.identity.save_tokens(Tokens("access", expires_at, "refresh", 2**52))
    yield Session(rest, store, patience=patience)
    await rest.close()
    store.close()


async def test_a_proxys_retry_after_is_honoured(tmp_path):
    async with (
        answering(answer("503 Unavailable", "<html>", Retry_After="1"), answer("200 OK", '{"id": "bob"}')) as (
            url,
            requests,
        ),
        session(url, tmp_path) as bob,
    ):
        began = asyncio.get_running_loop().time()
        assert await bob.request("GET", "account") == {"id": "bob"}

        assert asyncio.get_running_loop().time() - began >= 1
        assert len(requests) == 2


async def test_what_is_not_ours_gets_a_code_of_its_own(tmp_path):
    async with answering(answer("418 Teapot", "short and stout")) as (url, _), session(url, tmp_path) as bob:
        with pytest.raises(Refused) as refused:
            await bob.request("GET", "account")
        assert (refused.value.code, refused.value.problem.status) == ("http_418", 418)


async def test_a_request_that_may_have_been_carried_out_is_not_repeated(tmp_path):
    async with answering() as (url, requests), session(url, tmp_path) as bob:
        with pytest.raises(Unreachable):
            await bob.request("POST", "rooms", {})
        assert len(requests) == 1


async def test_but_over_a_rate_nothing_was_done(tmp_path):
    limited = '{"code": "rate_limited", "status": 429, "retry_after": 0.05}'
    async with (
        answering(answer("429 Slow", limited), answer("201 Created", "{}")) as (url, requests),
        session(url, tmp_path) as bob,
    ):
        assert await bob.request("POST", "rooms", {}) == {}
        assert len(requests) == 2


async def test_patience_ends(tmp_path):
    limited = answer("429 Slow", '{"code": "rate_limited", "status": 429, "retry_after": 60}')
    async with answering(limited, limited) as (url, requests), session(url, tmp_path, patience=1) as bob:
        with pytest.raises(Refused):
            await bob.request("GET", "account")
        assert len(requests) == 1


async def test_a_refresh_without_an_answer_is_asked_again_with_the_same_token(tmp_path):
    fresh = '{"access": "new", "access_expires_at": 9, "refresh": "newer", "refresh_expires_at": 9}'
    async with (
        answering(
            answer("502 Bad Gateway"), answer("200 OK", fresh), answer("200 OK", "{}"), answer("200 OK", "{}")
        ) as (
            url,
            requests,
        ),
        session(url, tmp_path, expires_at=0) as bob,
    ):
        await bob.request("GET", "account")
        # Its new token has ended by this device's clock, so that clock is wrong: one refresh is enough.
        await bob.request("GET", "account")

        assert [request.partition("/api/v1/")[2] for request in requests] == [
            'accounts/refresh {"refresh":"refresh"}', 'accounts/refresh {"refresh":"refresh"}', "account ", "account ",
        ]  # fmt: skip
