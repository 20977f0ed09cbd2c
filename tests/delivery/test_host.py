"""A host's own tasks serve every socket of the process: nothing unexpected may end one of them."""

import asyncio
import threading
import time
from functools import partial
from types import SimpleNamespace
from uuid import UUID

import pytest
from channels.layers import get_channel_layer

from accounts.revocations import Revocations
from config.runtime import Runtime
from delivery.host import LATE_S, Host
from delivery.push import HOSTS_KEPT_S, group_of
from delivery.registry import Facts, RegistryAway
from delivery.registry.valkey import ValkeyRegistry
from kernel import clock
from kernel.database import Readers
from kernel.entries import Entry
from kernel.ids import uuid7


class Phone:
    """A socket of a host; keeps what it is given."""

    def __init__(self, user):
        self.user, self.device = user, str(uuid7())
        self.entries, self.ticks = [], 0
        self.codes, self.hints = [], []
        self.newest = 0

    def pushed(self, batch):
        self.entries += batch

    def known(self, last_seq):
        self.newest = max(self.newest, last_seq)

    def ticked(self, now):
        self.ticks += 1

    def hint(self, text):
        self.hints.append(text)

    def hang_up(self, code):
        self.codes.append(code)

    async def flush(self):
        pass


class Watched(ValkeyRegistry):
    """Notes how many routes each call adds and takes away; away if told so."""

    def __init__(self):
        super().__init__()
        self.added, self.removed, self.is_away = [], [], False
        self.renewals = 0
        # Of so many renewals to come the answer is lost; they are done.
        self.unanswered = 0

    def renew(self, host, facts):
        self.renewals += 1
        answer = super().renew(host, facts)
        if self.unanswered:
            self.unanswered -= 1
            raise RegistryAway
        return answer

    def route(self, host, *, add=(), remove=()):
        if self.is_away:
            raise RegistryAway
        add, remove = list(add), list(remove)
        super().route(host, add=add, remove=remove)
        self.added.append(len(add))
        self.removed += [len(remove)] if remove else []


@pytest.fixture
def registry():
    return Watched()


@pytest.fixture
async def host(registry):
    readers = Readers(1)
    made = Host(id=f"test.{uuid7()}", facts=Facts(url="http://127.0.0.1:1"), registry=registry, readers=readers)
    yield made
    await made.stop(1012)
    readers.close()
    await get_channel_layer().flush()


async def until(true):
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.02)


async def test_a_push_that_cannot_be_read_costs_neither_the_next_one_nor_the_channel(host):
    alice = Phone(str(uuid7()))
    host.start(lambda now: None)
    await host.enter(alice)
    await until(lambda: host.layer_is_up)
    layer = get_channel_layer()
    channels = set(layer.channels)

    await layer.group_send(group_of(host.id), {"type": "push", "texts": []})
    good = {"type": "push", "texts": ['"kind":"hidden"'], "origins": [None], "to": [[alice.user, 1, 0]]}
    await layer.group_send(group_of(host.id), good)

    await until(lambda: alice.entries)
    assert alice.entries == [Entry(1, '"kind":"hidden"', None)]
    assert set(layer.channels) == channels


async def test_what_was_pushed_before_the_workers_knew_of_a_new_host_is_found_at_once(registry):
    """They ask for the hosts twice a second; until then all of it goes to the others, and the next comparison is seconds away."""
    looked = []

    class Mailboxes:
        async def run(self, look, users):
            looked.append(time.monotonic())
            return {}

    host = Host(id=f"test.{uuid7()}", facts=Facts(url="http://127.0.0.1:1"), registry=registry, readers=Mailboxes())
    host.start(lambda now: None)
    try:
        await until(lambda: registry.renewals and host.layer_is_up)
        await host.enter(Phone(str(uuid7())))
        entered = time.monotonic()
        await until(lambda: any(at > entered + HOSTS_KEPT_S for at in looked))
        assert looked[-1] - entered < 2.0
    finally:
        await host.stop(1012)
        await get_channel_layer().flush()


async def test_a_tick_that_fails_is_followed_by_others(host):
    alice, ticks = Phone(str(uuid7())), []

    def on_tick(now):
        ticks.append(now)
        if len(ticks) == 1:
            raise RuntimeError("no thread can be started now")

    host.start(on_tick)
    await host.enter(alice)

    await until(lambda: len(ticks) > 3 and alice.ticks)


async def test_the_routes_of_a_crowd_are_published_together(host, registry):
    crowd = [Phone(str(uuid7())) for _ in range(300)]
    host.start(lambda now: None)
    await asyncio.gather(*map(host.enter, crowd))

    assert len(registry.added) < 100, registry.added
    users = {phone.user for phone in crowd}
    assert ValkeyRegistry().holding([host.id], users) == {host.id: users}


async def test_a_crowd_that_goes_does_not_hold_up_the_lease(host, registry):
    """Thousands of sockets end together, when a load balancer dies, say: what they ask of the registry is one call."""
    crowd = [Phone(str(uuid7())) for _ in range(300)]
    host.start(lambda now: None)
    await asyncio.gather(*map(host.enter, crowd))
    held, busy = threading.Event(), threading.Event()
    host._threads.submit(lambda: held.set() or busy.wait())
    await asyncio.to_thread(held.wait)  # or a renewal that is under way takes some of those who go
    for phone in crowd[1:]:
        host.leave(phone)
    host.leave(crowd[0])
    coming = asyncio.create_task(host.enter(crowd[0]))  # and one is back at once
    await asyncio.sleep(0)
    busy.set()
    await coming

    assert registry.removed == [299]
    users = {phone.user for phone in crowd}
    assert ValkeyRegistry().holding([host.id], users) == {host.id: {crowd[0].user}}


async def test_who_came_and_went_while_the_registry_was_slow_leaves_no_route(host):
    alice, bob = (Phone(str(uuid7())) for _ in range(2))
    host.start(lambda now: None)
    await host.enter(bob)
    busy = threading.Event()
    host._threads.submit(busy.wait)
    host.leave(bob)
    coming = asyncio.create_task(host.enter(alice))
    await asyncio.sleep(0)
    host.leave(alice)
    busy.set()
    await coming
    await host._in_thread(lambda: None)

    assert ValkeyRegistry().holding([host.id], [alice.user, bob.user]) == {host.id: set()}


async def test_a_route_that_could_not_be_taken_away_goes_with_a_later_renewal(host, registry):
    """Else the user would count here, and be sent here, for as long as the host lives."""
    alice, bob = (Phone(str(uuid7())) for _ in range(2))
    host.start(lambda now: None)
    await host.enter(alice)
    await host.enter(bob)
    registry.is_away = True
    host.leave(alice)
    host.leave(bob)
    await host._in_thread(lambda: None)  # whatever was asked of the registry has been tried
    registry.is_away = False
    await host.enter(bob)

    await until(lambda: registry.holding([host.id], [alice.user, bob.user]) == {host.id: {bob.user}})


async def test_a_route_whose_removal_meets_a_mistake_of_ours_is_logged_and_goes_with_a_later_change(
    host, registry, monkeypatch, caplog
):
    alice, bob = (Phone(str(uuid7())) for _ in range(2))
    host.start(lambda now: None)
    await host.enter(alice)
    with monkeypatch.context() as patch:
        patch.setattr(registry, "route", lambda *_, **__: 1 / 0)
        host.leave(alice)
        await host._in_thread(lambda: None)  # whatever was asked of the registry has been tried
    assert "ZeroDivisionError" in caplog.text

    await host.enter(bob)

    assert registry.holding([host.id], [alice.user, bob.user]) == {host.id: {bob.user}}


async def test_a_route_that_could_not_be_published_comes_with_a_later_renewal(host, registry):
    alice = Phone(str(uuid7()))
    host.start(lambda now: None)
    registry.is_away = True
    await host.enter(alice)
    assert ValkeyRegistry().holding([host.id], [alice.user]) == {host.id: set()}
    registry.is_away = False

    await until(lambda: registry.holding([host.id], [alice.user]) == {host.id: {alice.user}})


async def test_routes_that_vanished_come_again_though_the_answer_that_says_so_is_lost(host, registry):
    """Valkey is wiped, renews the lease, and its answer does not arrive; then Bob comes, so that there are routes again."""
    alice, bob = (Phone(str(uuid7())) for _ in range(2))
    host.start(lambda now: None)
    await host.enter(alice)
    await until(lambda: registry.renewals >= 2)
    registry.unanswered = 1
    registry.leave(host.id)
    await until(lambda: not registry.unanswered)
    await host.enter(bob)

    await until(lambda: registry.holding([host.id], [alice.user, bob.user]) == {host.id: {alice.user, bob.user}})


async def test_neither_the_lease_nor_pushes_wait_for_postgresql(host, registry, monkeypatch):
    """Else a host to which thousands come at once is taken for dead, and nothing is pushed to its users."""
    asked, alice = asyncio.Event(), Phone(str(uuid7()))

    async def never(*_):
        asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(host._readers, "run", never)
    registry.is_away = True
    host.start(lambda now: None)
    await host.enter(alice)
    registry.is_away = False
    await asyncio.wait_for(asked.wait(), 10)
    await until(lambda: registry.holding([host.id], [alice.user]) == {host.id: {alice.user}})
    renewals = registry.renewals

    await until(lambda: host.layer_is_up)
    push = {"type": "push", "texts": ['"kind":"hidden"'], "origins": [None], "to": [[alice.user, 1, 0]]}
    await get_channel_layer().group_send(group_of(host.id), push)
    await until(lambda: alice.entries)
    await until(lambda: registry.renewals >= renewals + 3)


async def test_a_crowd_of_revoked_devices_is_looked_for_once(host, monkeypatch):
    """After `manage.py restored` it is every device of everybody: what is learnt together must not hold up the event loop."""
    crowd = [Phone(str(uuid7())) for _ in range(500)]
    host.start(lambda now: None)
    await asyncio.gather(*map(host.enter, crowd))
    passes, look, gaps = [], host.connected.all, []
    monkeypatch.setattr(host.connected, "all", lambda: passes.append(True) or look())

    async def watch():
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    watching = asyncio.create_task(watch())
    revocations = Revocations()
    revocations.subscribe(partial(Runtime._revoked, SimpleNamespace(host=host, _loop=asyncio.get_running_loop())))
    revoked = [UUID(phone.device) for phone in crowd[1:]] + [uuid7() for _ in range(1_501)]
    await asyncio.to_thread(revocations.learn, dict.fromkeys(revoked, 0.0))

    await until(lambda: gaps and all(phone.codes for phone in crowd[1:]))
    watching.cancel()
    assert {code for phone in crowd[1:] for code in phone.codes} == {4401}
    assert not crowd[0].codes
    assert len(passes) < 10  # one, and each second one of the ticks
    assert max(gaps) < 0.3


async def test_a_channel_that_could_not_join_gathers_nothing(host, monkeypatch):
    layer, alice = get_channel_layer(), Phone(str(uuid7()))
    await layer.flush()
    join, failed = layer.group_add, []

    async def fails_once(group, channel):
        await join(group, channel)
        if not failed:
            failed.append(channel)
            raise ConnectionError

    monkeypatch.setattr(layer, "group_add", fails_once, raising=False)
    host.start(lambda now: None)
    await host.enter(alice)
    await until(lambda: failed and host.layer_is_up)

    push = {"type": "push", "texts": ['"kind":"hidden"'], "origins": [None], "to": [[alice.user, 1, 0]]}
    await layer.group_send(group_of(host.id), push)
    await until(lambda: alice.entries)
    assert failed[0] not in layer.channels
    assert len(layer.channels) == 1


async def test_what_a_process_of_the_same_name_and_number_left_behind_is_cleared_away(host):
    """In a container every process has the same number, and may be back before the lease of the one that was killed is over."""
    alice, bob = str(uuid7()), Phone(str(uuid7()))
    registry = ValkeyRegistry()
    registry.renew(host.id, Facts(url="http://127.0.0.1:1"))
    registry.route(host.id, add=[alice])
    registry.drain(host.id, 5)

    host.start(lambda now: None)
    await host.enter(bob)

    await until(lambda: registry.holding([host.id], [alice, bob.user]) == {host.id: {bob.user}})
    (state,) = [state for state in registry.states() if state.id == host.id]
    assert not state.draining


async def test_who_is_being_emptied_may_be_told_to_hurry(host, registry, monkeypatch):
    monkeypatch.setattr("delivery.evacuation.LEAST_RATE", 0)
    elsewhere, crowd = f"web-2.{uuid7()}", [Phone(str(uuid7())) for _ in range(30)]

    async def lives():
        while True:
            ValkeyRegistry().renew(elsewhere, Facts(url="http://web-2.example"))
            await asyncio.sleep(1.0)

    other = asyncio.create_task(lives())
    host.start(lambda now: None)
    await asyncio.gather(*map(host.enter, crowd))
    await until(lambda: registry.drain(host.id, 3_600))
    await until(lambda: sum(bool(phone.hints) for phone in crowd) == 1)

    assert registry.drain(host.id, 0.1)

    await until(lambda: all(phone.hints for phone in crowd))
    other.cancel()
    assert {len(phone.hints) for phone in crowd} == {1}, "nobody is told twice"


async def test_a_push_that_comes_late_is_read_from_the_mailbox_where_blocks_are_seen(host):
    """Its host, or the worker that sent it, was frozen: somebody may have been blocked, and told so, in the meantime."""
    alice = Phone(str(uuid7()))
    host.start(lambda now: None)
    await host.enter(alice)
    await until(lambda: host.layer_is_up)

    def push(seq, taken_at):
        to = [[alice.user, seq, 0]]
        return {"type": "push", "taken_at": taken_at, "texts": ['"kind":"hidden"'], "origins": [None], "to": to}

    layer = get_channel_layer()
    await layer.group_send(group_of(host.id), push(8, clock.now() - LATE_S - 0.5))
    await layer.group_send(group_of(host.id), push(9, clock.now()))
    await until(lambda: alice.entries)

    assert [entry.seq for entry in alice.entries] == [9]
    assert alice.newest == 8
