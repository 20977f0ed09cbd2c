"""The host assigner on a running system: three web processes, each a host with a URL of its own."""

import asyncio
from collections import Counter
from math import ceil

import pytest

from tests.cast import comes_true, ok
from tests.hosts.conftest import as_service, assignment, named


def url_of(hosts, state_id):
    return hosts.urls[int(state_id.partition(".")[0].removeprefix("web-")) - 1]


async def test_every_host_answers_the_same_and_the_answer_is_where_it_says(hosts, crowd):
    alice = (await crowd.person("alice")).phone

    first = await assignment(alice)

    assert first["url"] == url_of(hosts, first["host"])
    assert [await assignment(alice, url) for url in hosts.urls] == [first] * 3
    async with alice.socket(url=first["url"]) as socket:
        assert socket.welcome["host"] == first["host"]
        assert await assignment(alice) == first
    assert await assignment(alice) == first


async def test_all_devices_of_a_user_belong_together_even_when_they_ask_at_once(hosts, crowd):
    alice = await crowd.person("alice")
    devices = [alice.phone, await alice.new_device("laptop"), await alice.new_device("tablet")]

    asked = [assignment(device, url) for device in devices for url in hosts.urls]

    assert len({answer["host"] for answer in await asyncio.gather(*asked)}) == 1


async def test_no_host_gets_more_than_its_share(hosts, crowd):
    people = [await crowd.person(f"user{n}") for n in range(24)]

    held = Counter([(await assignment(person.phone))["host"] for person in people])

    # Others have users there too, who count; the bound is about all of them, so a little more than of these alone.
    assert len(held) == 3
    assert max(held.values()) <= ceil(1.25 * 24 / 3) + 4


async def test_who_connects_elsewhere_is_served_and_belongs_there(hosts, crowd):
    alice, bob = await crowd.people("alice", "bob")
    sent = await assignment(alice.phone)
    elsewhere = next(url for url in hosts.urls if url != sent["url"])
    laptop = await alice.new_device()

    async with alice.phone.socket(url=elsewhere) as socket:
        room = await bob.direct_room(alice)
        message = await bob.sends(room, b"hello")
        await socket.entry("message", id=message["id"])

        async def belongs_there():
            return await assignment(laptop) == {"url": elsewhere, "host": socket.welcome["host"]}

        # What a host could not say because the registry was late, it says with its next renewal.
        await comes_true(belongs_there, "her other devices are sent where she is")


class TestBackends:
    async def test_a_backend_hears_of_any_user(self, hosts, crowd):
        alice = await crowd.person("alice")

        with as_service(hosts.url) as backend:
            told = await named(lambda: asyncio.to_thread(backend.get, f"hosts/users/{alice.id}"))

        assert told == await assignment(alice.phone)

    async def test_a_backend_hears_where_the_members_of_any_room_are(self, hosts, crowd):
        alice, bob, carol, dave = await crowd.people("alice", "bob", "carol", "dave")
        room = await crowd.group(alice, bob, carol, dave)
        async with (
            alice.phone.socket(url=hosts.urls[0]) as one,
            bob.phone.socket(url=hosts.urls[0]),
            carol.phone.socket(url=hosts.urls[2]) as three,
        ):
            places = {
                one.welcome["host"]: (hosts.urls[0], {alice.id, bob.id}),
                three.welcome["host"]: (hosts.urls[2], {carol.id}),
            }

            async def all_are_told():
                with as_service(hosts.urls[1]) as backend:
                    answer = backend.get(f"hosts/rooms/{room}")
                if answer.status_code == 503:
                    return False
                told = ok(answer)
                users = {place["host"]: (place["url"], set(place["users"])) for place in told["hosts"]}
                return users == places and told["away"] == [dave.id]

            # What a host could not say because the registry was late, it says with its next renewal.
            await comes_true(all_are_told, "where everybody is")

    @pytest.mark.parametrize("path", ["hosts/users/", "hosts/rooms/"])
    async def test_who_and_what_is_not_there_is_not_found(self, hosts, path):
        with as_service(hosts.url) as backend:
            ok(backend.get(path + "019ab0c4-0000-7000-8000-000000000001"), 404)

    async def test_nobody_else_is_told(self, hosts, crowd):
        mallory, alice = await crowd.people("mallory", "alice")
        room = await mallory.direct_room(alice)
        for token in ("", mallory.phone.access, "another token", "ü"):
            for path in (f"hosts/users/{alice.id}", f"hosts/rooms/{room}"):
                header = {"Authorization": f"Bearer {token}".encode()} if token else {}
                answer = await crowd.http().get(path, headers=header)
                assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), token

    async def test_without_the_setting_nobody_is_told_at_all(self, system, cast):
        alice = await cast.person("alice")
        for token in ("None", "null", alice.phone.access):
            with as_service(system.url, token) as backend:
                ok(backend.get(f"hosts/users/{alice.id}"), 401)

    async def test_the_token_of_backends_opens_nothing_else(self, hosts):
        with as_service(hosts.url) as backend:
            for path in ("account", "rooms", "hosts/assignment"):
                ok(backend.get(path), 401)


async def test_the_figures_of_every_host_are_told(hosts, crowd):
    alice = await crowd.person("alice")
    async with alice.phone.socket(url=hosts.urls[1]) as socket:
        host = socket.welcome["host"]

        async def sockets():
            text = (await crowd.http().get(f"{hosts.url}/metrics")).text
            figures = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("letterlock_"))
            # While Valkey is late, which it may be on a busy machine, nothing is known of hosts.
            if float(figures["letterlock_registry_up"]) == 0:
                return 0
            assert float(figures[f'letterlock_host_draining{{host="{host}"}}']) == 0
            assert float(figures[f'letterlock_host_capacity_users{{host="{host}"}}']) == 0
            assert float(figures[f'letterlock_host_users{{host="{host}"}}']) >= 1
            return float(figures[f'letterlock_host_sockets{{host="{host}"}}'])

        # A host says how many it has when it renews its lease.
        async with asyncio.timeout(10):
            while not await sockets():
                await asyncio.sleep(0.1)
