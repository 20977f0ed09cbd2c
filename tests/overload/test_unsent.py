"""How much of what was sent is still in the process: the transport's own buffers, on a real socket."""

import socket
from contextlib import suppress
from types import SimpleNamespace

import pytest

from config.sockets import Protocol


@pytest.fixture
def ends():
    mine, his = socket.socketpair()
    mine.setblocking(False)
    with mine, his:
        yield mine, his


def _protocol(end, *, refused=0, unasked=0):
    protocol = Protocol()
    protocol.transport = SimpleNamespace(
        dataBuffer=b"x" * (refused + 5), offset=5, _tempDataLen=unasked, fileno=end.fileno
    )
    return protocol


def _fill(end):
    with suppress(BlockingIOError):
        while True:
            end.send(b"x" * 4_096)


def _empty(end):
    end.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            end.recv(65_536)


def test_a_quick_clients_batch_is_no_backlog(ends):
    assert _protocol(ends[0], unasked=500_000).unsent() == 0


def test_what_the_kernel_refused_counts_and_what_is_behind_it(ends):
    assert _protocol(ends[0], refused=10, unasked=500_000).unsent() == 500_010


def test_what_was_written_counts_once_the_kernel_takes_nothing_even_if_it_has_refused_nothing(ends):
    mine, his = ends
    _fill(mine)
    assert _protocol(mine, unasked=500_000).unsent() == 500_000
    _empty(his)
    assert _protocol(mine, unasked=500_000).unsent() == 0


def test_one_that_is_gone_has_no_backlog(ends):
    mine, _ = ends
    protocol = _protocol(mine, unasked=500_000)
    mine.close()
    assert protocol.unsent() == 0
