"""A block that comes at a bad moment, from a server that says what a test tells it to."""

import sqlite3

import pytest

from client import Blocked, Client, EntryHidden
from client.protocol.answers import Member, Room
from client.protocol.ids import RoomId
from client.store import Store
from client.store.database import SCHEMA
from tests.cast import until
from tests.client.address_book import relation, wire
from tests.client.plain import Plain
from tests.client.script import BOB, scripted, signed_in_store
from tests.client.test_connection import ALICE, ROOM


@pytest.fixture
async def script():
    async with scripted() as script:
        yield script


@pytest.fixture
def store(tmp_path):
    path = signed_in_store(tmp_path / "bob.db")
    store = Store(path)
    store.rooms.put(
        Room(RoomId(ROOM), "direct", 1, 0, (Member(ALICE, "alice", "member"), Member(BOB, "bob", "member")))
    )
    store.close()
    return path


@pytest.fixture
async def bob(script, store):
    async with Client(script.url, store, sealer=Plain()) as client:
        client.connect()
        yield client


def blocks_him(seq, version=1, **members):
    members = {"blocked_by": True} | members
    return {
        "seq": seq,
        "kind": "connection",
        "version": version,
        "connection": wire(relation(ALICE, version, **members)),
    }


async def begins(script):
    socket = await script.socket()
    await socket.welcomes(last_seq=0)
    return socket


async def test_the_answer_of_what_is_on_the_way_still_counts(script, bob):
    socket = await begins(script)
    one, two = bob.queue(ROOM, b"one", b"two")
    first, second = (await socket.hears("send"))["messages"]
    await socket.says("entries", entries=[blocks_him(1)])
    assert (await socket.hears("ack"))["seq"] == 1

    await socket.accepts(first)
    assert (await bob.accepted(one)).id == one
    await socket.refuses(second, "unavailable", 503)

    await until(lambda: bob.failed())
    assert [(id_, problem.code, problem.more["by"]) for id_, _, _, problem in bob.failed()] == [
        (two, "blocked", "peer")
    ]
    # The server would wait for the second on this socket for ever: a new one makes it forget that.
    again = await script.socket()
    await again.welcomes(acknowledged=1, last_seq=1)
    await again.says("entries", entries=[blocks_him(2, version=2, blocked_by=False)])
    assert (await again.hears("ack"))["seq"] == 2
    (three,) = bob.queue(ROOM, b"three")
    assert [message["id"] for message in (await again.hears("send"))["messages"]] == [three]


async def test_one_that_was_accepted_before_the_break_counts_as_accepted(script, bob):
    socket = await begins(script)
    (one,) = bob.queue(ROOM, b"one")
    sent = (await socket.hears("send"))["messages"][0]
    await socket.says("entries", entries=[blocks_him(1)])
    await socket.hears("ack")
    await socket.hangs_up(1012)
    await until(lambda: bob.failed())
    with pytest.raises(Blocked):
        await bob.accepted(one)

    again = await script.socket()
    await again.welcomes(acknowledged=1, last_seq=2)
    entry = {name: sent[name] for name in ("id", "room", "sender", "sent_at", "alg", "epoch", "ciphertext")}
    more = {"seq": 2, "kind": "message", "device": bob.me.device, "recipient": ALICE, "accepted_at": 7}
    await again.says("entries", entries=[entry | more | {"delivered": False, "read": False}])
    await again.hears("ack")

    assert bob.failed() == []
    assert (await bob.accepted(one)).accepted_at == 7


async def test_a_rejection_may_come_before_its_message(script, bob):
    socket = await begins(script)
    message = {
        "id": "019ab0c4-0000-7000-8000-000000000b01", "room": ROOM, "sender": BOB, "device": bob.me.device,
    }  # fmt: skip
    rejection = {"seq": 1, "kind": "rejection", "message": message["id"], "room": ROOM, "sender": BOB}
    rejection |= {"device": bob.me.device, "by": ALICE, "reason": "blocked", "status": 403}
    more = {
        "seq": 2, "kind": "message", "recipient": ALICE, "sent_at": 1, "accepted_at": 1, "alg": "opaque.v1", "epoch": 0,
        "ciphertext": "aGk", "delivered": False, "read": False,
    }  # fmt: skip
    await socket.says("entries", entries=[rejection])
    await socket.says("entries", entries=[message | more])
    await until(lambda: bob.stored == 2)

    (shown,) = bob.messages(ROOM)
    assert (shown.refused, shown.reason) == (True, "blocked")


async def test_without_the_check_it_writes_to_whom_it_likes(script, store):
    async with Client(script.url, store, sealer=Plain(), enforce_blocks=False) as mallory:
        mallory.connect()
        socket = await begins(script)
        await socket.says("entries", entries=[blocks_him(1)])
        await socket.hears("ack")

        (id_,) = mallory.queue(ROOM, b"let me in")

        assert [message["id"] for message in (await socket.hears("send"))["messages"]] == [id_]


def test_a_store_of_the_version_before_gets_the_tables(tmp_path):
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as old:
        old.executescript(SCHEMA + "PRAGMA user_version = 1;")
        old.execute("INSERT INTO entries VALUES (1, 'connection', NULL, NULL, NULL)")
    old.close()

    store = Store(path)
    assert store.connections.all(None, "") == []
    assert store.connections.apply(relation())
    store.close()
    again = Client("http://127.0.0.1:9", path, sealer=Plain())
    assert again.mailbox() == [EntryHidden(1)]
    again._store.close()
