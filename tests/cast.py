"""The people in our tests: Alice, Bob and the others, on a live server, through HTTP and sockets and nothing else.

It speaks docs/protocol.md by itself and imports nothing of the server nor of `client/`: an independent witness.

    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as socket:
        await alice.sends(room, b"hello")
        (entry,) = await socket.messages(1)
"""

import asyncio
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import httpx
import uuid_utils
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 15.0


def b64(raw: bytes) -> str:
    """Bytes as the protocol writes them: base64url without padding."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The bytes again."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_id(at_ms: int | None = None) -> str:
    """A message id: UUIDv7 of now, or with another time in its first 48 bits."""
    made = uuid_utils.uuid7().int
    return str(UUID(int=made if at_ms is None else made & (1 << 80) - 1 | at_ms << 80))


async def until(true: Callable[[], Any], what: str = "", patience_s: float = PATIENCE_S) -> Any:
    """Ask at once, soon, and then every 10 ms until it is so, and return the answer; fail after `patience_s`."""
    deadline = time.monotonic() + patience_s
    pause_s = 0.001
    while not (answer := true()):
        assert time.monotonic() < deadline, f"did not happen in {patience_s} s: {what or true}"
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.01)
    return answer


async def comes_true(ask: Callable[[], Awaitable[bool]], what: str, patience_s: float = 30.0) -> None:
    """Ask again and again until the answer is yes."""
    deadline = asyncio.get_running_loop().time() + patience_s
    while not await ask():
        assert asyncio.get_running_loop().time() < deadline, f"not within {patience_s:.0f} s: {what}"
        await asyncio.sleep(0.1)


class Cast:
    """Makes people with names of their own on one server. `async with Cast(url) as cast`."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._clients: list[httpx.AsyncClient] = []
        # One for all: each of its own would load the system's certificates, for plain http on loopback.
        self._transport = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(max_keepalive_connections=20))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()

    def http(self, token: str = "", url: str = "") -> httpx.AsyncClient:
        """An HTTP client, signed in by `token` if there is one; closed with the cast."""
        client = httpx.AsyncClient(
            base_url=f"{url or self.url}/api/v1/",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=30,
            transport=self._transport,
        )
        self._clients.append(client)
        return client

    async def person(self, name: str, *, device: str = "phone", **fields: Any) -> "Person":
        """Register somebody, with a first device; `fields` go into the form."""
        username, password = f"{name}.{secrets.token_hex(5)}", secrets.token_urlsafe(24)
        form = {"username": username, "password": password, "device_name": device} | fields
        session = ok(await self.http().post("accounts/register", json=form), 201)
        person = Person(self, name, session["user"]["id"], username, password)
        person.devices.append(Device(person, session))
        return person

    async def people(self, *names: str) -> list["Person"]:
        """Register several."""
        return [await self.person(name) for name in names]

    async def group(self, owner: "Person", *members: "Person") -> str:
        """A group room; its id."""
        room = await owner.phone.posts(
            "rooms", {"kind": "group", "members": [member.id for member in members]}, status=201
        )
        return str(room["id"])


class Person:
    """A user with devices; `phone` is the first."""

    def __init__(self, cast: Cast, name: str, id: str, username: str, password: str) -> None:
        self.cast, self.name, self.id, self.username, self.password = cast, name, id, username, password
        self.devices: list[Device] = []

    def __repr__(self) -> str:
        return self.name

    @property
    def phone(self) -> "Device":
        """The first device."""
        return self.devices[0]

    async def new_device(self, name: str = "laptop") -> "Device":
        """Sign in on another device."""
        form = {"username": self.username, "password": self.password, "device_name": name}
        session = ok(await self.cast.http().post("accounts/sign-in", json=form))
        self.devices.append(Device(self, session))
        return self.devices[-1]

    async def direct_room(self, peer: "Person") -> str:
        """The direct room with somebody, made if need be; its id."""
        response = await self.phone.http.post("rooms", json={"kind": "direct", "peer": peer.id})
        assert response.status_code in (200, 201), response.text
        return str(response.json()["id"])

    async def sends(self, room: str, body: bytes, **fields: Any) -> dict[str, Any]:
        """Send from the phone, over REST."""
        return await self.phone.sends(room, body, **fields)


class Device:
    """One signed-in device: an HTTP client, and sockets."""

    def __init__(self, person: Person, session: dict[str, Any]) -> None:
        self.person, self.cast = person, person.cast
        self.id, self.name = session["device"]["id"], session["device"]["name"]
        self.session = session
        self.http = self.cast.http(session["access"])
        self._last_sent_at = 0

    def __repr__(self) -> str:
        return f"{self.person.name}'s {self.name}"

    @property
    def access(self) -> str:
        """The access token in use."""
        return str(self.session["access"])

    async def refreshes(self) -> None:
        """Spend the refresh token for a new pair."""
        pair = ok(await self.cast.http().post("accounts/refresh", json={"refresh": self.session["refresh"]}))
        self.session.update(pair)
        self.http.headers["Authorization"] = f"Bearer {self.access}"

    async def gets(self, path: str, status: int = 200, **params: Any) -> Any:
        """GET, and the JSON of the answer, which has this status."""
        return ok(await self.http.get(path, params=params), status)

    async def posts(self, path: str, body: Any, status: int = 200) -> Any:
        """POST, and the JSON of the answer, which has this status."""
        return ok(await self.http.post(path, json=body), status)

    def message(self, room: str, body: bytes, **fields: Any) -> dict[str, Any]:
        """A message of docs/protocol.md §3.1, stamped as a client should; `fields` are added or take its places."""
        self._last_sent_at = max(time.time_ns() // 1_000_000, self._last_sent_at + 1)
        return {
            "id": new_id(),
            "room": room,
            "sent_at": self._last_sent_at,
            "alg": "opaque.v1",
            "epoch": 0,
            "ciphertext": b64(body),
        } | fields

    async def sends(self, room: str, body: bytes, **fields: Any) -> dict[str, Any]:
        """Send over REST; the answer `accepted`."""
        answer: dict[str, Any] = await self.posts("messages", self.message(room, body, **fields))
        return answer

    async def tries(self, room: str, body: bytes, **fields: Any) -> httpx.Response:
        """Send over REST, whatever the answer."""
        return await self.http.post("messages", json=self.message(room, body, **fields))

    @asynccontextmanager
    async def socket(self, *, acks: bool = True, drained: bool = True, url: str = "") -> AsyncIterator["Socket"]:
        """A socket that has said hello and, unless told otherwise, has heard `drained`. It acknowledges what it gets."""
        async with self.opened(acks=acks, url=url) as socket:
            await socket.send("hello", token=self.access, client={"name": "cast", "version": "1"})
            socket.welcome = await socket.expect("welcome")
            if drained:
                await socket.expect("drained")
            yield socket

    @asynccontextmanager
    async def opened(self, *, acks: bool = True, url: str = "") -> AsyncIterator["Socket"]:
        """A socket that has not said anything yet."""
        address = (url or self.cast.url).replace("http", "ws", 1) + "/api/v1/socket"
        options = {"proxy": None, "max_size": 2**20, "ping_interval": None, "open_timeout": PATIENCE_S}
        async with connect(address, **options) as connection:
            socket = Socket(connection, acks=acks)
            try:
                yield socket
            finally:
                await socket.stop()


class Socket:
    """One WebSocket. Collects `entries` in order, and keeps other frames until somebody expects them."""

    def __init__(self, connection: ClientConnection, *, acks: bool) -> None:
        self.connection, self.acks = connection, acks
        self.welcome: dict[str, Any] = {}
        self.entries: list[dict[str, Any]] = []
        self.frames: list[dict[str, Any]] = []
        self.close_code: int | None = None
        self._news = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def send(self, type: str, **fields: Any) -> None:
        """Send one frame."""
        await self.connection.send(json.dumps({"type": type, **fields}))

    async def send_raw(self, data: str | bytes) -> None:
        """Send something that may be no frame at all."""
        await self.connection.send(data)

    async def sends(self, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        """Send messages in one frame, and wait until all are accepted; the answers, in the messages' order."""
        await self.send("send", messages=list(messages))
        answers: dict[str, dict[str, Any]] = {}
        while len(answers) < len(messages):
            frame = await self.expect("accepted", "error")
            assert frame["type"] == "accepted", frame
            answers |= {answer["id"]: answer for answer in frame["messages"]}
        return [answers[message["id"]] for message in messages]

    async def expect(self, *types: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Take the first frame of one of these types out of those that came; wait for it if there is none."""

        def first() -> dict[str, Any] | None:
            return next((frame for frame in self.frames if frame["type"] in types), None)

        frame = await self._wait(first, f"a frame {types}", patience_s)
        self.frames.remove(frame)
        return dict(frame)

    async def messages(self, count: int, patience_s: float = PATIENCE_S) -> list[dict[str, Any]]:
        """The first `count` message entries of this socket, once they are here."""
        await self._wait(lambda: len(self._messages()) >= count, f"{count} messages", patience_s)
        return self._messages()[:count]

    async def seq(self, seq: int, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """The entry with this number, once it is here."""

        def found() -> dict[str, Any] | None:
            return next((entry for entry in self.entries if entry["seq"] == seq), None)

        return dict(await self._wait(found, f"entry {seq}", patience_s))

    async def entry(self, kind: str, patience_s: float = PATIENCE_S, **members: Any) -> dict[str, Any]:
        """The first entry of this kind with these members, once it is here."""

        def found() -> dict[str, Any] | None:
            wanted = {"kind": kind, **members}.items()
            return next((entry for entry in self.entries if wanted <= entry.items()), None)

        return dict(await self._wait(found, f"an entry {kind} {members}", patience_s))

    async def closed(self, patience_s: float = PATIENCE_S) -> int:
        """The close code, once the server has hung up."""
        async with asyncio.timeout(patience_s):
            await asyncio.shield(self._reader)
        assert self.close_code is not None
        return self.close_code

    async def stop(self) -> None:
        """Hang up."""
        await self.connection.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    def _messages(self) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == "message"]

    async def _wait(self, true: Callable[[], Any], what: str, patience_s: float) -> Any:
        try:
            async with asyncio.timeout(patience_s), self._news:
                while not (answer := true()):
                    assert self.close_code is None, f"closed with {self.close_code} while waiting for {what}"
                    await self._news.wait()
                return answer
        except TimeoutError:
            raise AssertionError(f"no {what} in {patience_s} s; got {self.entries[-3:]} {self.frames[-3:]}") from None

    async def _read(self) -> None:
        try:
            async for text in self.connection:
                await self._take(json.loads(text))
        except ConnectionClosed:
            pass
        async with self._news:
            self.close_code = self.connection.close_code
            self._news.notify_all()

    async def _take(self, frame: dict[str, Any]) -> None:
        async with self._news:
            if frame["type"] == "entries":
                self.entries += frame["entries"]
            else:
                self.frames.append(frame)
            self._news.notify_all()
        if frame["type"] == "entries" and self.acks:
            await self.send("ack", seq=frame["entries"][-1]["seq"])


def ok(response: httpx.Response, status: int = 200) -> Any:
    """The JSON of an answer that must have this status; None for 204."""
    asked = f"{response.request.method} {response.request.url}"
    assert response.status_code == status, f"{asked}: {response.status_code} {response.text}"
    return response.json() if response.content else None
