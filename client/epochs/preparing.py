"""What goes on by itself while the device is online: rooms are prepared for what waits in them, and keys are given and looked for."""

import asyncio
import logging
import math
import random
import time
from dataclasses import dataclass, field

from client.connections.syncing import driven
from client.errors import LetterlockError, Refused, SignedOut
from client.protocol.backoff import Backoff
from client.protocol.ids import RoomId
from client.sealer import Sealer
from client.sending import Sender

logger = logging.getLogger("letterlock.client")

AT_ONCE = 4  # rooms; one that the server is slow about does not hold up the others


@dataclass(slots=True)
class _Attempt:
    not_before: float = 0.0
    backoff: Backoff = field(default_factory=Backoff)


class Preparer:
    """Has an epoch got or made for every room in which something waits for one, and the waiting sealed."""

    def __init__(self, sender: Sender, sealer: Sealer) -> None:
        self._sender = sender
        self._sealer = sealer
        self._attempts: dict[RoomId, _Attempt] = {}
        self._limit = asyncio.Semaphore(AT_ONCE)

    async def run(self, online: asyncio.Event) -> None:
        """Until cancelled. Raises SignedOut."""
        await driven(self.step, self._sender.some_unready, online)

    def hurry(self) -> None:
        """Something has changed on which a room may have waited."""
        self._attempts.clear()
        self._sender.some_unready.set()

    async def step(self) -> float:
        """Try each room that is due; in how many seconds one will be."""
        now = time.monotonic()
        waiting = self._sender.unready - self._sender.retried
        self._sender.retried.clear()
        self._attempts = {room: tried for room, tried in self._attempts.items() if room in waiting}
        due = [room for room in self._sender.unready if self._attempt(room).not_before <= now]
        await asyncio.gather(*map(self._one, due))
        now = time.monotonic()
        return min((self._attempt(room).not_before - now for room in self._sender.unready), default=math.inf)

    def _attempt(self, room: RoomId) -> _Attempt:
        return self._attempts.setdefault(room, _Attempt())

    async def _one(self, room: RoomId) -> None:
        async with self._limit:
            while not self._sender.seal_waiting(room):
                if not await self._prepared(room):
                    return
            while room in self._sender.unready and self._sender.seal_waiting(room):
                await asyncio.sleep(0)  # others have their turn between two batches

    async def _prepared(self, room: RoomId) -> bool:
        """One attempt. False when it has failed: for now, or for good, and then what waits in the room has too."""
        attempt = self._attempt(room)
        after = None
        try:
            await self._sealer.prepare(room)
            if self._sealer.epoch(room) is not None:
                return True
        except SignedOut:
            raise
        except Refused as refusal:
            if not refusal.problem.may_retry:
                logger.info("what waits in %s is not sent: %s", room, refusal)
                self._sender.give_up(room, refusal.problem)
                return False
            after = refusal.problem.retry_after
        except LetterlockError as error:  # no answer, one that cannot be read, or NotYet
            logger.info("%s is not prepared: %s", room, error)
        attempt.not_before = time.monotonic() + attempt.backoff.delay(random.random(), after)
        attempt.backoff = attempt.backoff.failed()
        return False
