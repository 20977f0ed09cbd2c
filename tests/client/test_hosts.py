"""The client goes where the server sends it (docs/protocol.md §4.5)."""

import time

import pytest

from client import Client, State
from client.hosts import HostFinder
from tests.cast import ok, until
from tests.client.conftest import has, live
from tests.client.plain import Plain
from tests.client.script import scripted, signed_in_store
from tests.hosts.conftest import as_service, hosts, three_hosts  # noqa: F401


@pytest.fixture
async def script():
    async with scripted() as script:
        yield script


@pytest.fixture
async def other():
    async with scripted() as other:
        yield other


@pytest.fixture
async def bob(script, tmp_path):
    async with Client(script.url, signed_in_store(tmp_path / "bob.db"), sealer=Plain()) as client:
        client.connect()
        yield client


async def test_it_goes_to_the_host_that_is_named(script, other, bob):
    first = await script.socket()
    await first.welcomes()
    await first.says("reconnect", url=other.url, after_ms=300)

    second = await other.socket()
    await second.welcomes()
    await second.says("drained", seq=0)
    await bob.caught_up()
    assert bob.connects == 2


async def test_until_it_goes_it_uses_the_socket_as_ever(script, other, bob):
    first = await script.socket()
    await first.welcomes(last_seq=1)
    await first.says("reconnect", url=other.url, after_ms=600_000)
    (id_,) = bob.queue("019ab0c4-0000-7000-8000-000000000001", b"hi")
    await first.accepts(*(await first.hears("send"))["messages"])

    assert (await bob.accepted(id_)).accepted_at == 1
    assert bob.connects == 1


async def test_what_was_under_way_goes_again_on_the_new_socket(script, other, bob):
    first = await script.socket()
    await first.welcomes()
    (id_,) = bob.queue("019ab0c4-0000-7000-8000-000000000001", b"hi")
    sent = (await first.hears("send"))["messages"]
    await first.says("reconnect", url=other.url, after_ms=0)

    second = await other.socket()
    await second.welcomes()
    assert (await second.hears("send"))["messages"] == sent
    await second.accepts(*sent)
    assert (await bob.accepted(id_)).id == id_


async def test_hung_up_before_its_time_it_still_goes_where_it_was_sent(script, other, bob):
    first = await script.socket()
    await first.welcomes()
    await first.says("reconnect", url=other.url, after_ms=400)
    await first.hangs_up(1012)

    await (await other.socket()).welcomes()


async def test_hung_up_it_still_waits_for_the_rest_of_its_time(script, other, bob):
    # The chance that all of 30 s come to less than 2 is one in fifteen for each; nobody is that lucky eight times.
    waited = 0
    for _ in range(8):
        socket = await script.socket()
        await socket.welcomes()
        await socket.says("reconnect", url=other.url, after_ms=30_000)
        await socket.says("drained", seq=0)
        await bob.caught_up()
        await socket.hangs_up(1012)
        await until(lambda: bob.state is State.OFFLINE)
        move = bob._keeper._move
        waited = max(waited, move.at - time.monotonic())
        bob.hurry()
        peer = await other.socket()
        await peer.welcomes()
        await peer.hangs_up(1012)
        await until(lambda: bob.state is State.OFFLINE)
        bob.hurry()
    assert waited > 2


async def test_a_host_that_cannot_be_reached_is_left_for_the_first_url(script, bob):
    first = await script.socket()
    await first.welcomes()
    await first.says("reconnect", url="http://127.0.0.1:1", after_ms=0)

    second = await script.socket()
    await second.welcomes()
    assert bob.connects == 2


async def test_without_a_name_it_asks_again(script, bob):
    first = await script.socket()
    await first.welcomes()
    await first.says("reconnect", url=None, after_ms=100)

    await (await script.socket()).welcomes()


@pytest.mark.parametrize(
    ("named", "followed"),
    [
        ("https://two.example/", "https://two.example"),
        ("https://chat.example/hosts/web-2", "https://chat.example/hosts/web-2"),
        ("http://two.example", None),
        ("ftp://two.example", None),
        (7, None),
    ],
)
def test_after_tls_only_tls_is_followed(named, followed):
    assert HostFinder("https://chat.example", None).accepted(named) == followed


@pytest.mark.parametrize("first", range(3))
async def test_it_connects_where_it_is_assigned_whatever_its_first_url(hosts, people, first):  # noqa: F811
    people.urls = iter([hosts.urls[first], hosts.urls[(first + 1) % 3]])
    alice = await people.person("alice")
    laptop = await live(await people.another_device(alice))

    with as_service(hosts.url) as backend:
        place = ok(backend.get(f"hosts/users/{alice.me.user}"))
    assert {client._keeper.host for client in (alice, laptop)} == {place["host"]}


async def test_people_on_different_hosts_talk(hosts, people):  # noqa: F811
    people.urls = iter(hosts.urls * 3)
    group = [await people.person(f"user{n}") for n in range(6)]
    room = await group[0].create_group([person.me.user for person in group[1:]])
    for n, person in enumerate(group):
        await person.send(room.id, b"%d" % n)

    assert len({person._keeper.host for person in group}) > 1
    for person in group:
        await has(person, room.id, *(b"%d" % n for n in range(6)))
