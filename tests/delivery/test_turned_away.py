"""A socket on which a send waits for one that itself waits for the first: it is ended, and the next begins in order."""

import asyncio

import pytest

from chat import sender
from delivery.consumers import SocketConsumer
from delivery.frames import CloseCode, Send
from kernel import rates
from kernel.limits import RATES
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


async def test_a_refused_send_behind_which_a_later_one_was_over_the_rate_ends_the_socket():
    session = FragileSession("intake")
    alice, bob = await asyncio.to_thread(lambda: (person("alice"), person("bob")))
    room = await asyncio.to_thread(direct_room, alice, bob)
    told = []

    async def tell(event):
        told.append(event)

    with depot.intake(session) as intake:
        socket = SocketConsumer()
        socket.user, socket.device = alice.id, alice.devices[0]
        socket._around, socket._send = Around(intake, asyncio.get_running_loop()), tell
        socket._send_rate = rates.Bucket(RATES["send"])
        socket._refused_frame_rate = rates.Bucket(RATES["refused_frame"])
        session.fail((0, "before"), (0, "before"))

        socket._submit(Send([message(room)], "first"))
        while not socket.turned_away:
            socket._submit(Send([message(room) for _ in range(100)], "later"))

        async with asyncio.timeout(10):
            while not any(event["type"] == "websocket.close" for event in told):
                await asyncio.sleep(0.01)
    assert told[-1] == {"type": "websocket.close", "code": CloseCode.RATE_LIMITED}
