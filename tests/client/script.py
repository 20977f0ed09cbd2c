"""A server that says what a test tells it to: for what a real one does rarely, or never."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from client.protocol.answers import SignedIn, Tokens
from client.protocol.ids import DeviceId, UserId
from client.store import Store

PATIENCE_S = 10.0
BOB, PHONE = UserId("019ab0c4-0000-7000-8000-0000000000bb"), DeviceId("019ab0c4-0000-7000-8000-0000000000d2")


class Peer:
    """One socket, seen from the server's side."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    async def hears(self, type: str) -> dict[str, Any]:
        """The next frame of a type; others are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = json.loads(await self._connection.recv())
                if frame["type"] == type:
                    return dict(frame)

    async def says(self, type: str, **fields: Any) -> None:
        await self._connection.send(json.dumps({"type": type, **fields}))

    async def says_raw(self, text: str) -> None:
        await self._connection.send(text)

    async def welcomes(self, *, acknowledged: int = 0, last_seq: int = 0, user: str = BOB, window: int = 512) -> None:
        await self.hears("hello")
        await self.says(
            "welcome",
            user=user,
            device=PHONE,
            host="web-1",
            acknowledged=acknowledged,
            last_seq=last_seq,
            window=window,
        )

    async def accepts(self, *messages: dict[str, Any]) -> None:
        answers = [
            {"id": message["id"], "room": message["room"], "sender": BOB, "recipient": None, "accepted_at": 1,
             "delivered": False, "read": False}
            for message in messages
        ]  # fmt: skip
        await self.says("accepted", messages=answers)

    async def refuses(self, message: dict[str, Any], code: str, status: int, **more: Any) -> None:
        problem = {
            "type": "about:blank",
            "title": "",
            "status": status,
            "code": code,
            "detail": "",
            "id": message["id"],
        }
        await self.says("error", problem=problem | more)

    async def hangs_up(self, code: int) -> None:
        await self._connection.close(code)


class Script:
    """A socket endpoint. `await script.socket()` is the next connection that the client makes."""

    def __init__(self) -> None:
        self._sockets: asyncio.Queue[Peer] = asyncio.Queue()
        self.url = ""

    async def socket(self) -> Peer:
        async with asyncio.timeout(PATIENCE_S):
            return await self._sockets.get()

    async def serve(self, connection: ServerConnection) -> None:
        self._sockets.put_nowait(Peer(connection))
        await connection.wait_closed()


@asynccontextmanager
async def scripted() -> AsyncIterator[Script]:
    script = Script()
    async with serve(script.serve, "127.0.0.1", 0) as server:
        host, port = next(iter(server.sockets)).getsockname()[:2]
        script.url = f"http://{host}:{port}"
        yield script


def signed_in_store(path: Path) -> Path:
    """A store of Bob's phone, with an access token that holds for ever."""
    store = Store(path)
    store.identity.save(SignedIn(BOB, "bob", PHONE, "phone", Tokens("access", 2**52, "refresh", 2**52)))
    store.close()
    return path
