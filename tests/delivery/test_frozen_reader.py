"""A drain that is frozen while its answer is under way holds its queue's lock; the sweeper frees it."""

import os
import socket
import time

import pytest

from delivery.drain import end_unread
from kernel.database import connect

pytestmark = pytest.mark.usefixtures("depot")


def test_a_session_whose_client_reads_nothing_is_ended_and_its_lock_is_free():
    frozen, other = connect("drain 0"), connect("sweeper", lock_timeout="100")
    # A client that is frozen: it has asked for more than the socket holds, and reads none of it.
    with frozen.cursor() as cursor:
        cursor.execute("BEGIN; SELECT name FROM delivery_queue ORDER BY name FOR UPDATE")
    with socket.socket(fileno=os.dup(frozen.fileno())) as wire:
        question = b"SELECT repeat('x', 1000) FROM generate_series(1, 100000)\0"
        wire.sendall(b"Q" + (len(question) + 4).to_bytes(4, "big") + question)

        deadline = time.monotonic() + 10
        ended = 0
        while not ended:
            assert time.monotonic() < deadline
            with other.cursor() as cursor:
                ended = end_unread(cursor, seconds=1)

    with other.cursor() as cursor:
        deadline = time.monotonic() + 5
        free = False
        while not free:
            assert time.monotonic() < deadline
            cursor.execute("BEGIN; SELECT name FROM delivery_queue FOR UPDATE SKIP LOCKED")
            free = len(cursor.fetchall()) > 0
            cursor.execute("ROLLBACK")
    other.close()
