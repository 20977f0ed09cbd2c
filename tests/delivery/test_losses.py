"""Valkey holds hints only: what is lost there is found in the mailboxes. On a system of its own, with real rates."""

import asyncio
import time
from contextlib import suppress

import pytest
import redis
from websockets.exceptions import ConnectionClosed

from delivery.frames import CloseCode
from kernel.limits import RATES
from tests.cast import Cast, until
from tests.services import services


@pytest.fixture(scope="module")
def own():
    """Two web processes and a worker, on servers of their own, with the rates of the table."""
    system = services().system("losses", web=2, beat=False, environment={"RATE_SCALE": "1"})
    yield system
    system.stop()


@pytest.fixture
async def cast(own):
    async with Cast(own.url) as made:
        yield made


@pytest.fixture
def valkey(own):
    client = redis.Redis.from_url(own.valkey_url)
    yield client
    client.close()


def forget(valkey, *patterns):
    for pattern in patterns:
        for key in valkey.keys(f"letterlock:{pattern}"):
            valkey.delete(key)


async def talk(device, socket, room, count=1):
    """Send over the socket; how long each took until another device of the other side has it is up to the caller."""
    drafts = [device.message(room, b"hello") for _ in range(count)]
    await socket.sends(*drafts)
    return [draft["id"] for draft in drafts]


async def reaches(socket, id, patience_s):
    """Seconds until this message is on that socket."""
    began = time.monotonic()
    await socket.entry("message", patience_s=patience_s, id=id)
    return time.monotonic() - began


@pytest.mark.parametrize("what", ["everything", "routes", "leases", "flags"])
async def test_what_is_wiped_is_made_good(cast, own, valkey, what):
    """Delivery goes on while hints are gone, within about two seconds for what was pushed into the void."""
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with alice.phone.socket(url=own.urls[0]) as mine, bob.phone.socket(url=own.urls[1]) as his:
        (first,) = await talk(alice.phone, mine, room)
        await reaches(his, first, 5)
        for _ in range(3):
            match what:
                case "everything":
                    valkey.flushall()
                case "routes":
                    forget(valkey, "users:*")
                case "leases":
                    forget(valkey, "host:*", "hosts")
                case "flags":
                    # "A drain is scheduled", and none is.
                    valkey.set("letterlock:drain:0", "1", px=10_000)
            (id,) = await talk(alice.phone, mine, room)
            assert await reaches(his, id, 8) < 3.5
        seqs = [entry["seq"] for entry in his.entries]
        assert seqs == list(range(1, 6))


async def test_without_valkey_messages_are_taken_and_delivered(cast, own):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with alice.phone.socket(url=own.urls[0]) as mine, bob.phone.socket(url=own.urls[1]) as his:
        own.stop_part("valkey")
        try:
            for _ in range(3):
                (id,) = await talk(alice.phone, mine, room)
                await reaches(his, id, 10)
            laptop = await bob.new_device()
            async with laptop.socket(url=own.urls[1]) as later:
                await later.messages(3)
        finally:
            own.start_part("valkey")
            await asyncio.to_thread(own.wait_ready, "valkey")
        (id,) = await talk(alice.phone, mine, room)
        await reaches(his, id, 10)
        assert [entry["seq"] for entry in his.entries] == list(range(1, 6))

        async with asyncio.timeout(30):
            while True:
                # Once the layer is back, pushes are quick again.
                (id,) = await talk(alice.phone, mine, room)
                if await reaches(his, id, 10) < 0.3:
                    break


async def test_too_many_frames_are_refused_and_the_socket_stays(cast):
    alice = await cast.person("alice")
    async with alice.phone.socket() as socket:
        for _ in range(RATES["frame"].burst * 5):
            await socket.send("ping")
            if any(frame["type"] == "error" for frame in socket.frames):
                break
        refused = await socket.expect("error")
        assert refused["problem"]["code"] == "rate_limited"
        assert 0 < refused["problem"]["retry_after"] < 5

        # Those that were on the way take the tokens that come in until they have all been answered.
        answer = refused
        while answer["type"] == "error":
            await asyncio.sleep(answer["problem"]["retry_after"])
            await socket.send("ping", ref="last")
            while (answer := await socket.expect("pong", "error")).get("ref") != "last":
                pass


async def test_who_goes_on_over_the_rate_is_hung_up(cast):
    alice = await cast.person("alice")
    async with alice.phone.socket() as socket:
        with suppress(ConnectionClosed):
            # However many it takes: on a busy machine tokens come in meanwhile. Not faster than they are answered, since who
            # is hung up with much unread gets no close frame.
            for sent in range(60_000):
                await socket.send("ping")
                if sent % 1_000 == 0:
                    await until(lambda answers=sent: len(socket.frames) >= answers or socket.close_code is not None)
        assert await socket.closed() == CloseCode.RATE_LIMITED


async def test_too_many_sends_are_refused_and_keep_their_order(cast):
    alice, bob = await cast.people("alice", "bob")
    room, other = await alice.direct_room(bob), await cast.group(alice, bob)
    burst = RATES["send"].burst
    async with alice.phone.socket() as mine, bob.phone.socket() as his:
        drafts = [alice.phone.message(room, b"hello") for _ in range(burst + 300)]
        for start in range(0, len(drafts), 100):
            await mine.send("send", messages=drafts[start : start + 100])
        accepted, refused = set(), {}
        while len(accepted) + len(refused) < len(drafts):
            frame = await mine.expect("accepted", "error")
            if frame["type"] == "accepted":
                accepted |= {message["id"] for message in frame["messages"]}
            else:
                refused[frame["problem"]["id"]] = frame["problem"]
        kept = [draft["id"] for draft in drafts if draft["id"] in accepted]
        assert kept == [draft["id"] for draft in drafts[: len(kept)]], "a later one was accepted before an earlier one"
        assert {problem["code"] for problem in refused.values()} <= {"rate_limited", "earlier_send_refused"}
        assert all(problem["retry_after"] > 0 for problem in refused.values())

        await asyncio.sleep(2.5)
        await mine.sends(alice.phone.message(other, b"elsewhere"))
        rest = drafts[len(kept) :]
        await mine.send("send", messages=[rest[1]])
        late = await mine.expect("error")
        assert (late["problem"]["code"], late["problem"]["waits_for"]) == ("earlier_send_refused", rest[0]["id"])
        for start in range(0, len(rest), 100):
            await asyncio.sleep(1.1)
            await mine.sends(*rest[start : start + 100])
        await his.messages(len(drafts) + 1, patience_s=20)
        got = [entry["id"] for entry in his.entries if entry["kind"] == "message" and entry["room"] == room]
        assert got == [draft["id"] for draft in drafts]


async def test_too_many_posts_are_told_when_to_come_back(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    posts = [
        {"messages": [alice.phone.message(room, b"hello") for _ in range(100)]}
        for _ in range(RATES["send"].burst // 100 + 5)
    ]
    # At once: one after the other, what is allowed again meanwhile may be more than what is sent.
    answers = await asyncio.gather(*(alice.phone.http.post("messages", json=post) for post in posts))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
        assert int(answer.headers["Retry-After"]) >= 1
