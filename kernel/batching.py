"""A committer: one thread that takes everything that has arrived since its last commit and does it in one transaction.

No timer: an idle system commits at once, a busy one forms batches by itself. What a batch is, the owner says (`Work`).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

Item = TypeVar("Item")


class Stopped(Exception):
    """Nothing is committed any more: the process is ending."""


class Committer(threading.Thread, Generic[Item]):
    """Hands batches of items, in order of arrival, to `commit`, which must answer every item and not raise.

    `waiting` and `weight` are how many items wait or are being committed, and the sum of what `weigh` says of them. A batch
    has `most` items and weighs `heaviest`, or is one item that weighs more.
    """

    def __init__(
        self,
        name: str,
        commit: Callable[[Sequence[Item]], None],
        *,
        most: int = 500,
        weigh: Callable[[Item], int] = lambda _: 1,
        heaviest: int = 2**62,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._commit = commit
        self._weigh = weigh
        self._heaviest = heaviest
        self._most = most
        self._condition = threading.Condition()
        self._items: list[Item] = []
        self._soon: float | None = None
        self._stopping = False
        self.waiting = self.weight = 0

    def add(self, items: Sequence[Item]) -> None:
        """Commit these as soon as may be. Items added by one thread are committed in the order in which it added them.

        Raises `Stopped` after `stop`: nobody would ever answer them.
        """
        with self._condition:
            if self._stopping:
                raise Stopped
            self._items.extend(items)
            self.waiting += len(items)
            self.weight += sum(map(self._weigh, items))
            self._condition.notify()

    def poke(self) -> None:
        """There is other work for `commit`: call it, even with no items."""
        with self._condition:
            self._soon = 0.0
            self._condition.notify()

    def run(self) -> None:
        """Commit until stopped, and then what is left."""
        while True:
            with self._condition:
                while not self._items and self._soon is None and not self._stopping:
                    self._condition.wait()
                if self._stopping and not self._items and self._soon is None:
                    return
                self._soon = None
                end = self._end_of_batch()
                batch, self._items = self._items[:end], self._items[end:]
            try:
                self._commit(batch)
            except Exception:
                logger.exception("a committer's batch failed outside its own care")
            finally:
                with self._condition:
                    self.waiting -= len(batch)
                    self.weight -= sum(map(self._weigh, batch))

    def _end_of_batch(self) -> int:
        weight = 0
        for place, item in enumerate(self._items[: self._most]):
            weight += self._weigh(item)
            if place and weight > self._heaviest:
                return place
        return self._most

    def stop(self, timeout: float) -> None:
        """Commit what has arrived, then end; waits at most `timeout` seconds."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self.is_alive():
            self.join(timeout)
