"""What a socket is told first is true, whatever comes while it is being looked up."""

import time
from uuid import UUID

import orjson
import pytest

from delivery import frames
from delivery.consumers import SocketConsumer
from delivery.outgoing import Outgoing
from kernel.entries import Entry
from kernel.ids import uuid7


class Around:
    """What a socket needs of its process to be welcomed. While its positions are on their way, `meanwhile` happens to it."""

    id = "web-1"

    def __init__(self, meanwhile):
        self.host = self.services = self.readers = self
        self.user, self.device = UUID(str(uuid7())), UUID(str(uuid7()))
        self.pages = []
        self._meanwhile = meanwhile
        self._is_welcomed = False

    def verify(self, token):
        return self.user, self.device

    async def welcome(self, **_):
        pass

    async def enter(self, socket):
        self.socket = socket

    async def run(self, fn, *args):
        if fn.__name__ == "positions":
            self._meanwhile(self.socket)
            return 0, 0, 0
        self.pages.append(args)
        return time.monotonic(), []


@pytest.mark.parametrize(
    "meanwhile",
    [lambda socket: socket.pushed([Entry(1, '"kind":"hidden"', None)]), lambda socket: socket.known(1)],
    ids=["pushed", "compared"],
)
async def test_what_is_heard_of_between_the_look_at_the_mailbox_and_the_welcome_is_not_forgotten(meanwhile):
    told = []

    async def tell(event):
        told.append(orjson.loads(event["text"]))

    socket = SocketConsumer()
    socket._around, socket._out = Around(meanwhile), Outgoing(tell, int)

    await socket._welcome(frames.Hello("token", "test", "1"))

    assert [frame["type"] for frame in told] == ["welcome"], "it is not drained"
    assert told[0]["last_seq"] == 1
