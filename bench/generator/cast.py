"""The users, devices and rooms that the workloads need, made over REST (docs/protocol.md §3) and kept in a file between
workloads of one run: signing up is no part of any figure."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson

from bench.generator import sealing

REFRESH_BEFORE_MS = 240_000  # a workload takes less than four minutes


class Refused(Exception):
    """The server refused a request of the set-up."""


class Cast:
    """Signed-in devices `{user, username, device, access, …}` by name, and rooms `{id, epoch, members}` by name."""

    def __init__(self, path: Path, url: str, progress: Callable[[str, int, int], None], *, sealed: bool = True) -> None:
        self._path, self._progress, self._sealed = path, progress, sealed
        self._client = httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=4))
        kept = orjson.loads(path.read_bytes()) if path.exists() else {}
        self.people: dict[str, dict[str, Any]] = kept.get("people", {})
        self.rooms: dict[str, dict[str, Any]] = kept.get("rooms", {})

    async def close(self) -> None:
        """Keep what was made."""
        await self._client.aclose()
        self._path.write_bytes(orjson.dumps({"people": self.people, "rooms": self.rooms}))
        self._path.chmod(0o600)  # it holds tokens

    async def request(self, method: str, path: str, body: object = None, *, token: str | None = None) -> Any:
        """One request; repeated after 429 and 503 as the answer says. Raises Refused."""
        for _ in range(20):
            response = await self._client.request(
                method,
                f"/api/v1{path}",
                content=None if body is None else orjson.dumps(body),
                headers={"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {}),
            )
            if response.status_code in (429, 503):
                await asyncio.sleep(min(float(response.headers.get("retry-after", 1)), 5))
                continue
            if response.status_code >= 400:
                raise Refused(f"{method} {path}: {response.status_code} {response.text[:300]}")
            return response.json() if response.content else None
        raise Refused(f"{method} {path}: refused for too long: {response.text[:300]}")

    async def need(self, names: list[str]) -> list[dict[str, Any]]:
        """Signed-in devices by these names, one user each, with an access token that lasts for a workload."""

        async def one(name: str) -> None:
            person = self.people.get(name)
            if person is None:
                session = await self.request(
                    "POST",
                    "/accounts/register",
                    {
                        "username": f"{name}-{secrets.token_hex(4)}",
                        "password": secrets.token_hex(32),
                        "device_name": "bench",
                    },
                )
                self.people[name] = {
                    "user": session["user"]["id"],
                    "username": session["user"]["username"],
                    "device": session["device"]["id"],
                } | _tokens(session)
            elif person["access_expires_at"] < time.time() * 1000 + REFRESH_BEFORE_MS:
                person |= _tokens(await self.request("POST", "/accounts/refresh", {"refresh": person["refresh"]}))

        await self._all("people sign in", [partial(one, name) for name in names])
        return [self.people[name] for name in names]

    async def direct(self, pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[dict[str, Any]]:
        """The direct room of each pair."""

        async def one(first: dict[str, Any], second: dict[str, Any]) -> None:
            key = f"{first['user']} {second['user']}"
            if key not in self.rooms:
                room = await self.request(
                    "POST", "/rooms", {"kind": "direct", "peer": second["user"]}, token=first["access"]
                )
                self.rooms[key] = {"id": room["id"], "epoch": room["epoch"]}

        await self._all("rooms open", [partial(one, *pair) for pair in pairs])
        rooms = [self.rooms[f"{first['user']} {second['user']}"] for first, second in pairs]
        await self._with_epochs([(room, list(pair)) for room, pair in zip(rooms, pairs, strict=True)])
        return rooms

    async def group(self, people: list[dict[str, Any]]) -> dict[str, Any]:
        """One group room of all these."""
        key = f"group {len(people)} {people[0]['user']}"
        if key not in self.rooms:
            room = await self.request(
                "POST",
                "/rooms",
                {"kind": "group", "members": [person["user"] for person in people[1:]]},
                token=people[0]["access"],
            )
            self.rooms[key] = {"id": room["id"], "epoch": room["epoch"]}
        await self._with_epochs([(self.rooms[key], people)])
        return self.rooms[key]

    async def _with_epochs(self, rooms: list[tuple[dict[str, Any], list[dict[str, Any]]]]) -> None:
        """Give everybody in these rooms keys, and each room an epoch."""
        if not self._sealed:
            return
        new = [(room, people) for room, people in rooms if "epoch_key" not in room]
        keyless = {person["user"]: person for _, people in new for person in people if "device_key" not in person}
        await self._all("keys are made", [partial(sealing.set_up, self, person) for person in keyless.values()])
        await self._all("epochs begin", [partial(sealing.begin_epoch, self, *each) for each in new])

    async def _all(self, what: str, jobs: list[Callable[[], Awaitable[None]]]) -> None:
        gate, done = asyncio.Semaphore(4), 0

        async def one(job: Callable[[], Awaitable[None]]) -> None:
            nonlocal done
            async with gate:
                await job()
            done += 1
            self._progress(what, done, len(jobs))

        await asyncio.gather(*map(one, jobs))


def _tokens(session: dict[str, Any]) -> dict[str, Any]:
    return {key: session[key] for key in ("access", "access_expires_at", "refresh", "refresh_expires_at")}
