"""A hot recipient: much is written to Bob, and his mailbox is slow to be had. Everybody of his worker group waits for it, until he is isolated."""

import asyncio
import threading
import time

import psycopg2

from tests.cast import Cast, until
from tests.queues.commands import queues
from tests.queues.flow import Flow, figures, quantile

CALM_S, HOT_S = 5.0, 4.0
WINDOW_S = 2.0
HELD_S = 0.25
WITHIN_S = 5.0
AFTER_S = WITHIN_S + WINDOW_S + 1.0


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


async def test_isolating_a_hot_recipient_gives_the_others_their_speed_back(private_system):
    system = private_system(web=1, workers=1)
    async with Cast(system.url) as cast:
        # The others' flow ends last, and the hot one's begins first: Bob has a mailbox before it is held.
        async with Flow(cast, 8, 40.0) as others, Flow(cast, 1, 50.0, at_once=5) as hot:
            (bob,) = hot.readers
            await until(lambda: hot.talks[0].got, "Bob's first message")
            calm = await lasting(CALM_S)
            with Hold(system.database_url, bob.id):
                flooded = await lasting(HOT_S)
                said = await queues(system, "isolate", bob.id)
                isolated = await lasting(AFTER_S)
            await lasting(1.0)
            calm_again = await lasting(CALM_S)

    others.check()
    hot.check()
    assert "alone in group 1" in said
    calm_p99 = max(quantile(others.latencies(*span), 0.99) for span in (calm, calm_again))
    hot_p99 = quantile(others.latencies(*flooded), 0.99)
    back = next(
        (
            at / 10
            for at in range(round((AFTER_S - WINDOW_S) * 10))
            if quantile(others.latencies(isolated[0] + at / 10, isolated[0] + at / 10 + WINDOW_S), 0.99) < 2 * calm_p99
        ),
        AFTER_S,
    )
    print(
        f"others, before: {figures(others.latencies(*calm))}; with a hot recipient: {figures(others.latencies(*flooded))}"
    )
    print(
        f"isolated, under twice the p99 of before after {back:.1f} s: {figures(others.latencies(isolated[0] + back, isolated[1]))}"
    )
    print(
        f"calm again: {figures(others.latencies(*calm_again))}; the hot one meanwhile: {figures(hot.latencies(*isolated))}"
    )
    assert hot_p99 > HELD_S / 2
    assert back < WITHIN_S


async def lasting(seconds):
    """Let them write for so long; the span of time."""
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return began, time.monotonic()
