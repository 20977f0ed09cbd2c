"""The system with its hosts registered in a real ZooKeeper (docs/operations.md)."""

import asyncio
import time
from statistics import median

import pytest

from delivery.host import COMPARE_S
from delivery.registry import RegistryAway
from delivery.registry.zookeeper import ZooKeeperRegistry
from kernel.ids import uuid7
from tests.cast import until
from tests.hosts import zookeeper
from tests.hosts.moving import Crowd, dies_for_good, hosts_are, manage
from tests.hosts.registries import facts, wait_until
from tests.services import services

pytestmark = zookeeper.needed


@pytest.fixture
def own_server():
    """A ZooKeeper to stop and start."""
    server = zookeeper.Server(services().folder / f"zookeeper-{uuid7()}")
    server.start()
    yield server
    server.stop()


async def test_hosts_live_drain_and_die_in_zookeeper(private_system, tmp_path):
    url = zookeeper.server().url(f"/system-{uuid7()}")
    system = private_system(web=3, environment={"REGISTRY_URL": url})
    async with Crowd(system, tmp_path) as crowd:
        await crowd.comes(pairs=6)
        crowd.write()
        await crowd.heard(crowd.people)
        listed = (await asyncio.to_thread(manage, system, "hosts")).stdout
        assert all(crowd.host_of(part) in listed for part in ("web-1", "web-2", "web-3"))

        drained, killed = sorted(("web-2", "web-3"), key=lambda part: len(crowd.at(crowd.host_of(part))))
        done = await asyncio.to_thread(manage, system, "hosts", "drain", crowd.host_of(drained), "--seconds", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert crowd.at(crowd.host_of(drained)) == []
        await asyncio.to_thread(manage, system, "hosts", "undrain", crowd.host_of(drained))

        host = crowd.host_of(killed)
        orphans = crowd.at(host)
        assert orphans
        began = time.monotonic()
        dies_for_good(system, killed)
        await until(lambda: not crowd.at(host) and all(person._keeper.host for person in orphans), "new hosts")
        await crowd.heard(orphans)
        received = time.monotonic() - began
        print(f"\nZooKeeper, after kill -9: all received after {received:.1f} s")
        assert received < 5
        await hosts_are(system, lambda words: host not in words, "the session's end")
        assert await crowd.ends() > 50


async def test_people_talk_on_while_zookeeper_is_away_and_hosts_come_back_to_it(private_system, tmp_path, own_server):
    system = private_system(web=2, environment={"REGISTRY_URL": own_server.url("/letterlock")})
    async with Crowd(system, tmp_path) as crowd:
        await crowd.comes(pairs=2)
        crowd.write()
        await crowd.heard(crowd.people)
        own_server.stop()
        # Longer than any session lives without a server: the hosts' sessions are lost.
        away = await asyncio.to_thread(manage, system, "hosts")
        assert (away.returncode, "the registry is away" in away.stderr) == (2, True)
        took = [await crowd.heard(crowd.people) for _ in range(8)]
        print(
            f"\nwithout ZooKeeper: everybody hears something new within {max(took):.2f} s, {median(took):.2f} s mostly"
        )
        # By pushes: what hosts find by looking is up to COMPARE_S late.
        assert median(took) < COMPARE_S / 4

        await asyncio.to_thread(own_server.start)

        both = {crowd.host_of("web-1"), crowd.host_of("web-2")}
        await hosts_are(system, lambda words: both <= words, "both hosts")
        await crowd.heard(crowd.people)
        assert await crowd.ends() > 20


def test_a_host_whose_session_expired_registers_anew(own_server):
    registry, other = (ZooKeeperRegistry(own_server.url("/expiry")) for _ in range(2))
    alice = str(uuid7())
    try:
        registry.renew("web-1.1", facts())
        registry.route("web-1.1", add=[alice])
        assert other.holding(["web-1.1"], [alice]) == {"web-1.1": {alice}}

        zookeeper.expire(registry._session._zk)

        assert other.hosts() == []
        assert other.holding(["web-1.1"], [alice]) == {"web-1.1": set()}
        assert not registry.renew("web-1.1", facts()).was_known
        registry.route("web-1.1", add=[alice])
        assert registry.renew("web-1.1", facts()).was_known
        assert other.holding(["web-1.1"], [alice]) == {"web-1.1": {alice}}
    finally:
        registry.close()
        other.close()


def test_what_is_kept_in_memory_follows_what_others_write(own_server):
    registry, other = (ZooKeeperRegistry(own_server.url("/cache")) for _ in range(2))
    users = [str(uuid7()) for _ in range(300)]
    try:
        registry.renew("web-1.1", facts())
        for n, user in enumerate(users):
            assert other.holding(["web-1.1"], [user]) == {"web-1.1": set()}
            registry.route("web-1.1", add=[user])
            deadline = time.monotonic() + 5
            while other.holding(["web-1.1"], [user]) != {"web-1.1": {user}}:
                assert time.monotonic() < deadline, f"user {n}"
        registry.route("web-1.1", remove=users)
        deadline = time.monotonic() + 5
        while other.holding(["web-1.1"], users)["web-1.1"]:
            assert time.monotonic() < deadline
    finally:
        registry.close()
        other.close()


def test_while_nobody_can_be_asked_users_are_where_they_were_last(own_server):
    """Pushes go on to the hosts that held them, and to every host for whoever was not asked for yet."""
    registry, other = (ZooKeeperRegistry(own_server.url("/last-known")) for _ in range(2))
    alice, bob, carol = (str(uuid7()) for _ in range(3))
    try:
        for n, user in ((1, alice), (2, bob)):
            registry.renew(f"web-{n}.{n}", facts())
            registry.route(f"web-{n}.{n}", add=[user])
        hosts = other.hosts()
        assert other.holding(hosts, [alice, bob]) == {"web-1.1": {alice}, "web-2.2": {bob}}

        own_server.stop()
        wait_until(lambda: not other._session._zk.connected)

        assert other.holding(hosts, [alice, bob]) == {"web-1.1": {alice}, "web-2.2": {bob}}
        assert other.holding(hosts, [alice, carol]) == {"web-1.1": {alice, carol}, "web-2.2": {carol}}
    finally:
        registry.close()
        other.close()


def test_who_was_sent_without_an_answer_is_forgotten_like_everybody_else(own_server, monkeypatch):
    """The step was made, and its answer was lost: whoever did not come does not count for the host for ever."""
    monkeypatch.setattr("delivery.registry.zookeeper.COUNTED_S", 0.0)
    registry = ZooKeeperRegistry(own_server.url("/unanswered"))
    try:
        registry.renew("web-1.1", facts())
        together = registry._session.together

        def unanswered(plan):
            assert together(plan)
            raise RegistryAway

        with monkeypatch.context() as lost:
            lost.setattr(registry._session, "together", unanswered)
            with pytest.raises(RegistryAway):
                registry.assign(str(uuid7()))
        with zookeeper.client(own_server.url("/unanswered")) as looking:
            assert len(looking.get_children("/unanswered/sent/web-1.1")) == 1
            registry.renew("web-1.1", facts())
            wait_until(lambda: not looking.get_children("/unanswered/sent/web-1.1"))
    finally:
        registry.close()


def test_without_a_server_nobody_waits_for_long():
    registry = ZooKeeperRegistry("zookeeper://127.0.0.1:1/nobody")
    try:
        began = time.monotonic()
        for _ in range(20):
            with pytest.raises(RegistryAway):
                registry.assign(str(uuid7()))
        assert time.monotonic() - began < 6
    finally:
        registry.close()
