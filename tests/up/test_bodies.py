"""A request of any size takes no more of the server than the largest that it would accept."""

import json
import secrets
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from kernel.limits import POST_BYTES


def posted(system, head, chunks):
    """The status line of a POST to register with this header and this body, or None if the server hung up meanwhile."""
    address = urlsplit(system.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        start = f"POST /api/v1/accounts/register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{head}\r\n\r\n"
        try:
            connection.sendall(start.encode())
            for chunk in chunks:
                connection.sendall(chunk)
            return connection.makefile("rb").readline().decode().strip() or None
        except (ConnectionResetError, BrokenPipeError):
            return None


def in_chunks(size):
    """A body of this size in the chunked transfer coding (RFC 9112 §7.1)."""
    piece = b"[" * 100_000
    for _ in range(size // len(piece)):
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


@pytest.mark.parametrize("size", [POST_BYTES + 1, 2 * POST_BYTES])
def test_a_body_over_the_limit_is_413(system, size):
    assert posted(system, f"Content-Length: {size}", [b"[" * size]) == "HTTP/1.1 413 Request Entity Too Large"


def test_also_one_that_does_not_say_its_size(system):
    assert (
        posted(system, "Transfer-Encoding: chunked", in_chunks(2 * POST_BYTES))
        == "HTTP/1.1 413 Request Entity Too Large"
    )


def test_a_flood_is_hung_up_on_and_nobody_else_notices(system):
    assert posted(system, "Transfer-Encoding: chunked", in_chunks(20 * POST_BYTES)) is None

    assert httpx.get(f"{system.url}/healthz").status_code == 200


def test_a_body_that_is_not_json_is_400(system):
    assert posted(system, "Content-Length: 5", [b"[[[[["]) == "HTTP/1.1 400 Bad Request"


def test_a_body_in_chunks_is_read_like_any_other(system):
    name = f"alice.{secrets.token_hex(5)}"
    form = json.dumps({"username": name, "password": secrets.token_urlsafe(24), "device_name": "phone"}).encode()

    response = httpx.post(
        f"{system.url}/api/v1/accounts/register",
        content=iter([form[:20], form[20:]]),
        headers={"Content-Type": "application/json"},
    )

    assert response.status_code == 201, response.text
