"""A process takes so many sockets, and so many from one address; who is one too many is told so, and room is made by whoever goes."""

import asyncio

import pytest

from tests.cast import Cast, comes_true
from tests.overload.crowd import Deaf

FROM_HERE, IN_ALL = 5, 8


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
