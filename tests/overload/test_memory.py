"""What is kept for clients that do not read is little: with 2 000 of them and one that floods, a process grows by at most 200 MiB.

In `make test` it is 300 of them, as much for each, and what one that floods may cost; `make faults` has all 2 000, and 200 MiB for
everything. The figure stands at the end of the run.
"""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from delivery.frames import CloseCode
from kernel.limits import BODY_BYTES
from tests.cast import Cast
from tests.metrics.scrape import Scrape, scraped
from tests.overload.crowd import Crowd, Deaf

IS_FULL = bool(os.environ.get("FAULT_ROUNDS"))
EACH = 50
PEOPLE = 40 if IS_FULL else 6
FLOOD_S = 15.0
# What waits to be committed, and what is made of it for PostgreSQL and for 50 sockets meanwhile: 73 MiB were measured.
FLOODER_BYTES = 90 * 2**20
DEAF_BYTES = 200 * 2**20 * PEOPLE * EACH // 2_000
MOST_BYTES = 200 * 2**20 if IS_FULL else DEAF_BYTES + FLOODER_BYTES
# More than the window, and more than the kernel takes for one socket.
FLOOD = 1_500 if IS_FULL else 1_000


async def _warm_up(system, alice, bob):
    """What a process keeps once it has worked at all does not count."""
    room = await alice.direct_room(bob)
    async with alice.phone.socket(url=system.url) as mine, bob.phone.socket(url=system.url) as his:
        for _ in range(10):
            await mine.sends(*(alice.phone.message(room, b"x" * 200) for _ in range(100)))
        await his.messages(1_000, patience_s=60)


@pytest.mark.timeout(900)
async def test_a_process_grows_little_with_a_crowd_that_never_reads_while_one_floods(private_system, figure):
    system = private_system(web=1, environment={"MOST_SOCKETS_PER_DEVICE": str(EACH)})
    web = psutil.Process(system.parts["web-1"].pid)
    async with Cast(system.url) as cast:
        crowd = await cast.people(*(f"deaf{number}" for number in range(PEOPLE)))
        alice, bob, mallory = await cast.people("alice", "bob", "mallory")
        await _warm_up(system, alice, bob)
        room, theirs = await cast.group(alice, bob, *crowd), await mallory.direct_room(crowd[0])

        def say_one(flooder):
            flooder.say({"type": "send", "messages": [mallory.phone.message(theirs, b"x" * BODY_BYTES)]})

        doors = Crowd(system.ws_url, [person.phone.access for person in crowd], EACH)
        await asyncio.to_thread(doors.__enter__)
        try:
            # What an open socket itself costs is W4 of the bench.
            before = web.memory_info().rss
            watching = asyncio.create_task(_most(web))
            async with alice.phone.socket(url=system.url) as mine, bob.phone.socket(url=system.url) as his:
                for _ in range(FLOOD // 100):
                    await mine.sends(*(alice.phone.message(room, b"x" * 200) for _ in range(100)))
                # Whoever reads is served as ever.
                await his.messages(FLOOD, patience_s=300)
                await asyncio.sleep(4)
                watching.cancel()
                with_deaf = await watching - before
                watching = asyncio.create_task(_most(web))
                # The largest that she may send, as fast as she can, whatever she is answered.
                flooding = asyncio.create_task(_flood(system.ws_url, mallory.phone.access, say_one, seconds=FLOOD_S))
                await mine.sends(*(alice.phone.message(room, b"x" * 200) for _ in range(100)))
                await his.messages(100, patience_s=300)
                lasted = await flooding
                watching.cancel()
                most = await watching
        finally:
            doors.__exit__()
    grown = most - before
    figure(
        f"{doors.size} sockets that never read while {FLOOD} messages came, and one that floods for {lasted:.0f} s: "
        f"a web process grew by {grown / 2**20:.0f} MiB, {grown / doors.size / 1024:.0f} KiB each ({MOST_BYTES / 2**20:.0f} MiB at most)"
    )
    assert with_deaf <= DEAF_BYTES, f"{with_deaf / 2**20:.0f} MiB"
    assert grown <= MOST_BYTES, f"{grown / 2**20:.0f} MiB"
    assert not Path(system.parts["web-1"].log).read_text().count("Traceback")


async def _most(process):
    """The most memory that the process has had, in bytes, until this is cancelled."""
    most = 0
    with suppress(asyncio.CancelledError):
        while True:
            most = max(most, process.memory_info().rss)
            await asyncio.sleep(0.05)
    return most


async def _flood(url, token, say_one, seconds=60.0):
    """Say this until it is no longer taken, for so long at most, and read nothing; the seconds until then."""
    flooder = await asyncio.to_thread(lambda: Deaf(url, token).welcomed())
    # A crowd may keep it waiting for its welcome; once it is in, what is not taken for so long is not taken any more.
    flooder.waits(3.0)
    begun = time.monotonic()

    def say():
        with suppress(OSError):
            while time.monotonic() < begun + seconds:
                say_one(flooder)
        flooder.close()

    await asyncio.to_thread(say)
    return time.monotonic() - begun


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("rates", "say_one"),
    [
        ("1", lambda flooder: flooder.say({"type": "ping", "ref": "x" * 60})),
        # A number that was never sent is answered by an error.
        ("1", lambda flooder: flooder.say({"type": "ack", "seq": 10**9, "ref": "x" * 60})),
        # Those are answered before anything of ours sees them.
        ("1", lambda flooder: flooder.ping()),
        # Under no rate to speak of, only what lies there unread ends it.
        ("1000", lambda flooder: flooder.say({"type": "ack", "seq": 10**9, "ref": "x" * 60})),
    ],
    ids=["asking", "acknowledging", "pinging", "without rates"],
)
async def test_who_asks_on_and_on_and_reads_no_answer_is_hung_up(private_system, rates, say_one):
    system = private_system(web=1, environment={"RATE_SCALE": rates})
    web = psutil.Process(system.parts["web-1"].pid)
    async with Cast(system.url) as cast:
        alice, bob, mallory = await cast.people("alice", "bob", "mallory")
        await _warm_up(system, alice, bob)
        before = web.memory_info().rss
        for again in range(1, 4):
            lasted = await _flood(system.ws_url, mallory.phone.access, say_one)
            assert lasted < 30, f"flood {again} was borne for {lasted:.0f} s"
            # Neither what is asked nor what is answered piles up, however often it is done.
            grown = web.memory_info().rss - before
            print(f"flood {again}: hung up after {lasted:.1f} s, {grown / 2**20:.1f} MiB")
            assert grown < 10 * 2**20, f"{grown / 2**20:.0f} MiB after flood {again}"
        async with mallory.phone.socket(url=system.url) as socket:
            await socket.send("ping")
            await socket.expect("pong")
        # By whichever came first.
        codes = f"code={int(CloseCode.TOO_SLOW)}", f"code={int(CloseCode.RATE_LIMITED)}"
        closed = "letterlock_sockets_closed_total"
        await scraped(system.url, lambda now: sum(now[closed, code] for code in codes) == 3)


@pytest.mark.timeout(300)
async def test_who_says_goodbye_and_does_not_read_the_rest_is_gone_soon(private_system):
    system = private_system(web=1)
    async with Cast(system.url) as cast:
        mallory = await cast.person("mallory")
        leaver = await asyncio.to_thread(lambda: Deaf(system.ws_url, mallory.phone.access).welcomed())

        def fill():
            held = -1
            while (now := leaver.stuck()) > held or now < 10_000:
                held = now
                for _ in range(300):
                    leaver.say({"type": "ack", "seq": 10**9})
                # All of it is looked at before the process answers anybody else.
                httpx.get(f"{system.url}/livez")

        await asyncio.to_thread(fill)
        assert Scrape.of(system.url)["letterlock_sockets_open"] == 1
        await asyncio.to_thread(leaver.leave)
        await scraped(system.url, lambda now: now["letterlock_sockets_open"] == 0)
        leaver.close()
