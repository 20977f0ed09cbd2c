"""People with the Python client on several hosts who never stop writing, and a check that nobody lost or doubled anything."""

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from client import Client
from client.protocol.ids import RoomId
from config.supervisor.processes import Wish
from config.supervisor.system import CHECKOUT, System
from tests.cast import comes_true, until
from tests.client.conftest import bodies, live
from tests.client.plain import Plain

PASSWORD = secrets.token_urlsafe(24)
# From a host's death until its users receive elsewhere.
REASSIGNED_S = 5.0


class Crowd:
    """Pairs of people, each with a room, who write to each other all the time. Their first URL is the first host's, if not `url`."""

    def __init__(self, system: System, folder: Path, *, url: str = "") -> None:
        self.system, self._folder, self._url = system, folder, url or system.url
        self.people: list[Client] = []
        self._rooms: dict[RoomId, tuple[Client, Client]] = {}
        self._closing = AsyncExitStack()
        self._writers: list[asyncio.Task[None]] = []
        self._stopping = False
        self.sent: dict[tuple[RoomId, Client], list[bytes]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.cancel()
        await asyncio.gather(*self._writers, return_exceptions=True)
        await self._closing.aclose()

    async def comes(self, pairs: int) -> None:
        """Register them, and wait until all are connected."""
        for _ in range(pairs):
            one, other = [await self.joins() for _ in range(2)]
            room = await one.direct_room(other.me.user)
            self._rooms[room.id] = (one, other)

    async def joins(self) -> Client:
        """Somebody new, who is connected and has no room yet."""
        store = self._folder / f"{secrets.token_hex(6)}.db"
        client = await self._closing.enter_async_context(Client(self._url, store, sealer=Plain()))
        await client.register(f"user.{secrets.token_hex(6)}", PASSWORD, device_name="phone")
        self.people.append(await live(client))
        return client

    def write(self) -> None:
        """Both of each pair write from now on."""
        for room, pair in self._rooms.items():
            for person in pair:
                self.sent[room, person] = []
                self._writers.append(asyncio.create_task(self._writes(room, person)))

    async def _writes(self, room: RoomId, person: Client) -> None:
        mine = self.sent[room, person]
        while not self._stopping:
            body = b"%d of %s" % (len(mine), person.me.user[-12:].encode())
            (id_,) = person.queue(room, body)
            mine.append(body)
            await person.accepted(id_)
            await asyncio.sleep(0.02)

    async def ends(self) -> int:
        """Nobody writes more; everybody has everything, once and in its order. Returns how much that was."""
        self._stopping = True
        await asyncio.gather(*self._writers)
        for room, pair in self._rooms.items():
            wanted = sum(len(self.sent[room, person]) for person in pair)
            for reader in pair:
                await until(lambda r=reader, o=room, w=wanted: len(bodies(r, o)) >= w, f"{wanted} messages", 30)
                found = bodies(reader, room)
                assert len(found) == wanted
                for writer in pair:
                    name = writer.me.user[-12:].encode()
                    assert [body for body in found if body.endswith(name)] == self.sent[room, writer]
        return sum(map(len, self.sent.values()))

    def at(self, host: str) -> list[Client]:
        """Those who are connected to this host (by its id)."""
        return [person for person in self.people if person._keeper.host == host]

    def host_of(self, part: str) -> str:
        """The id of a web process."""
        return f"{part}.{self.system.parts[part].pid}"

    async def heard(self, people: list[Client]) -> float:
        """How long it takes until each of these has had something new."""
        began, before = time.monotonic(), {person: person.stored for person in people}
        await until(lambda: all(person.stored > seq for person, seq in before.items()), "something for everybody", 30)
        return time.monotonic() - began


def manage(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A management command on this system, as an operator gives it: once more when it says that the registry is away.

    On a busy machine that may be late for a new process's first connection.
    """
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=system.environment, capture_output=True, text=True,
            timeout=90,
        )  # fmt: skip
        if "the registry is away" not in done.stderr:
            break
    return done


async def hosts_are(system: System, are_so: Callable[[set[str]], bool], what: str) -> None:
    """Wait until the words of `manage.py hosts` are so."""

    async def listed() -> bool:
        return are_so(set((await asyncio.to_thread(manage, system, "hosts")).stdout.split()))

    await comes_true(listed, what)


def dies_for_good(system: System, part: str) -> None:
    """kill -9, and nobody starts it again."""
    system.parts[part].wish = Wish.DOWN
    system.kill(part)
