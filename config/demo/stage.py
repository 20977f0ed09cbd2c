"""The cast on its devices: everything goes through `client.Client`, as any application's messages would."""

import asyncio
import random
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any

from client import (
    FLOOR,
    Client,
    ConnectionChanged,
    EntryHidden,
    EpochChanged,
    KeysChanged,
    Message,
    MessageRejected,
    ReceiptReceived,
    RoomChanged,
    State,
    StateChanged,
)
from client.protocol.ids import RoomId, UserId
from config.demo.ledger import Entry, Line, RoomLedger
from config.demo.play import Part, Speech

# How long everything may take to arrive at the end.
SETTLE_S = 60.0


class Device:
    """One device of a speaker: its client, what it has heard, and its mishaps."""

    def __init__(self, stage: "Stage", user: str, name: str, path: Path, *, by_rest: bool) -> None:
        self._stage = stage
        self._path = path
        self._by_rest = by_rest
        self.user, self.name = user, name
        self.heard: list[Entry] = []
        self.receipts = 0
        self.outages = 0
        self.live_since: float | None = None
        self.speaking = asyncio.Lock()
        self.client = self._open()
        self._listener: asyncio.Task[None] | None = None

    def _open(self) -> Client:
        return Client(
            self._stage.a_host(),
            self._path,
            carrier="rest" if self._by_rest else "socket",
            patience=self._stage.patience,
            strength=FLOOR,  # sixty devices on one machine: the passwords are random anyway
        )

    async def begin(self) -> None:
        """Connect, and listen from where it left off."""
        await self.client.__aenter__()
        self._listener = asyncio.create_task(self._listen())
        self.client.connect()

    async def _listen(self) -> None:
        async for event in self.client.events(after=self.heard[-1].seq if self.heard else 0):
            match event:
                case StateChanged(state):
                    self.live_since = time.perf_counter() if state is State.LIVE else None
                case ReceiptReceived():
                    self.receipts += 1
                case Message():
                    self.heard.append(_entry(event))
                    self._stage.delivered(self, event)
                case (
                    RoomChanged(seq) | ConnectionChanged(seq) | EpochChanged(seq) | KeysChanged(seq) | EntryHidden(seq)
                    | MessageRejected(seq)
                ):  # fmt: skip
                    self.heard.append(Entry(seq))

    async def end(self) -> None:
        """Close the client; its store stays."""
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        await self.client.close()
        self.live_since = None

    async def have_a_mishap(self, chance: random.Random) -> None:
        """Lose the network for a moment, be out of reach for longer, or crash and start again from the store."""
        self.outages += 1
        match chance.choice(["drop", "drop", "away", "restart"]):
            case "drop":
                self.client.drop()
            case "away":
                await self.client.disconnect()
                await asyncio.sleep(chance.uniform(0.2, 2.0))
                self.client.connect()
            case "restart":
                # Not in the middle of a sentence: who waits for the answer would be gone as well.
                async with self.speaking:
                    await self.end()
                    self.client = self._open()
                    await self.begin()


def _entry(message: Message) -> Entry:
    text = f"({message.problem})" if message.body is None else message.body.decode()
    return Entry(message.seq, message.id, message.room, message.sender, message.device, text, message.refused)


class Stage:
    """One performance. `told(what, number)` hears of progress: `cast`, `accepted` and `delivered`."""

    def __init__(
        self, urls: list[str], folder: Path, parts: list[Part], *, seed: int, patience: float,
        told: Callable[[str, int], None],
    ) -> None:  # fmt: skip
        self._urls = urls
        self.patience = patience
        self._folder = folder
        self._told = told
        self._chance = random.Random(seed)
        self._password = secrets.token_urlsafe(24)
        self._curtain = float("inf")
        self._sent_at: dict[str, float] = {}
        self._room_of: dict[str, str] = {}  # the part's name → its room
        self._mishaps: set[asyncio.Task[None]] = set()
        self.parts = parts
        self.speakers = list(dict.fromkeys(speaker for part in parts for speaker in part.speakers))
        self.devices: dict[str, list[Device]] = {}
        self.users: dict[str, UserId] = {}  # speaker → user
        self.ledger: dict[str, RoomLedger] = {}
        self.latencies: dict[str, list[float]] = defaultdict(list)  # room → seconds from send to entry, on live peers
        for speaker in self.speakers:
            # Every third device of a user sends by REST; all listen on sockets.
            self.devices[speaker] = [
                Device(self, speaker, f"{n}", folder / f"{_slug(speaker)}-{n}.db", by_rest=n == 3)
                for n in range(1, self._chance.choice([2, 3]) + 1)
            ]

    def a_host(self) -> str:
        """The address of one of the web processes."""
        return self._chance.choice(self._urls)

    def listeners(self, speaker: str) -> int:
        """How many devices will have heard all that is for this one: those on stage and, of the first speaker, the late one."""
        return len(self.devices[speaker]) + (speaker == self.speakers[0])

    @property
    def all_devices(self) -> list[Device]:
        """Every device of everybody."""
        return [device for devices in self.devices.values() for device in devices]

    # Before the curtain.

    async def gather_cast(self) -> None:
        """Register everybody under names of their own, with all their devices, and connect them."""
        run, gate = secrets.token_hex(4), asyncio.Semaphore(4)

        async def enter(speaker: str) -> None:
            username = f"{_slug(speaker)[:20]}.{run}"
            first, *others = self.devices[speaker]
            async with gate:
                await first.client.register(username, self._password, device_name=first.name)
                self._told("cast", 1)
                for device in others:
                    await device.client.sign_in(username, self._password, device_name=device.name)
                    self._told("cast", 1)

        await _all(enter(speaker) for speaker in self.speakers)
        self.users = {speaker: devices[0].client.me.user for speaker, devices in self.devices.items()}
        for device in self.all_devices:
            await device.begin()

    async def open_rooms(self) -> None:
        """A direct room for two who talk alone, a group for every other scene; its first speaker is the owner."""

        async def open_room(part: Part) -> None:
            owner, *others = [self.users[speaker] for speaker in part.speakers]
            client = self.devices[part.speakers[0]][0].client
            room = await (client.direct_room(others[0]) if part.is_direct else client.create_group(others))
            self._room_of[part.name] = room.id
            self.ledger[room.id] = RoomLedger(part.name, (owner, *others))

        await _all(open_room(part) for part in self.parts)

    # The performance.

    async def perform(self, seconds: float | None) -> None:
        """Play every scene, all at once, until the end or for so many seconds; devices come and go meanwhile."""
        self._curtain = time.monotonic() + (seconds or float("inf"))
        nemesis = asyncio.create_task(self._trouble())
        try:
            await _all(self._play(part) for part in self.parts)
        finally:
            nemesis.cancel()
            await asyncio.gather(nemesis, return_exceptions=True)
        await asyncio.gather(*self._mishaps)
        for device in self.all_devices:
            device.client.hurry()

    async def _play(self, part: Part) -> None:
        for speech in part.speeches:
            if time.monotonic() > self._curtain:
                return
            await self._speak(self._room_of[part.name], speech)

    async def _speak(self, room: str, speech: Speech) -> None:
        """One speech, its lines on the way together. The next speaker begins when all are accepted."""
        device = self._chance.choice(self.devices[speech.speaker])
        async with device.speaking:
            client, me = device.client, device.client.me
            client.hurry()  # its user is waiting
            if heard := [entry.seq for entry in device.heard[-50:] if entry.room == room]:
                client.read(RoomId(room), heard[-1])
            ids = client.queue(RoomId(room), *(line.encode() for line in speech.lines))
            now = time.perf_counter()
            self._sent_at.update((id_, now) for id_ in ids)
            for id_, line in zip(ids, speech.lines, strict=True):
                await client.accepted(id_)
                self.ledger[room].lines.append(Line(id_, me.user, me.device, line))
                self._told("accepted", 1)

    async def _trouble(self) -> None:
        while True:
            await asyncio.sleep(self._chance.uniform(0.05, 0.4))
            device = self._chance.choice(self.all_devices)
            mishap = asyncio.create_task(device.have_a_mishap(self._chance))
            self._mishaps.add(mishap)
            mishap.add_done_callback(self._mishaps.discard)

    def delivered(self, device: Device, message: Message) -> None:
        """A device has a message."""
        self._told("delivered", 1)
        sent_at = self._sent_at.get(message.id)
        if sent_at is None or message.device == device.client.me.device:
            return
        # Of a device that was away in between, the time would say how long it was away.
        if device.live_since is not None and device.live_since < sent_at:
            self.latencies[message.room].append(time.perf_counter() - sent_at)

    # Afterwards.

    async def settle(self) -> bool:
        """Wait until every device has everything. False when that takes too long; the check then says what is missing."""
        try:
            async with asyncio.timeout(SETTLE_S):
                for devices in self.devices.values():
                    await self._settle_user(devices)
        except TimeoutError:
            return False
        return True

    async def _settle_user(self, devices: list[Device]) -> None:
        user = devices[0].client.me.user
        lines = sum(len(record.lines) for record in self.ledger.values() if user in record.members)
        while True:
            newest = await devices[0].client.newest()
            if all(self._has_all(device, newest, lines) for device in devices):
                return
            await asyncio.sleep(0.05)

    @staticmethod
    def _has_all(device: Device, newest: int, lines: int) -> bool:
        heard = device.heard
        return bool(heard) and heard[-1].seq >= newest and sum(1 for entry in heard if entry.id) >= lines

    async def join_late(self) -> tuple[str, list[Entry]]:
        """A new device of the first speaker, which reads the whole history over REST: whose it is, and what it read."""
        speaker = self.speakers[0]
        username = self.devices[speaker][0].client.me.username
        async with Client(self.a_host(), self._folder / "new.db", patience=self.patience, strength=FLOOR) as client:
            await client.sign_in(username, self._password, device_name="new")
            await client.fetch_history()
            entries = client.mailbox(limit=10**9)
        self._told("delivered", sum(isinstance(entry, Message) for entry in entries))
        return speaker, [_entry(entry) if isinstance(entry, Message) else Entry(entry.seq) for entry in entries]

    async def close(self) -> None:
        """Everybody goes."""
        for mishap in self._mishaps:
            mishap.cancel()
        await asyncio.gather(*(device.end() for device in self.all_devices), return_exceptions=True)


def _slug(speaker: str) -> str:
    return "-".join(speaker.lower().split())


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do it all at once; the first failure ends the rest."""
    async with asyncio.TaskGroup() as tasks:
        for coroutine in work:
            tasks.create_task(coroutine)
