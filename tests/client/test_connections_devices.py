"""Several devices of Bob's, offline and online in any order, against a server of a few lines: what each sends, claims and ends with."""

import asyncio
import contextlib
import math
import random
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.connections import Connections, syncing
from client.connections.copy import Copy
from client.connections.syncing import Changes, Syncer, driven
from client.errors import ChangeRefused, OfflineUnblock, Refused, Unreachable
from client.events import Hub
from client.protocol.answers import SignedIn, Tokens
from client.protocol.ids import DeviceId, UserId
from client.protocol.problems import Problem
from client.store import Store
from tests.client.address_book import MALLORY, AddressBook, wire
from tests.client.shapes import ALICE, BOB

PEERS = [UserId("019ab0c4-0000-7000-8000-00000000000a"), UserId("019ab0c4-0000-7000-8000-00000000000b")]
EFFECT = {"block": {"blocked": True}, "unblock": {"blocked": False}}


class Server:
    """Bob's address book behind `Session.request`. Breaks off where a test wants it to, before or after the deed."""

    def __init__(self, rule: str = "confirm") -> None:
        self.book = AddressBook(rule=rule)
        self.reported: dict[DeviceId, int] = {}
        self.claims: list[tuple[DeviceId, int]] = []
        self.blocked_at: dict[UserId, int] = {}
        self.requests: list[str] = []
        self.page_size = 2

    def answer(self, device, method, path, body):
        self.requests.append(f"{method} {path}")
        match method, path.partition("?since="):
            case "GET", ("limits", _, _):
                return {"disclose_blocks": True}
            case "GET", (_, _, since):
                page = self.book.page(int(since), self.page_size)
                return {
                    "connections": [wire(said) for said in page.relations], "settings": asdict(page.settings),
                    "version": page.version, "consistency": page.consistency, "next": page.next,
                }  # fmt: skip
            case "POST", ("connections/synced", _, _):
                assert body["version"] <= self.book.version
                self.claims.append((device, body["version"]))
                self.reported[device] = max(self.reported[device], body["version"])
                return {"version": self.reported[device]}
            case "POST", ("connections", _, _):
                return self.change(device, **body)

    def change(self, device, action, user, base_version):
        now = self.book.relations.get(user)
        wanted = EFFECT[action]
        if now is None or any(getattr(now, name) != value for name, value in wanted.items()):
            if now is None and action == "unblock":
                return {"connection": wire(self.book.change(user, by=device)), "version": self.book.version}
            self.check(device, action, user, base_version, now)
            now = self.book.change(user, by=device, **wanted)
            if action == "block":
                self.blocked_at[user] = now.version
        return {"connection": wire(now), "version": self.book.version}

    def check(self, device, action, user, base_version, now):
        if self.book.rule == "restrict":
            lags = [d for d, v in self.reported.items() if action == "unblock" and v < self.blocked_at[user]]
            lags = [d for d in lags if d != device] + [device] * (
                action == "unblock" and base_version < self.blocked_at[user]
            )
            if lags:
                named = [{"id": d, "name": d, "last_seen_at": None} for d in lags]
                raise Refused(Problem("devices_lag", 423, more={"devices": named}))
        elif now is not None and base_version < now.version:
            more = {
                "connection": wire(now),
                "version": self.book.version,
                "changed_by": now.changed_by,
                "changed_at": 1,
            }
            raise Refused(Problem("connection_changed", 409, more=more))


class Device:
    """The client's own parts, with a session that leads to the server above."""

    def __init__(self, server: Server, name: str) -> None:
        self.server, self.id = server, DeviceId(name)
        server.reported[self.id] = 0
        self.signed_in = SignedIn(BOB, "bob", self.id, name, Tokens("a", 1, "r", 2))
        self.is_signed_in, self.is_online = True, True
        self.breaks: list[str] = []  # what becomes of the next requests
        self.store = Store(":memory:")
        self.store.identity.save(self.signed_in)
        hub = Hub()
        self.news = hub.subscribe(0, lambda after, limit: [])
        self.copy = Copy(self.store, hub, lambda a_block: self.syncer.stored(a_block=a_block))
        self.syncer = Syncer(self.store, self, self.copy)
        self.changes = Changes(self.store, self, self.copy, hub, self.syncer, None, None)
        self.connections = Connections(
            self.store, self, self.syncer, self.changes, online=lambda: self.is_online, on_press=lambda: None
        )

    async def request(self, method, path, body=None, *, repeat=None):
        await asyncio.sleep(0)
        fate = self.breaks.pop(0) if self.breaks else "answered"
        if fate == "lost":
            raise Unreachable("lost on the way there")
        answer = self.server.answer(self.id, method, path, body)
        if fate == "unanswered":
            raise Unreachable("lost on the way back")
        return answer

    def hears(self, entry):
        with self.store.database.transaction():
            self.copy.arrived(entry)
        self.copy.tell()

    async def syncs(self):
        with contextlib.suppress(Unreachable):
            await self.connections.sync()

    @property
    def relations(self):
        return {said.user: said for said in self.connections.list()}


@pytest.mark.parametrize("rule", ["confirm", "restrict"])
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_all_devices_and_the_server_end_alike_and_no_block_is_undone_unknown(rule, data):
    monkey = pytest.MonkeyPatch()
    monkey.setattr(syncing, "LAG_S", 0.001)
    monkey.setattr(syncing, "LAG_MOST_S", 0.001)
    try:
        asyncio.run(_story(rule, data))
    finally:
        monkey.undo()


async def _story(rule, data):
    server = Server(rule)
    chance = random.Random(data.draw(st.integers(0, 2**32), label="what the users answer"))
    devices: list[Device] = []
    made_by: dict[tuple[UserId, int], tuple[DeviceId, int]] = {}  # block → the device and its press
    knew: dict[tuple[DeviceId, int], int] = {}  # press → what its user knew then, or confirmed since

    def asked(device):
        async def on_conflict(conflict):
            if chance.random() < 0.5:
                return "drop"
            knew[device.id, conflict.change.position] = conflict.version
            return "confirm"

        async def on_lag(lag):
            if chance.random() < 0.5:
                return "drop"
            if any(each.id == device.id for each in lag.devices):
                knew[device.id, lag.change.position] = device.connections.version
            return "wait"

        device.changes._on_conflict, device.changes._on_lag = on_conflict, on_lag

    def watch(device):
        send = device.changes._send

        async def watched(change):
            before = server.book.relations.get(change.user)
            was, blocked_at = bool(before and before.blocked), server.blocked_at.get(change.user, 0)
            try:
                await send(change)
            finally:  # the deed may be done though its answer was lost
                now = server.book.relations.get(change.user)
                if was and not now.blocked:
                    by, press = made_by[change.user, blocked_at]
                    own = by == device.id and press < change.position
                    assert knew[device.id, change.position] >= blocked_at or own, (
                        "undone by who did not know of the block"
                    )
                if not was and now and now.blocked:
                    made_by[change.user, now.version] = device.id, change.position

        device.changes._send = watched

    for number in range(data.draw(st.integers(2, 3), label="devices")):
        devices.append(Device(server, f"device {number}"))
        asked(devices[-1])
        watch(devices[-1])
    by_id = {device.id: device for device in devices}

    for _ in range(data.draw(st.integers(1, 25), label="steps")):
        device = data.draw(st.sampled_from(devices), label="device")
        match data.draw(st.sampled_from(["press", "press", "press", "hear", "sync", "break"]), label="step"):
            case "press":
                device.is_online = data.draw(st.booleans(), label="online")
                action = data.draw(st.sampled_from(["block", "unblock"]), label="action")
                try:
                    change = getattr(device.connections, action)(data.draw(st.sampled_from(PEERS))).change
                except OfflineUnblock:
                    assert not device.is_online
                    assert device.connections.consistency != "confirm"
                else:
                    knew[device.id, change.position] = change.base_version
            case "hear" if server.book.entries:
                device.hears(data.draw(st.sampled_from(server.book.entries), label="entry"))
            case "sync":
                await device.syncs()
            case "break":
                device.breaks.append(data.draw(st.sampled_from(["lost", "unanswered"]), label="fate"))
        for who, version in server.claims:
            claimed = server.book.past[version]
            kept = by_id[who].relations
            assert all(kept[user].version >= said.version for user, said in claimed.items())
        server.claims.clear()

    for device in devices:
        device.breaks.clear()
        device.is_online = True
    # What one sends the others hear, and what waits for the others goes then.
    for _ in range(60):
        for device in devices:
            await device.syncs()
        if not any(device.connections.waiting() for device in devices):
            break
        await asyncio.sleep(0.002)
    for device in devices:
        await device.syncs()
        assert device.connections.waiting() == []
        assert device.relations == server.book.relations
        assert server.reported[device.id] == server.book.version
        await device.changes.close()
        device.store.close()


class TestStayingInStep:
    """The parts that run by themselves while a device is online."""

    @pytest.fixture
    async def server(self):
        return Server()

    @pytest.fixture
    async def device(self, server):
        device, online = Device(server, "phone"), asyncio.Event()
        online.set()
        tasks = [asyncio.create_task(driven(part.step, part.awake, online)) for part in (device.syncer, device.changes)]
        yield device
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        device.store.close()

    @staticmethod
    async def until(true):
        async with asyncio.timeout(10):
            while not true():
                await asyncio.sleep(0.01)

    async def test_a_block_is_reported_at_once_and_other_things_together(self, server, device):
        server.book.change(PEERS[0], blocked=True)
        device.hears(server.book.entries[0])
        await self.until(lambda: server.claims == [(device.id, 1)])

        for _ in range(20):
            server.book.change(PEERS[0], state="contact")
            device.hears(server.book.entries[-1])
        await asyncio.sleep(0)
        assert server.claims == [(device.id, 1)]
        server.book.change(PEERS[0], blocked=False)
        device.hears(server.book.entries[-1])
        await self.until(lambda: server.claims == [(device.id, 1), (device.id, 22)])

    async def test_a_report_that_fails_goes_again(self, server, device):
        device.breaks = ["lost", "unanswered"]
        server.book.change(PEERS[0], blocked=True)
        device.hears(server.book.entries[0])

        await self.until(lambda: device.store.connections.reported(device.id) == 1)
        assert server.claims == [(device.id, 1)] * 2

    async def test_a_gap_makes_it_page_before_it_claims_anything(self, server, device):
        for user in (*PEERS, ALICE, MALLORY):
            server.book.change(user, blocked=True)
        device.hears(server.book.entries[2])
        assert (device.connections.version, len(device.relations)) == (0, 1)

        await self.until(lambda: server.claims)
        assert server.claims == [(device.id, 4)]
        assert device.relations == server.book.relations
        assert server.requests == [
            "GET limits", "GET connections?since=0", "GET connections?since=2", "POST connections/synced",
        ]  # fmt: skip

    async def test_what_was_reported_is_not_reported_again(self, server, device):
        server.book.change(PEERS[0], blocked=True)
        device.hears(server.book.entries[0])
        await self.until(lambda: server.claims)
        server.requests.clear()
        device.syncer.want()
        await self.until(lambda: server.requests)
        await device.connections.sync()

        assert set(server.requests) == {"GET limits", "GET connections?since=1"}

    async def test_an_answer_that_was_lost_is_asked_for_again(self, server, device):
        device.breaks = ["unanswered"]

        answer = await device.connections.block(PEERS[0])

        assert (answer.blocked, answer.version, server.book.version) == (True, 1, 1)
        assert server.requests.count("POST connections") == 2

    async def test_a_press_that_ends_badly_is_told(self, server, device):
        server.book.change(PEERS[0], by=None, blocked=True)

        with pytest.raises(ChangeRefused) as refused:
            await device.connections.unblock(PEERS[0])

        assert refused.value.code == "connection_changed"
        assert device.connections.get(PEERS[0]).blocked


def test_reports_come_from_the_store_alone():
    """A store that lost its last commits says so, whatever was reported before."""
    device = Device(Server(), "phone")
    device.store.connections.report(device.id, 7)

    assert device.connections.version == 0
    assert device.syncer._report().due_at(device.connections.version) == math.inf
    assert device.store.connections.reported(DeviceId("the next one")) == 0
    device.store.close()
