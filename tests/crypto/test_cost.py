"""What cryptography costs this client, in CPU time of this thread: medians, so that others on the machine do not matter.

The bounds are some three times what one core of 2023 needs: they catch a key that is derived for every message, or a
document that is verified twice, and not a slow morning.
"""

import statistics
import time

import pytest

from client.crypto import epochs, messages, userkeys
from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import read
from tests.crypto.people import MESSAGE, NOW_S, ROOM, SENT_AT, epoch_key, person, text

ALICE, BOB = person("alice"), person("bob")


@pytest.fixture
def measured(capsys):
    """Call something again and again; print and return its median, in seconds."""

    def measure(name, call, times=500):
        call()
        took = []
        for _ in range(times):
            began = time.thread_time_ns()
            call()
            took.append(time.thread_time_ns() - began)
        median = statistics.median(took) / 1e9
        with capsys.disabled():
            print(f"\n  {name}: median {median * 1e6:,.0f} µs of {times}", end="")
        return median

    return measure


def test_sealing_a_text(measured):
    key, payload = epoch_key(), text("a" * 120)

    assert measured("seal 120 B", lambda: messages.seal(key, ALICE.user, ALICE.device, ALICE.signer, payload)) < 150e-6


def test_opening_a_text(measured):
    key, payload = epoch_key(), text("a" * 120)
    sealed = messages.seal(key, ALICE.user, ALICE.device, ALICE.signer, payload)

    def open_it():
        messages.open(key, ALICE.user, ALICE.device, ALICE.public, sealed, id=MESSAGE, sent_at=SENT_AT)

    assert measured("open 120 B", open_it) < 400e-6


def test_an_epoch_for_a_thousand(measured):
    members = [
        userkeys.first(
            f"0192f1aa-0000-7000-8000-{number:012x}",
            ALICE.keys.identity,
            EncryptionKey.fresh(1).announced,
            ALICE.keys.devices[0],
        ).sign(ALICE.identity)
        for number in range(1000)
    ]

    def create():
        epochs.create(ROOM, 1, b"", ALICE.user, ALICE.device, ALICE.signer, members, NOW_S).json(1)

    assert measured("epoch for 1 000", create, times=5) < 0.5


def test_opening_a_wrap(measured):
    made = epochs.create(ROOM, 1, b"", ALICE.user, ALICE.device, ALICE.signer, [ALICE.keys, BOB.keys], NOW_S)
    envelope, wrap = made.record.json(), made.wraps[BOB.user]

    def restore():
        record = epochs.read(envelope, room=ROOM, epoch=1, creator=ALICE.user, device=ALICE.device, public=ALICE.public)
        epochs.open_wrap(record, wrap, BOB.user, BOB.encryption)

    assert measured("read and unwrap an epoch", restore) < 1e-3


def test_reading_a_document(measured):
    envelope = ALICE.keys.json()

    assert measured("verify a userkeys document", lambda: read(envelope, ALICE.user)) < 1e-3
