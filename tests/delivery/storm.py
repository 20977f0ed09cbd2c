"""Everybody works at once, each in a thread, for a while: people who send, drains, and whoever ends sessions at random."""

import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg2
from django.db import connections

from delivery.drainer import Drainer
from tests.delivery import depot
from tests.delivery.depot import Lane, message
from tests.delivery.stage import Stage

OF_THE_PATH = "application_name IN ('letterlock intake', 'letterlock drain')"


class Storm:
    """`over` is set when the time is up, and by the first mistake."""

    def __init__(self, stage: Stage) -> None:
        self.over = threading.Event()
        self._stage = stage
        self._problems: list[Exception] = []

    def rages(self, seconds: float, work: Sequence[tuple[Callable[..., None], *tuple[Any, ...]]]) -> None:
        """All of this at once: functions with their arguments, each of which goes on until it is over."""
        threads = [threading.Thread(target=self._guarded, args=each) for each in work]
        for thread in threads:
            thread.start()
        self.over.wait(seconds)
        self.over.set()
        for thread in threads:
            thread.join()
        assert not self._problems

    def _guarded(self, act: Callable[..., None], *args: Any) -> None:
        try:
            act(*args)
        except Exception as error:
            self._problems.append(error)
            self.over.set()
        finally:
            connections.close_all()

    # --- what there is to do ---------------------------------------------------------------------------------------------

    def speak(self, who: Any, device: str, intake: Any) -> None:
        """Send, in one's rooms, and note it in the stage's ledger."""
        lane = Lane(intake, who.id, device)
        theirs = self._stage.rooms_of(who)
        while not self.over.is_set():
            where = random.choice(theirs)
            drafts = [message(where) for _ in range(random.randint(1, 20))]
            lane.insists(*drafts, tries=500)
            self._stage.ledger.sent[device, where] += [draft["id"] for draft in drafts]

    def drain(self, group: int, skip_locked: bool) -> None:
        """A worker of this group, or with `skip_locked` a sweeper."""
        drainer = Drainer("drain", [group], skip_locked=skip_locked)
        while not self.over.is_set():
            try:
                drainer.drain(seconds=0.2)
            except psycopg2.OperationalError:
                continue
        drainer.close()

    def end_sessions(self, which: str = OF_THE_PATH) -> None:
        """One of them every now and then."""
        while not self.over.wait(random.uniform(0.02, 0.1)):
            for (pid,) in depot.query(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
                f" AND ({which}) ORDER BY random() LIMIT 1"
            ):
                depot.query("SELECT pg_terminate_backend(%s)", pid)
