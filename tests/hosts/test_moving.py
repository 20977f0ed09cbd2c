"""Hosts come and go while people write: nobody loses or doubles anything (docs/protocol.md §4.5)."""

import asyncio
import time

import httpx
import pytest
import redis

from tests.cast import Cast, until
from tests.hosts.conftest import assignment
from tests.hosts.moving import REASSIGNED_S, Crowd, dies_for_good, hosts_are, manage
from tests.services import services


@pytest.fixture(scope="module")
def three():
    """Three hosts. Whoever takes one down puts it back."""
    made = services().system("moving", web=3, workers=1, beat=False)
    yield made
    made.stop()


async def test_a_host_is_drained_while_everybody_writes_and_ends_empty(three, tmp_path):
    async with Crowd(three, tmp_path) as crowd:
        await crowd.comes(pairs=6)
        crowd.write()
        host = max(map(crowd.host_of, ("web-1", "web-2", "web-3")), key=lambda host: len(crowd.at(host)))
        moved = crowd.at(host)
        connects = {person: person.connects for person in crowd.people}
        assert moved

        done = await asyncio.to_thread(manage, three, "hosts", "drain", host, "--seconds", "2")

        assert done.returncode == 0, done.stderr
        assert f"{host} is empty" in done.stdout
        assert crowd.at(host) == []
        await until(lambda: all(person._keeper.host for person in crowd.people))
        # Each was moved once, straight to where it belongs; nobody else was touched.
        assert {person.connects - connects[person] for person in moved} == {1}
        assert {person.connects - connects[person] for person in crowd.people if person not in moved} <= {0}

        listed = (await asyncio.to_thread(manage, three, "hosts")).stdout
        assert [line.split()[-2] for line in listed.splitlines() if host in line] == ["drained"]
        assert (await asyncio.to_thread(manage, three, "hosts", "undrain", host)).returncode == 0
        assert await crowd.ends() > 50


async def test_a_host_that_is_told_to_end_moves_its_users_first(three, tmp_path):
    async with Crowd(three, tmp_path) as crowd:
        await crowd.comes(pairs=6)
        crowd.write()
        part = max(("web-1", "web-2", "web-3"), key=lambda part: len(crowd.at(crowd.host_of(part))))
        moved = crowd.at(crowd.host_of(part))
        connects = {person: person.connects for person in crowd.people}
        assert moved

        began = time.monotonic()
        await asyncio.to_thread(three.stop_part, part)
        took = time.monotonic() - began
        three.start_part(part)

        # Whoever could not be told where to go, because the registry was late, asks the first host, and that may be this one.
        await until(lambda: all(person._keeper.host for person in moved), "everybody has a host", 60.0)
        assert {person.connects - connects[person] for person in moved} == {1}
        assert took < 6
        await asyncio.to_thread(three.wait_ready, part)
        assert await crowd.ends() > 50


async def test_after_kill_9_the_users_of_a_host_are_elsewhere_and_receive_within_seconds(three, tmp_path):
    async with Crowd(three, tmp_path) as crowd:
        await crowd.comes(pairs=6)
        crowd.write()
        # Not the first host: whoever is told to ask it must find it.
        killed = max(("web-2", "web-3"), key=lambda part: len(crowd.at(crowd.host_of(part))))
        host = crowd.host_of(killed)
        orphans = crowd.at(host)
        assert orphans

        began = time.monotonic()
        dies_for_good(three, killed)
        await until(lambda: not crowd.at(host) and all(person._keeper.host for person in orphans), "new hosts")
        connected = time.monotonic() - began
        await crowd.heard(orphans)
        received = time.monotonic() - began

        print(f"\nafter kill -9: connected elsewhere after {connected:.1f} s, all received after {received:.1f} s")
        assert received < REASSIGNED_S
        assert await crowd.ends() > 20
    async with Cast(three.url) as cast:
        people = [await cast.person(f"user{n}") for n in range(6)]
        await hosts_are(three, lambda words: host not in words, "the lease's end")
        assert host not in {(await assignment(person.phone))["host"] for person in people}
    three.start_part(killed)
    await asyncio.to_thread(three.wait_ready, killed)


async def test_all_full_is_said_with_when_to_come_back(private_system):
    system = private_system(web=2, environment={"HOST_CAPACITY": "2"})
    async with Cast(system.url) as cast:
        people = await cast.people("alice", "bob", "carol", "dave")
        places = [(await assignment(person.phone))["host"] for person in people]
        assert sorted(map(places.count, set(places))) == [2, 2]

        mallory = await cast.person("mallory")
        answer = await mallory.phone.http.get("hosts/assignment")

        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        assert int(answer.headers["Retry-After"]) >= 5
        # Who has a place keeps it, and who comes all the same is served.
        assert [(await assignment(person.phone))["host"] for person in people] == places
        async with mallory.phone.socket() as socket:
            assert socket.welcome["host"]


async def test_there_must_be_somewhere_to_move_them(private_system, tmp_path):
    system = private_system(web=1)
    async with Crowd(system, tmp_path) as crowd:
        await crowd.comes(pairs=1)
        host = crowd.host_of("web-1")

        refused = await asyncio.to_thread(manage, system, "hosts", "drain", host)
        unknown = await asyncio.to_thread(manage, system, "hosts", "undrain", "web-9.1")

        assert (refused.returncode, "nowhere" in refused.stderr) == (1, True)
        assert (unknown.returncode, "there is no host web-9.1" in unknown.stderr) == (1, True)
        assert len(crowd.at(host)) == 2


async def test_when_everything_ends_whoever_is_there_is_told_to_take_its_time(private_system):
    system = private_system(web=1)
    async with Cast(system.url) as cast:
        alice = await cast.person("alice")
        async with alice.phone.socket() as socket:
            await asyncio.to_thread(system.stop_part, "web-1")

            hint = await socket.expect("reconnect")
            assert hint["url"] is None
            assert hint["after_ms"] > 0
            assert await socket.closed() == 1012


async def test_a_host_whose_lease_vanished_publishes_again_and_pushes_come(three, tmp_path):
    async with Crowd(three, tmp_path) as crowd:
        await crowd.comes(pairs=3)
        crowd.write()
        client = redis.Redis.from_url(three.valkey_url)
        for pattern in ("*:host:*", "*:users:*", "*:kept:*", "*:hosts"):
            for key in client.scan_iter(pattern):
                client.delete(key)

        for _ in range(3):
            await crowd.heard(crowd.people)
        every = {crowd.host_of(part) for part in ("web-1", "web-2", "web-3")}
        await hosts_are(three, lambda words: every <= words, "all hosts")
        assert await crowd.ends() > 20


async def test_the_command_says_when_the_registry_is_away(private_system):
    system = private_system(web=1)
    await asyncio.to_thread(system.stop_part, "valkey")

    away = await asyncio.to_thread(manage, system, "hosts")

    assert (away.returncode, "the registry is away" in away.stderr) == (2, True)
    # Assignments are a hint: without a registry the first URL serves.
    async with Cast(system.url) as cast:
        alice = await cast.person("alice")
        answer = await alice.phone.http.get("hosts/assignment")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        async with alice.phone.socket() as socket:
            assert socket.welcome["host"]


@pytest.mark.parametrize("verb", [["drain"], ["undrain"], ["drain", "x", "--seconds", "0"]])
def test_nonsense_is_refused(three, verb):
    assert manage(three, "hosts", *verb).returncode != 0


def test_every_host_is_ready_and_says_who_it_is(three):
    names = {httpx.get(f"{url}/readyz", timeout=20).json()["host"] for url in three.urls}
    assert names == {"web-1", "web-2", "web-3"}
