"""A process takes so many sockets, so many from one address and so many of one device; who is one too many is told so."""

import asyncio
import time
from contextlib import AsyncExitStack

import pytest

from kernel.limits import RATES
from tests.cast import Cast, comes_true
from tests.overload.crowd import Deaf

FROM_HERE, IN_ALL, OF_A_DEVICE = 5, 8, 3


@pytest.fixture
def small(private_system):
    return private_system(web=1, environment={"MOST_SOCKETS_PER_ADDRESS": str(FROM_HERE), "MOST_SOCKETS": str(IN_ALL)})


async def test_one_too_many_is_told_so_and_comes_in_when_another_has_gone(small):
    async with Cast(small.url) as cast:
        alice = await cast.person("alice")

        def enter(address):
            return Deaf(small.ws_url, alice.phone.access, address=address)

        def is_let_in(address):
            visitor = enter(address)
            try:
                visitor.welcomed()
            except AssertionError:
                return False
            finally:
                visitor.close()
            return True

        inside = [await asyncio.to_thread(lambda: enter("127.0.0.1").welcomed()) for _ in range(FROM_HERE)]
        code, last = await asyncio.to_thread(enter("127.0.0.1").closed)
        assert (code, last["problem"]["code"], last["problem"]["status"]) == (4429, "rate_limited", 429)
        assert last["problem"]["retry_after"] > 0

        # Elsewhere there is room, until the process itself is full.
        inside += [await asyncio.to_thread(lambda: enter("127.0.0.2").welcomed()) for _ in range(IN_ALL - FROM_HERE)]
        code, last = await asyncio.to_thread(enter("127.0.0.2").closed)
        assert (code, last["problem"]["code"], last["problem"]["status"]) == (4429, "overloaded", 503)

        inside.pop().close()
        await comes_true(lambda: asyncio.to_thread(is_let_in, "127.0.0.2"), "room for one more")
        for visitor in inside:
            visitor.close()


@pytest.fixture
def behind(private_system):
    """As behind a gateway that adds to X-Forwarded-For whom it sees."""
    return private_system(web=1, environment={"MOST_SOCKETS_PER_ADDRESS": str(FROM_HERE), "TRUST_PROXY": "true"})


async def test_behind_a_gateway_nobody_gets_more_by_claiming_addresses_or_by_having_many(behind):
    async with Cast(behind.url) as cast:
        alice = await cast.person("alice")

        def enter(*forwarded):
            return Deaf(behind.ws_url, alice.phone.access, forwarded=", ".join(forwarded))

        def come(addresses):
            """Open as many as one address may have, and one more: how that is refused."""
            inside = [enter(*address).welcomed() for address in addresses[:FROM_HERE]]
            refused = enter(*addresses[FROM_HERE]).closed()
            for visitor in inside:
                visitor.close()
            return refused

        claimed = [(f"198.51.100.{number}", "203.0.113.9") for number in range(FROM_HERE + 1)]
        of_one_network = [(f"2001:db8:1:2::{number + 1}",) for number in range(FROM_HERE + 1)]
        for addresses in (claimed, of_one_network):
            code, last = await asyncio.to_thread(come, addresses)
            assert (code, last["problem"]["code"]) == (4429, "rate_limited")
        others = [await asyncio.to_thread(lambda n=n: enter(f"203.0.113.{n}").welcomed()) for n in range(10, 13)]
        for visitor in others:
            visitor.close()


async def test_of_a_device_with_too_many_the_oldest_goes(private_system):
    """So whoever comes back comes in, though the server does not know yet that the connections before it are dead."""
    system = private_system(web=1, environment={"MOST_SOCKETS_PER_DEVICE": str(OF_A_DEVICE)})
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        laptop = await alice.new_device()
        room = await alice.direct_room(bob)

        def enter(device):
            return Deaf(system.ws_url, device.access).welcomed()

        other = await asyncio.to_thread(enter, laptop)
        oldest, *younger = [await asyncio.to_thread(enter, alice.phone) for _ in range(OF_A_DEVICE)]
        async with alice.phone.socket(url=system.url) as newest:
            code, last = await asyncio.to_thread(oldest.closed)
            assert (code, last["problem"]["code"], last["problem"]["status"]) == (4429, "rate_limited", 429)
            assert last["problem"]["retry_after"] > 0

            sent = await bob.sends(room, b"hello")
            await newest.entry("message", id=sent["id"])
            for visitor in (other, *younger):
                await asyncio.to_thread(visitor.sees, sent["id"])
                visitor.close()


async def test_who_reads_on_and_on_keeps_nobody_from_coming_in(system):
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        rooms = [await alice.direct_room(bob)] + [await cast.group(alice, bob) for _ in range(4)]
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(alice.phone.socket()) for _ in range(10)]
            for _ in range(RATES["frame"].burst // len(rooms)):
                for socket in sockets:
                    for room in rooms:
                        await socket.send("read", room=room, seq=1)

            began = time.monotonic()
            async with bob.phone.socket():
                assert time.monotonic() - began < 2.0
            # And nobody was hung up.
            assert {socket.close_code for socket in sockets} == {None}
