"""A socket on which a send waits for one that itself waits for the first: it is ended, and the next begins in order."""

import asyncio
import json
import time
from contextlib import asynccontextmanager

import pytest

from chat import sender
from delivery.consumers import SocketConsumer
from delivery.frames import CloseCode, Send
from delivery.lane import TURNED_AWAY_ROOMS
from delivery.outgoing import Outgoing
from kernel import rates
from kernel.ids import uuid7
from kernel.limits import RATES, Rate
from tests.delivery import depot
from tests.delivery.depot import FragileSession, direct_room, message, person

pytestmark = pytest.mark.usefixtures("depot")


class Around:
    """What a socket needs of its process to send: the real intake, on this event loop."""

    def __init__(self, intake, loop):
        self.services = self
        self._intake, self._loop = intake, loop

    def submit(self, messages, *, user, device, lane, ref):
        return sender.submit(self._intake, messages, user=user, device=device, lane=lane, ref=ref)

    def call_soon(self, callback):
        self._loop.call_soon_threadsafe(callback)


@asynccontextmanager
async def sending(session):
    """Alice's socket and her room with Bob; what the socket is told is in `socket.told`."""
    alice, bob = await asyncio.to_thread(lambda: (person("alice"), person("bob")))
    room = await asyncio.to_thread(direct_room, alice, bob)

    async def tell(event):
        socket.told.append(event)

    with depot.intake(session) as intake:
        socket = SocketConsumer()
        socket.told = []
        socket.user, socket.device = alice.id, alice.devices[0]
        socket._around = Around(intake, asyncio.get_running_loop())
        socket._out = Outgoing(tell, int)
        socket._send_rate = rates.Bucket(RATES["send"])
        socket._refused_frame_rate = rates.Bucket(RATES["refused_frame"])
        yield socket, room


async def told(socket, kind):
    """Every frame of this type that the socket was told, once there is one."""
    async with asyncio.timeout(10):
        while True:
            await socket.flush()
            frames = [json.loads(event["text"]) for event in socket.told if event["type"] == "websocket.send"]
            if found := [frame for frame in frames if frame["type"] == kind]:
                return found
            await asyncio.sleep(0.01)


async def test_a_refused_send_behind_which_a_later_one_was_over_the_rate_ends_the_socket():
    session = FragileSession("intake")
    async with sending(session) as (socket, room):
        session.fail((0, "before"), (0, "before"))

        socket._submit(Send([message(room)], "first"))
        while not socket.turned_away:
            socket._submit(Send([message(room) for _ in range(100)], "later"))

        async with asyncio.timeout(10):
            while not any(event["type"] == "websocket.close" for event in socket.told):
                await asyncio.sleep(0.01)
    assert socket.told[-1] == {"type": "websocket.close", "code": CloseCode.RATE_LIMITED}


@pytest.mark.parametrize("broken", [{"id": "abc"}, {"id": 7}, {"room": "x"}])
async def test_nobody_waits_for_a_send_over_the_rate_that_can_never_be_repeated(broken):
    async with sending(FragileSession("intake")) as (socket, room):
        socket._send_rate = rates.Bucket(Rate(burst=1, per_second=0.001))
        socket._send_rate.take(1, time.monotonic())
        socket._submit(Send([message(room) | broken], "broken"))
        (refused,) = await told(socket, "error")
        assert refused["problem"]["code"] == "rate_limited"
        assert ("id" in refused["problem"]) == ("id" not in broken)
        socket._send_rate = rates.Bucket(RATES["send"])

        good = message(room)
        socket._submit(Send([good], "good"))

        ((accepted,),) = [frame["messages"] for frame in await told(socket, "accepted")]
        assert accepted["id"] == good["id"]
        assert not socket.turned_away


async def test_a_socket_whose_sends_wait_in_too_many_rooms_is_ended():
    """While nothing can be stored every send is refused before its room is looked at: a client may name any number of rooms."""
    session = FragileSession("intake")
    async with sending(session) as (socket, room):
        socket._send_rate = rates.Bucket(Rate(burst=10_000, per_second=1))
        session.fail(*[(0, "before")] * 1_000)
        for _ in range(TURNED_AWAY_ROOMS // 100 + 1):
            socket._submit(Send([message(room) | {"room": str(uuid7())} for _ in range(100)], "anywhere"))

        async with asyncio.timeout(10):
            while not any(event["type"] == "websocket.close" for event in socket.told):
                await asyncio.sleep(0.01)
    assert socket.told[-1] == {"type": "websocket.close", "code": CloseCode.RATE_LIMITED}
