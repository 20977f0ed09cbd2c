"""Mallory sends whatever she likes; Alice and Bob notice nothing, and neither does the server's log."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random

import orjson
import pytest
import redis
from websockets.exceptions import ConnectionClosed

from delivery.frames import CloseCode
from kernel.limits import UNAUTHENTICATED_SOCKETS
from tests.cast import Cast, until
from tests.fuzz.frames import broken_frames
from tests.fuzz.rawsocket import BROKEN, raw_socket
from tests.strained import complaints, strained_system

FRAMES = 800
SERVER_FRAMES = {"welcome", "entries", "drained", "accepted", "error", "receipts", "read", "typing", "rejected", "pong"}
# With what a broken frame may end a socket: our own codes, and those of RFC 6455 §7.4.1 for broken framing and size.
# 1006: a client too busy to answer our close frame in a second is disconnected, and may then never read it.
CLOSES = {CloseCode.MALFORMED, CloseCode.RATE_LIMITED, 1002, 1003, 1006, 1007, 1009}


@pytest.fixture
def strained():
    """See tests/strained.py. Whatever a test sends: no process dies of it, and none complains."""
    system = strained_system()
    pids = {name: part.pid for name, part in system.parts.items()}
    yield system
    assert {name: part.pid for name, part in system.parts.items()} == pids
    assert complaints(system) == []


@pytest.fixture
async def people(strained):
    async with Cast(strained.url) as cast:
        yield await cast.people("alice", "bob", "mallory")


@pytest.fixture
def codes():
    """Every code of docs/protocol.md §2."""
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    return {line.split("`")[1] for line in page.splitlines() if line.startswith("| `") and line.count("|") == 5}


def load_of(system):
    """How many sockets the web process says that it has."""
    client = redis.Redis.from_url(system.valkey_url)
    facts = [client.hget(key, "facts") for key in client.scan_iter("*:host:*")]
    return sum(orjson.loads(fact)["sockets"] for fact in facts if fact)


async def goes_on(alice, bobs_socket, room):
    """Alice writes to Bob, and he has it."""
    sent = await alice.sends(room, b"hello")
    await bobs_socket.entry("message", id=sent["id"])


async def answered(socket, number):
    """Wait for the answer to a ping; the close code if the socket has ended instead."""
    ref = f"after {number}"
    try:
        await socket.send("ping", ref=ref)
    except ConnectionClosed:
        return await socket.closed()
    await until(
        lambda: socket.close_code is not None or any(f.get("ref") == ref for f in socket.frames if f["type"] == "pong"),
        f"an answer after broken frame {number}",
    )
    return socket.close_code


def check(frames, codes):
    """Whatever the server said is of the protocol, and tells nothing of its inside."""
    for frame in frames:
        assert frame["type"] in SERVER_FRAMES
        assert "Traceback" not in str(frame)
        if frame["type"] == "error":
            assert frame["problem"]["code"] in codes, frame
            assert frame["problem"].keys() >= {"type", "title", "status", "detail"}


async def test_broken_frames_are_answered_or_end_the_socket(strained, people, codes):
    alice, bob, mallory = people
    room = await alice.direct_room(bob)
    playground = await mallory.direct_room(alice)
    target = (await alice.sends(playground, b"hello"))["id"]
    broken = enumerate(broken_frames(Random(1), FRAMES, playground, target))
    closes, errors = Counter(), Counter()

    async with bob.phone.socket() as bobs_socket:
        baseline = await until(lambda: load_of(strained), "the host counts Bob's socket")
        more = True
        while more:
            async with mallory.phone.socket() as socket:
                more = False
                for number, frame in broken:
                    more = True
                    await socket.send_raw(frame)
                    if number % 100 == 0:
                        await goes_on(alice, bobs_socket, room)
                    if (code := await answered(socket, number)) is not None:
                        assert code in CLOSES, (code, frame[:200])
                        closes[code] += 1
                        break
                check(socket.frames, codes)
                errors.update(f["problem"]["code"] for f in socket.frames if f["type"] == "error")
        await goes_on(alice, bobs_socket, room)
        await until(lambda: load_of(strained) == baseline, "Mallory's sockets are gone")

    assert closes[CloseCode.MALFORMED] > 50
    assert closes[1006] < 10
    assert errors["invalid"] > 100
    assert errors["unknown_field"] > 20


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_framing_harms_nobody_else(strained, people, what):
    alice, bob, _ = people
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as bobs_socket, raw_socket(strained.url) as (reader, writer):
        writer.write(BROKEN[what])

        assert b"Traceback" not in await _last_words(reader)
        await goes_on(alice, bobs_socket, room)


async def _last_words(reader):
    """What the server says before it hangs up, which it does in one way or the other."""
    said = b""
    async with asyncio.timeout(15):
        try:
            while some := await reader.read(65536):
                said += some
        except ConnectionResetError:
            pass
    return said


async def test_a_flood_of_hellos_harms_nobody_else(strained, people):
    alice, bob, mallory = people
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as bobs_socket:
        baseline = await until(lambda: load_of(strained), "the host counts Bob's socket")
        async with mallory.phone.socket() as socket:
            for _ in range(500):
                await socket.send("hello", token=mallory.phone.access)
            assert await socket.closed() == CloseCode.MALFORMED

        codes = Counter(await asyncio.gather(*(_hello(mallory, f"{number}.b.c") for number in range(100))))
        assert set(codes) <= {CloseCode.UNAUTHENTICATED, CloseCode.RATE_LIMITED}, codes

        await goes_on(alice, bobs_socket, room)
        await until(lambda: load_of(strained) == baseline, "Mallory's sockets are gone")


async def _hello(mallory, token):
    async with mallory.phone.opened() as socket:
        await socket.send("hello", token=token)
        return await socket.closed()


async def test_who_opens_sockets_and_says_nothing_gets_no_more(strained, people):
    alice, bob, mallory = people
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as bobs_socket, AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(mallory.phone.opened()) for _ in range(UNAUTHENTICATED_SOCKETS + 20)]

        codes = Counter(await asyncio.gather(*(socket.closed() for socket in waiting)))

        assert set(codes) == {CloseCode.HELLO_TIMEOUT, CloseCode.RATE_LIMITED}
        assert codes[CloseCode.HELLO_TIMEOUT] <= UNAUTHENTICATED_SOCKETS
        await goes_on(alice, bobs_socket, room)
    async with mallory.phone.socket():
        pass
