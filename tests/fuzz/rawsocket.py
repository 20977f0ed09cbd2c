"""A WebSocket whose bytes we choose ourselves (RFC 6455 §5.2), to break its rules."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

HANDSHAKE = (
    "GET /api/v1/socket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@asynccontextmanager
async def raw_socket(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Reader and writer of a connection that has shaken hands."""
    host = urlsplit(url).netloc
    reader, writer = await asyncio.open_connection(*host.rsplit(":", 1))
    try:
        writer.write(HANDSHAKE.format(host=host).encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer.splitlines()[0], answer
        yield reader, writer
    finally:
        writer.close()


def frame(
    opcode: int, payload: bytes, *, final: bool = True, masked: bool = True, reserved: int = 0, length: int = -1
) -> bytes:
    """One frame; `length` says another length than the payload has."""
    said = len(payload) if length < 0 else length
    head = bytes([final << 7 | reserved << 4 | opcode])
    mask = 0x80 if masked else 0
    if said < 126:
        head += bytes([mask | said])
    elif said < 1 << 16:
        head += bytes([mask | 126]) + struct.pack("!H", said)
    else:
        head += bytes([mask | 127]) + struct.pack("!Q", said)
    # A mask of zeros leaves the payload as it is.
    return head + (b"\0\0\0\0" if masked else b"") + payload


TEXT, BINARY, CONTINUATION, CLOSE, PING = 1, 2, 0, 8, 9

BROKEN = {
    "no UTF-8": frame(TEXT, b'{"type":"\xff\xfe"}'),
    "half a character": frame(TEXT, "é".encode()[:1]),
    "a reserved opcode": frame(3, b"{}"),
    "reserved bits": frame(TEXT, b"{}", reserved=7),
    "no mask": frame(TEXT, b'{"type":"ping"}', masked=False),
    "a continuation of nothing": frame(CONTINUATION, b"{}"),
    "a message within a message": frame(TEXT, b"{", final=False) + frame(TEXT, b"}"),
    "a fragmented ping": frame(PING, b"x", final=False),
    "a long ping": frame(PING, b"x" * 126),
    "a close with half a code": frame(CLOSE, b"\x03"),
    "a close with a code that must not be sent": frame(CLOSE, struct.pack("!H", 1005)),
    "a frame of four exabytes": frame(TEXT, b"{", length=1 << 62),
    "fragments without end": frame(TEXT, b"{", final=False) + frame(CONTINUATION, b" " * 1000, final=False) * 100,
}
