"""`python -m bench.restore --url http://127.0.0.1:8000`: a device that was wiped reads everything again, on a running system.

Alice and Bob talk in many groups, under many epochs, sent and received. Then Bob has nothing but his password: how long until
a new device has the whole mailbox, and every text is open? Elapsed times, by the Python client as it is.
"""

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, pairwise, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench import machine
from bench.report import number
from client import Client, Strength
from client.crypto.kdf import STANDARD
from client.protocol.ids import RoomId

BOUND_S = 15.0  # for 10 000 messages under 500 epochs
AT_ONCE = 4  # rooms in which is written at the same time
EPOCHS_OF_A_ROOM = 5  # a device makes six epochs of a room at once, and then one in ten seconds


@dataclass(frozen=True, slots=True)
class Talk:
    """What was said, and who can read it again. `texts`: by room, in order."""

    username: str
    password: str = field(repr=False)
    texts: dict[RoomId, list[bytes]] = field(repr=False)
    epochs: int = 0

    @property
    def messages(self) -> int:
        """All rooms'."""
        return sum(map(len, self.texts.values()))


@dataclass(frozen=True, slots=True)
class Restored:
    """Seconds of each step, and what came of it."""

    signed_in_s: float
    fetched_s: float
    opened_s: float
    requests: int
    store_bytes: int
    missing: int  # texts that are not there, closed, or in another place

    @property
    def total_s(self) -> float:
        """From the password to the last text."""
        return self.signed_in_s + self.fetched_s + self.opened_s


async def talk(url: str, folder: Path, *, messages: int, epochs: int, strength: Strength = STANDARD) -> Talk:
    """Have Alice and Bob write `messages` under `epochs` epochs, evenly spread; every tenth is Bob's."""
    names, password = [f"{name}.{secrets.token_hex(6)}" for name in ("alice", "bob")], secrets.token_urlsafe(16)
    async with (
        Client(url, folder / "alice.db", strength=strength) as alice,
        Client(url, folder / "bob.db", strength=strength) as bob,
    ):
        for client, name in zip((alice, bob), names, strict=True):
            await client.register(name, password, device_name="phone")
            client.connect()
            await client.caught_up()
        texts: dict[RoomId, list[bytes]] = {}
        limit = asyncio.Semaphore(AT_ONCE)

        async def one_room(parts: list[int]) -> None:
            async with limit:
                room = (await alice.create_group([bob.me.user])).id
                texts[room] = [f"{number} in {room}".encode() for number in range(sum(parts))]
                said = iter(texts[room])
                for part in parts:
                    await _say(alice, bob, room, said, part)
                    alice.epochs.renew(room)

        await asyncio.gather(*map(one_room, _parts(messages, epochs)))
    return Talk(names[1], password, texts, epochs)


async def _say(alice: Client, bob: Client, room: RoomId, said: Iterator[bytes], count: int) -> None:
    """So many texts of one epoch: nine of Alice's, one of Bob's, and so on; each waits for the answers to those before."""
    while count > 0:
        await _all_accepted(alice, room, list(islice(said, min(count, 9))))
        while bob.epochs.newest(room) != alice.epochs.newest(room):
            await asyncio.sleep(0.01)
        await _all_accepted(bob, room, list(islice(said, min(count - 9, 1)) if count > 9 else ()))
        count -= 10


async def _all_accepted(client: Client, room: RoomId, texts: list[bytes]) -> None:
    await asyncio.gather(*map(client.accepted, client.queue(room, *texts)))


def _parts(messages: int, epochs: int) -> list[list[int]]:
    """How many messages per epoch, room by room."""
    each = [messages // epochs + (1 if index < messages % epochs else 0) for index in range(epochs)]
    return [each[start : start + EPOCHS_OF_A_ROOM] for start in range(0, epochs, EPOCHS_OF_A_ROOM)]


async def restore(url: str, store: Path, past: Talk) -> Restored:
    """Sign in on a new device, fetch all, open all."""
    async with Client(url, store) as device:
        asked = 0
        request_once = device._session.request_once

        async def counted(*args: object, **more: object) -> object:
            nonlocal asked
            asked += 1
            return await request_once(*args, **more)  # type: ignore[arg-type]

        device._session.request_once = counted  # type: ignore[method-assign, assignment]
        marks = [time.perf_counter()]
        await device.sign_in(past.username, past.password, device_name="new phone")
        marks.append(time.perf_counter())
        await device.fetch_history()
        marks.append(time.perf_counter())
        read = {room: device.messages(room, limit=len(texts) + 1) for room, texts in past.texts.items()}
        marks.append(time.perf_counter())
        missing = sum(_differences([message.body for message in read[room][::-1]], past.texts[room]) for room in read)
    size = sum(path.stat().st_size for path in store.parent.glob(f"{store.name}*"))
    steps = [later - earlier for earlier, later in pairwise(marks)]
    return Restored(*steps, asked, size, missing)


def _differences(read: list[bytes | None], said: list[bytes]) -> int:
    return sum(one != other for one, other in zip_longest(read, said))


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.restore", description=(__doc__ or "").split("\n\n", 1)[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="of a running system (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=10_000, metavar="N")
    parser.add_argument("--epochs", type=int, default=500, metavar="N")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="new devices, one after the other")
    return parser.parse_args()


async def measure(given: argparse.Namespace) -> tuple[Talk, list[Restored]]:
    """The talk once, then one new device after the other."""
    with TemporaryDirectory() as folder:
        past = await talk(given.url, Path(folder), messages=given.messages, epochs=given.epochs)
        return past, [
            await restore(given.url, Path(folder) / f"new{number}.db", past) for number in range(given.repeat)
        ]


def main() -> int:
    """0 when every text was there, within the bound."""
    given = options()
    past, runs = asyncio.run(measure(given))
    facts = machine.facts()
    title = (
        f"{past.messages} messages under {past.epochs} epochs on a new device; {facts['cpu']}, {facts['cores']} cores"
    )
    table = Table(title=title, title_justify="left")
    for column in ("run", "sign in", "mailbox and keys", "open all", "total", "requests", "store", "missing"):
        table.add_column(column, justify="right", no_wrap=True)
    for index, run in enumerate(runs, 1):
        seconds = [f"{number(each, 2)} s" for each in (run.signed_in_s, run.fetched_s, run.opened_s, run.total_s)]
        table.add_row(
            str(index), *seconds, str(run.requests), f"{number(run.store_bytes / 1e6, 1)} MB", str(run.missing)
        )
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    bound_s = BOUND_S * max(past.messages / 10_000, past.epochs / 500)
    return 0 if all(run.missing == 0 and run.total_s <= bound_s for run in runs) else 1


if __name__ == "__main__":
    raise SystemExit(main())
