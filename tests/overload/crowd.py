"""Clients that open a socket, are welcomed, and from then on read nothing: what comes stays with the server."""

import base64
import json
import os
import socket
import struct
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

# As little of it as the kernel lets a client have.
RECEIVED = 4_096
PATIENCE_S = 30.0
CLOSE = 8


class Deaf:
    """One such socket, opened."""

    def __init__(self, url: str, token: str, *, address: str = "127.0.0.1", forwarded: str = "") -> None:
        at = urlsplit(url)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVED)
        self._socket.settimeout(PATIENCE_S)
        self._socket.bind((address, 0))
        self._socket.connect((at.hostname, at.port))
        self._data = b""
        named = f"X-Forwarded-For: {forwarded}\r\n" if forwarded else ""
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{named}\r\n".encode()
        )
        self._until(b"\r\n\r\n")
        assert b" 101 " in self._data, self._data[:200]
        self._data = self._data.split(b"\r\n\r\n", 1)[1]
        # Without a token it says nothing.
        if token:
            self.say({"type": "hello", "token": token, "client": {"name": "deaf", "version": "1"}})

    def welcomed(self) -> Self:
        """Read until the mailbox is drained, and then never again."""
        self._until(b'"drained"')
        return self

    def waits(self, seconds: float) -> None:
        """From now on the server has so long to take what is said."""
        self._socket.settimeout(seconds)

    def sees(self, text: str) -> None:
        """Read until this has come."""
        self._until(text.encode())

    def closed(self) -> tuple[int, dict[str, object]]:
        """Read the frames to the end: the close code, and the last frame before it."""
        last: dict[str, object] = {}
        while True:
            opcode, payload = self._frame()
            if opcode == CLOSE:
                self.close()
                return struct.unpack(">H", payload[:2])[0], last
            if payload[:1] == b"{":
                last = json.loads(payload)

    def say(self, frame: dict[str, object]) -> None:
        """Send a frame; raises `OSError` when the server does not take it."""
        self._send(0x81, json.dumps(frame).encode())

    def ping(self) -> None:
        """Send a ping of the largest size (RFC 6455 §5.5.2)."""
        self._send(0x89, b"x" * 125)

    def leave(self) -> None:
        """Send a close frame, and stay."""
        self._send(0x88, struct.pack(">H", 1000))

    def stuck(self) -> int:
        """How many bytes the server's kernel holds for this client."""
        mine, peer = self._socket.getsockname()[1], self._socket.getpeername()[1]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            _, local, remote, _, queues, *_ = line.split()
            if (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)) == (peer, mine):
                return int(queues.split(":")[0], 16)
        return 0

    def _send(self, head: int, data: bytes) -> None:
        mask = os.urandom(4)
        key = (mask * (len(data) // 4 + 1))[: len(data)]
        masked = (int.from_bytes(data) ^ int.from_bytes(key)).to_bytes(len(data))
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        self._socket.sendall(bytes([head]) + length + mask + masked)

    def _frame(self) -> tuple[int, bytes]:
        opcode, length = self._take(2)
        size = length & 0x7F
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
        return opcode & 0x0F, self._take(size)

    def _take(self, size: int) -> bytes:
        while len(self._data) < size:
            self._more()
        taken, self._data = self._data[:size], self._data[size:]
        return taken

    def _until(self, what: bytes) -> None:
        while what not in self._data:
            self._more()

    def _more(self) -> None:
        data = self._socket.recv(RECEIVED)
        assert data, f"hung up after {self._data[-200:]!r}"
        self._data += data

    def close(self) -> None:
        """Go without a word."""
        self._socket.close()


class Crowd:
    """Many of them: `with Crowd(url, tokens, 100) as crowd` opens 100 for each token."""

    def __init__(self, url: str, tokens: Sequence[str], each: int) -> None:
        self._url, self._tokens, self._each = url, tokens, each
        self._open = ExitStack()
        self.size = 0

    def __enter__(self) -> Self:
        try:
            for token in self._tokens:
                for _ in range(self._each):
                    deaf = Deaf(self._url, token)
                    self._open.callback(deaf.close)
                    deaf.welcomed()
                    self.size += 1
        except BaseException:
            self._open.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
