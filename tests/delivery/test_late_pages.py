"""A page that was read before a block, and comes after it was answered, shows nothing that the block hides."""

import time
from types import SimpleNamespace

import orjson
import pytest

from delivery.consumers import SocketConsumer
from delivery.host import LATE_S
from delivery.outgoing import Outgoing
from delivery.session import ReadPage, Session
from kernel.entries import Entry

SHOWN, HIDDEN = '"kind":"message","body":"from mallory"', '"kind":"hidden"'


class Readers:
    """Answers pages one after the other: each with how many seconds ago it was read."""

    def __init__(self, *answers):
        self._answers = list(answers)

    async def run(self, fn, user, asked):
        age, text = self._answers.pop(0)
        return time.monotonic() - age, [Entry(1, text, None)]


@pytest.fixture
def alice():
    """Her socket, which lacks one entry; what it was told is in `told`."""
    socket = SocketConsumer()
    socket.told = []

    async def tell(event):
        socket.told.append(orjson.loads(event["text"]))

    socket.user, socket._out = "alice", Outgoing(tell, int)
    socket._session = Session(acknowledged=0, newest=1, delivered=0)
    return socket


@pytest.mark.parametrize(
    ("answers", "shown"),
    [
        ([(0.1, SHOWN)], "message"),
        # The process was frozen between the reading and this line, and mallory is blocked since.
        ([(LATE_S + 1, SHOWN), (0.1, HIDDEN)], "hidden"),
        # However slow reading is, it gets on.
        ([(LATE_S + 1, SHOWN), (LATE_S + 1, SHOWN)], "message"),
    ],
    ids=["in time", "late", "late again"],
)
async def test_a_page_that_comes_late_is_read_once_more(alice, answers, shown):
    alice._around = SimpleNamespace(readers=Readers(*answers))
    (asked,) = [effect for effect in alice._session.opened() if isinstance(effect, ReadPage)]

    await alice._page(asked)
    await alice._out.flush()

    assert [entry["kind"] for frame in alice.told if frame["type"] == "entries" for entry in frame["entries"]] == [
        shown
    ]
