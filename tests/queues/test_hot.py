"""A hot recipient: much is written to Bob, and his mailbox is slow to be had. Everybody of his worker group waits for it, until he is isolated."""

import asyncio
import threading
import time

import psycopg2
import pytest

from delivery.slots import slot_of
from tests.cast import Cast, until
from tests.queues.commands import queues
from tests.queues.flow import Flow, figures, quantile

CALM_S, HOT_S = 20.0, 4.0
WINDOW_S = 2.0
HELD_S = 0.25
WITHIN_S = 5.0
AFTER_S = 10.0
# Of so many sittings, so many must show it.
SITTINGS, GOOD = 3, 2


class Hold(threading.Thread):
    """Locks a mailbox for a while, again and again, as long transactions do."""

    def __init__(self, url, user):
        super().__init__(daemon=True)
        self._url, self._user, self._over = url, user, threading.Event()

    def run(self):
        connection = psycopg2.connect(self._url)
        with connection.cursor() as cursor:
            while not self._over.is_set():
                cursor.execute("SELECT 1 FROM message_log_mailbox WHERE user_id = %s FOR NO KEY UPDATE", (self._user,))
                self._over.wait(HELD_S)
                connection.commit()
                self._over.wait(HELD_S / 25)
        connection.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self.join()


@pytest.fixture
def tell(capsys):
    """Prints a line of figures, also when all is well."""

    def write(line):
        with capsys.disabled():
            print(f"\n  {line}", end="")

    return write


@pytest.mark.timeout(400)
async def test_isolating_a_hot_recipient_gives_the_others_their_speed_back(private_system, tell):
    """Others' p99 is back under twice its baseline within 5 s, counted from when `manage.py queues isolate` is given.

    The others write 40 messages a second, one after the other, to mailboxes that nobody holds; 50 a second go to Bob. The
    *baseline* is the p99 of what the others send in 20 s before anybody holds Bob's mailbox (800 messages). Against it stands
    the p99 of what they send from 5 s after the command on, for 10 s (400 messages). The start of the command's own process is
    within the 5 s, and that of a worker for Bob's new group. What else the machine does must be the same throughout: this runs
    alone, and as four slow messages in 400 are too many, one sitting of three may miss it. When two agree the third is not held.
    """
    was_back = []
    while was_back.count(True) < GOOD and was_back.count(False) <= SITTINGS - GOOD:
        tell(f"sitting {len(was_back) + 1}")
        was_back.append(await is_back_in_a_sitting(private_system(web=1, workers=1), tell))
    assert was_back.count(True) == GOOD, f"the p99 was back in {was_back.count(True)} of {len(was_back)} sittings"


async def is_back_in_a_sitting(system, tell):
    """Whether it was so this time. Nothing may be lost or out of order in any sitting, and each must show the flood.

    Told besides: after how long each two seconds that begin then or later are under twice the baseline. These have
    80 messages, so that is their worst, and no promise. Whose slot is Bob's goes with him, one user in 64: such a reader among
    the others is not counted.
    """
    async with Cast(system.url) as cast:
        # The others' flow ends last, and the hot one's begins first: Bob has a mailbox before it is held.
        async with Flow(cast, 8, 40.0, in_step=False) as others, Flow(cast, 1, 50.0, at_once=5) as hot:
            (bob,) = hot.readers
            await until(lambda: hot.talks[0].got, "Bob's first message")
            calm = await lasting(CALM_S)
            with Hold(system.database_url, bob.id):
                flooded = await lasting(HOT_S)
                given = time.monotonic()
                said = await queues(system, "isolate", bob.id)
                answered = time.monotonic() - given
                await lasting(given + WITHIN_S + AFTER_S - time.monotonic())
    system.stop()

    others.check()
    hot.check()

    def waits(*span):
        return others.latencies(*span, to=lambda reader: slot_of(reader.id) != slot_of(bob.id))

    def p99(*span):
        return quantile(waits(*span), 0.99)

    assert "alone in group 1" in said
    after = (given + WITHIN_S, given + WITHIN_S + AFTER_S)
    baseline = p99(*calm)
    starts = [at / 10 for at in range(round((WITHIN_S + AFTER_S - WINDOW_S) * 10))]
    slow = [at for at in starts if p99(given + at, given + at + WINDOW_S) >= 2 * baseline]
    back = max(slow, default=-0.1) + 0.1
    tell(f"others, before: {figures(waits(*calm))}")
    tell(f"with a hot recipient: {figures(waits(*flooded))}")
    tell(f"from {WITHIN_S:.0f} s after the command: {figures(waits(*after))}; it took {answered:.1f} s itself")
    tell(f"every {WINDOW_S:.0f} s under twice the p99 of before: from {back:.1f} s after the command")
    tell(f"the hot one from then: {figures(hot.latencies(*after))}")
    assert p99(*flooded) > HELD_S / 2
    return p99(*after) < 2 * baseline


async def lasting(seconds):
    """Let them write for so long; the span of time."""
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return began, time.monotonic()
