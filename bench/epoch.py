"""`python -m bench.epoch`: what keys cost the server, in CPU of all its processes.

A new epoch of a group of 1 000 and, beside it, a message to them, which is told to everybody likewise; and another encryption
key of somebody who is in 1 000 rooms. The system is one of our own;
its crowd is written into the tables, with real keys, since signing up is no part of any figure. What the system does
anyway is measured first and taken off.
"""

import argparse
import asyncio
import json
import secrets
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg2.extras import execute_values
from rich.console import Console
from rich.table import Table

from bench import machine, meter, systems
from bench.generator.cast import Cast
from bench.report import GROUPS, number
from client.crypto import epochs, kdf, userkeys, vault
from client.crypto.encoding import b64
from client.crypto.keys import EncryptionKey, signing_public
from client.crypto.userkeys import DeviceKey, UserKeys
from client.crypto.vault import OpenVault
from client.protocol.ids import DeviceId, RoomId, UserId, message_id

# CPU of all processes for one epoch of 1 000, beyond what a message to them costs: its entry goes the same way.
BOUND_MS = 50.0
IDLE_S = 3.0

USERS = "INSERT INTO accounts_user (id, username, password, recovery, created_at, read_receipts) VALUES %s"
KEYS = """
INSERT INTO accounts_userkeys (user_id, seq, payload, signature, digest, uik, uek_version, uek_public, stored_at, ambiguous_seq)
VALUES %s
"""
MEMBERS = "INSERT INTO chat_membership (room_id, user_id, role, joined_at) VALUES %s"
ROOMS = """
WITH made AS (
    INSERT INTO chat_room (id, kind, members_version, epoch, stale, history, created_at)
    SELECT gen_random_uuid(), 'group', 1, 1, 0, 'joined', now() FROM generate_series(1, %s) RETURNING id
)
INSERT INTO chat_membership (room_id, user_id, role, joined_at)
SELECT made.id, u.id, CASE WHEN u.id = %s THEN 'owner' ELSE 'member' END, now() FROM made, unnest(%s::uuid[]) AS u (id)
"""
WAITING = "SELECT EXISTS (SELECT FROM delivery_pending)"


@dataclass(slots=True)
class Maker:
    """Who makes epochs and keys."""

    user: UserId
    device: DeviceId
    token: str = field(repr=False)
    signer: Ed25519PrivateKey = field(repr=False)
    keys: UserKeys
    vault: OpenVault = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cost:
    """Milliseconds of CPU each time, by group of processes; `answer_ms`: the median of what the caller waits."""

    what: str
    count: int
    groups: dict[str, float]
    answer_ms: float

    @property
    def total(self) -> float:
        """Of all groups."""
        return sum(self.groups.values())


class Bench:
    """The system under measurement, and a session of its database."""

    def __init__(self, system: systems.System, directory: Path) -> None:
        self.system, self.directory = system, directory
        url = json.loads((directory / "var" / "run" / "system.json").read_text())["database_url"]
        self.database = psycopg2.connect(url)
        self.database.autocommit = True

    async def run(self, given: argparse.Namespace) -> list[Cost]:
        """All costs, one after the other."""
        cast = Cast(self.directory / "cast.json", self.system.urls[0], lambda *_: None, sealed=False)
        maker, peer = [await self._begins(cast, name) for name in ("alice", "bob")]
        made = await cast.request("POST", "/rooms", {"kind": "group", "members": [peer.user]}, token=maker.token)
        room = RoomId(made["id"])
        crowd = [maker.keys, peer.keys, *self._crowd(room, given.members - 2)]
        idle = await self._idle()
        async with httpx.AsyncClient(base_url=f"{self.system.urls[0]}/api/v1", timeout=60) as http:
            http.headers["authorization"] = f"Bearer {maker.token}"
            bodies = self._epochs(maker, room, crowd, given.times + 1)
            state = f"rooms/{room}/e2ee"
            texts = [self._message(room, given.times + 1) for _ in range(given.times + 1)]
            costs = [
                await self._cost("a new epoch", idle, [_post(http, f"rooms/{room}/epochs", body) for body in bodies]),
                await self._cost("a message to them", idle, [_post(http, "messages", text) for text in texts]),
                await self._cost("how the room stands", idle, [lambda: http.get(state)] * (given.times + 1)),
            ]
            with self.database.cursor() as cursor:
                cursor.execute(ROOMS, (given.rooms, maker.user, [maker.user, peer.user]))
                cursor.execute("VACUUM ANALYZE")
            steps = [self._another_key(http, maker) for _ in range(given.times + 1)]
            costs.append(await self._cost(f"another key, in {given.rooms} rooms", idle, steps))
        await cast.close()
        return costs

    async def _cost(
        self, what: str, idle: dict[str, float], calls: list[Callable[[], Awaitable[httpx.Response]]]
    ) -> Cost:
        """Call one after the other; the first is not counted."""
        (await calls[0]()).raise_for_status()
        await self._drained()
        waited = []
        first = meter.sample(self.system.groups())
        for call in calls[1:]:
            started = time.perf_counter()
            response = await call()
            waited.append((time.perf_counter() - started) * 1000)
            if response.is_error:
                raise RuntimeError(f"{what}: {response.status_code} {response.text[:300]}")
        await self._drained()
        spent = meter.between(first, meter.sample(self.system.groups()))
        times = len(calls) - 1
        each = {name: (cpu - idle.get(name, 0.0) * spent.seconds) * 1000 / times for name, cpu in spent.groups.items()}
        return Cost(what, times, {name: max(0.0, ms) for name, ms in each.items()}, statistics.median(waited))

    async def _idle(self) -> dict[str, float]:
        """Cores that each group takes when nobody asks for anything."""
        await self._drained()
        first = meter.sample(self.system.groups())
        await asyncio.sleep(IDLE_S)
        spent = meter.between(first, meter.sample(self.system.groups()))
        return {name: cpu / spent.seconds for name, cpu in spent.groups.items()}

    async def _drained(self) -> None:
        """Until every entry is in its mailbox."""
        with self.database.cursor() as cursor:
            while cursor.execute(WAITING) or cursor.fetchone() != (False,):
                await asyncio.sleep(0.1)

    async def _begins(self, cast: Cast, name: str) -> Maker:
        person = (await cast.need([name]))[0]
        user, device = UserId(person["user"]), DeviceId(person["device"])
        signer = Ed25519PrivateKey.generate()
        opened = vault.new(user, kdf.Kdf.fresh(kdf.FLOOR), secrets.token_bytes(32), secrets.token_bytes(32))
        keys = _first(user, opened, DeviceKey(device, signing_public(signer), int(time.time())))
        body = {"userkeys": keys.json(), "vault": opened.json()}
        await cast.request("PUT", "/e2ee/setup", body, token=person["access"])
        return Maker(user, device, person["access"], signer, keys, opened)

    def _crowd(self, room: RoomId, count: int) -> list[UserKeys]:
        """So many users with keys, in the room."""
        found = []
        for _ in range(count):
            user, signer = UserId(str(uuid4())), Ed25519PrivateKey.generate()
            opened = vault.new(user, kdf.Kdf.fresh(kdf.FLOOR), secrets.token_bytes(32), secrets.token_bytes(32))
            found.append(_first(user, opened, DeviceKey(DeviceId(str(uuid4())), signing_public(signer), 0)))
        with self.database.cursor() as cursor:
            execute_values(
                cursor,
                USERS,
                [(each.user, f"x{each.user[:31]}", "!", "") for each in found],
                "(%s,%s,%s,%s,now(),true)",
            )
            rows = [
                (each.user, each.seq, each.signed.payload, each.signed.signature, each.digest, each.identity,
                 each.encryption.version, each.encryption.public)
                for each in found
            ]  # fmt: skip
            execute_values(cursor, KEYS, rows, "(%s,%s,%s,%s,%s,%s,%s,%s,now(),0)")
            execute_values(cursor, MEMBERS, [(room, each.user) for each in found], "(%s,%s,'member',now())")
            cursor.execute("VACUUM ANALYZE")
        return found

    def _epochs(self, maker: Maker, room: RoomId, members: list[UserKeys], count: int) -> list[dict[str, Any]]:
        """The bodies of so many epochs, each behind the other."""
        found, prev = [], b""
        for epoch in range(1, count + 1):
            made = epochs.create(room, epoch, prev, maker.user, maker.device, maker.signer, members, int(time.time()))
            found.append(made.json(1))
            prev = made.record.digest
        return found

    def _message(self, room: RoomId, epoch: int) -> dict[str, Any]:
        """Of the form of a sealed one: nobody opens it."""
        now_ms = int(time.time() * 1000)
        id, body = message_id(now_ms, secrets.randbits(74)), b64(secrets.token_bytes(156))
        return {"id": id, "room": room, "sent_at": now_ms, "alg": "chat.e2ee.v1", "epoch": epoch, "ciphertext": body}

    def _another_key(self, http: httpx.AsyncClient, maker: Maker) -> Callable[[], Awaitable[httpx.Response]]:
        async def put() -> httpx.Response:
            seq, key = maker.keys.seq, EncryptionKey.fresh(maker.keys.encryption.version + 1)
            held = maker.vault.secrets.with_key(key)
            maker.vault = maker.vault.next(held)
            maker.keys = maker.keys.next().with_encryption_key(key.announced).sign(held.identity)
            body = {"userkeys": maker.keys.json(), "vault": maker.vault.json()}
            return await http.put("e2ee/userkeys", json=body, headers={"If-Match": str(seq)})

        return put


def _first(user: UserId, opened: OpenVault, device: DeviceKey) -> UserKeys:
    held = opened.secrets
    return userkeys.first(user, held.identity_public, held.newest.announced, device).sign(held.identity)


def _post(http: httpx.AsyncClient, path: str, body: Any) -> Callable[[], Awaitable[httpx.Response]]:
    content = json.dumps(body).encode()
    return lambda: http.post(path, content=content, headers={"content-type": "application/json"})


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.epoch", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--members", type=int, default=1_000, metavar="N")
    parser.add_argument("--rooms", type=int, default=1_000, metavar="N")
    parser.add_argument("--times", type=int, default=30, metavar="N")
    return parser.parse_args()


def main() -> int:
    """0 when an epoch is within the bound."""
    given = options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(systems.private_directory()))
        system = systems.letterlock(directory, web=1, workers=1, extra={})
        stack.callback(system.stop)
        costs = asyncio.run(Bench(system, directory).run(given))
    facts = machine.facts()
    title = f"server CPU, ms each; {given.members} members; {facts['cpu']}, {facts['cores']} cores"
    table = Table(title=title, title_justify="left")
    for column in ("", "times", *GROUPS, "total", "answered in"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=True)
    for cost in costs:
        groups = [number(cost.groups.get(name, 0.0), 1) for name in GROUPS]
        table.add_row(cost.what, str(cost.count), *groups, number(cost.total, 1), f"{number(cost.answer_ms, 1)} ms")
    Console(width=None if sys.stdout.isatty() else 140).print(table)
    return 0 if costs[0].total - costs[1].total <= BOUND_MS * given.members / 1_000 else 1


if __name__ == "__main__":
    raise SystemExit(main())
