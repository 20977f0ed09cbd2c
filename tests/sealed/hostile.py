"""A hostile server: the real one, and somebody in front of it who sees and changes all that goes between it and a client.

    hostile.answers("GET e2ee/vault", lie)      what the server answers to such requests goes through `lie`
    hostile.entries(lie)                        so does each entry, on the socket and by REST; what `lie` gives None for stays
    hostile.asked                               what clients have asked, as ("PUT", "e2ee/vault", {…})

Clients reach it at `hostile.url`, and notice nothing of it by itself: HTTP and sockets pass through.
"""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import httpx
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

Lie = Callable[[Any], Any]
Read = tuple[str, str, dict[str, str], bytes]
API: Final = "/api/v1/"
PASSED_ON: Final = ("authorization", "content-type", "if-match")


class Hostile:
    """In front of the server at `upstream`."""

    def __init__(self, upstream: str) -> None:
        self.upstream, self.url = upstream, ""
        self.asked: list[tuple[str, str, Any]] = []
        self._lies: dict[str, Lie] = {}
        self._of_entries: Lie = lambda _: None
        self._http = httpx.AsyncClient(base_url=upstream, trust_env=False, verify=False, timeout=20)
        self._sockets = 0  # the port at which sockets are taken over

    def answers(self, asked: str, lie: Lie) -> None:
        self._lies[asked] = lie

    def entries(self, lie: Lie) -> None:
        self._of_entries = lie

    def is_honest_again(self) -> None:
        self._lies.clear()
        self._of_entries = lambda _: None

    def count(self, asked: str) -> int:
        return sum(f"{method} {path}".startswith(asked) for method, path, _ in self.asked)

    def _changed(self, told: Any) -> Any:
        """An answer or a frame, with its entries as they are told."""
        if isinstance(told, dict) and isinstance(told.get("entries"), list):
            lies = [self._of_entries(copy.deepcopy(entry)) for entry in told["entries"]]
            return told | {"entries": [lie or entry for lie, entry in zip(lies, told["entries"], strict=True)]}
        return told

    # HTTP.

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client; requests come one after the other."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, headers = _head(head)
                if "upgrade" in headers:
                    await self._tunnel(head, reader, writer)
                    break
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                writer.write(await self._answer((method, target, headers, body)))
                await writer.drain()
        writer.close()

    async def _answer(self, request: Read) -> bytes:
        method, target, headers, body = request
        path = target.removeprefix(API)
        self.asked.append((method, path, json.loads(body) if body else None))
        passed_on = {name: value for name, value in headers.items() if name in PASSED_ON}
        answer = await self._http.request(method, target, content=body, headers=passed_on)
        content = answer.content
        if answer.is_success and content:
            told = self._changed(answer.json())
            if path.startswith("hosts/assignment"):
                # Whoever wants to hear everything sends nobody elsewhere.
                told["url"] = self.url
            for begins, lie in self._lies.items():
                if f"{method} {path}".startswith(begins):
                    told = lie(told)
            content = json.dumps(told).encode()
        lines = [f"HTTP/1.1 {answer.status_code} {answer.reason_phrase}", f"Content-Length: {len(content)}"]
        lines += [
            f"{name}: {answer.headers[name]}" for name in ("content-type", "retry-after") if name in answer.headers
        ]
        return "\r\n".join([*lines, "", ""]).encode() + content

    # Sockets.

    async def _tunnel(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """To the end of this process that speaks sockets."""
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._sockets)
        inner_writer.write(head)
        await _both(_pump(reader, inner_writer), _pump(inner_reader, writer))
        inner_writer.close()

    async def _socket(self, client: ServerConnection) -> None:
        assert client.request is not None
        address = "ws" + self.upstream.removeprefix("http") + client.request.path
        async with connect(address, proxy=None, compression=None, max_size=None) as server:
            await _both(self._frames_out(client, server), self._frames_in(client, server))

    async def _frames_out(self, client: ServerConnection, server: Any) -> None:
        with suppress(ConnectionClosed):
            async for frame in client:
                await server.send(frame)

    async def _frames_in(self, client: ServerConnection, server: Any) -> None:
        with suppress(ConnectionClosed):
            async for frame in server:
                await client.send(json.dumps(self._changed(json.loads(frame))))
            await client.close(server.close_code or 1000)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator["Hostile"]:
        async with serve(self._socket, "127.0.0.1", 0, compression=None, max_size=None) as sockets, self._http:
            self._sockets = next(iter(sockets.sockets)).getsockname()[1]
            server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            try:
                yield self
            finally:
                server.close()


def _head(head: bytes) -> tuple[str, str, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(":", 1) for line in lines if line)
    return method, target, {name.strip().lower(): value.strip() for name, value in pairs}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


async def _both(*ways: Any) -> None:
    """Until one of them ends."""
    tasks = [asyncio.create_task(way) for way in ways]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
