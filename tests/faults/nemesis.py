"""What is done to the system while it works, and how long it takes to recover.

*Recovered* means: nothing older than `FRESH_S` is unanswered or undelivered, for `HOLD_S`; as the load is offered at a steady
rate, everything is then accepted and delivered at the full rate again. It is measured from the strike, and from the restart
(the new process, SIGCONT, the broker let go): the second is what is promised.
"""

import asyncio
import math
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import psycopg2

from config.supervisor.system import StartFailed, System
from tests.faults.load import Load

FRESH_S = 1.5
HOLD_S = 1.6  # longer than FRESH_S: an outage that began with the strike has shown itself by then
RECOVERED_WITHIN_S = 15.0
# So many threads for each core want to run when the system starts parts under this load and has two cores to itself.
OWN_CROWD = 2.0
GIVE_UP_S = 90.0
LOOK_S = 0.02


@dataclass(slots=True)
class Recovery:
    """One strike. Seconds; `restart` from the strike, `recovery` from the restart, `ready` from the restart until the part reports itself ready."""

    what: str
    restart: float
    recovery: float = math.inf
    slowest: float = 0.0
    crowd: float = 0.0
    ready: float | None = None

    @property
    def is_in_time(self) -> bool:
        """Within the 15 s that are promised; within more, in proportion, when the cores were overrun by other programs."""
        within = RECOVERED_WITHIN_S * max(1.0, self.crowd / OWN_CROWD)
        return max(self.recovery, self.ready or 0.0) <= within


@dataclass
class Nemesis:
    """Strikes a system's parts, one after the other."""

    system: System
    load: Load
    # A worker counts as ready when it has reached the broker; without one, only its deliveries are looked at.
    broker_is_there: bool = True
    recoveries: list[Recovery] = field(default_factory=list)
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    async def kill(self, *parts: str) -> None:
        """kill -9; the supervisor starts again what dies. Several parts die together."""
        await self._strike(f"kill -9 {_kinds(parts)}", parts, lambda: self._signal(parts, signal.SIGKILL))

    async def term(self, *parts: str) -> None:
        """SIGTERM from somebody else than the supervisor, which starts again what ends."""
        await self._strike(f"SIGTERM {_kinds(parts)}", parts, lambda: self._signal(parts, signal.SIGTERM))

    async def _signal(self, parts: Sequence[str], number: int) -> float:
        before = {part: self.system.parts[part].started_at for part in parts}
        for part in parts:
            self.system.kill(part, number)
        return await self._until(
            lambda: all(self.system.parts[part].started_at > at for part, at in before.items()), f"{parts} started again"
        )

    async def kill_backend(self) -> None:
        """kill -9 of one of PostgreSQL's sessions: the postmaster ends all others and recovers; its own process stays."""

        async def strike() -> float:
            with closing(psycopg2.connect(self.system.database_url)) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'letterlock intake' LIMIT 1")
                (pid,) = cursor.fetchone() or (None,)
            assert pid, "no web process has a session"
            os.kill(pid, signal.SIGKILL)
            return time.monotonic()

        await self._strike("kill -9 a PostgreSQL session", ["postgres"], strike)

    async def freeze(self, part: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""

        async def strike() -> float:
            self.system.freeze(part)
            await asyncio.sleep(seconds)
            self.system.thaw(part)
            return time.monotonic()

        await self._strike(f"SIGSTOP {seconds:.0f} s {_kinds([part])}", [part], strike)

    async def _strike(self, what: str, parts: Sequence[str], strike: Callable[[], Awaitable[float]]) -> None:
        struck = time.monotonic()
        self.load.is_struck = True
        restarted = await strike()
        recovery = Recovery(what, restart=restarted - struck)
        self.recoveries.append(recovery)
        if self.broker_is_there:
            self._watches.append(asyncio.create_task(self._watch(recovery, parts, restarted)))
        fresh_since: float | None = None
        while fresh_since is None or time.monotonic() - fresh_since < HOLD_S:
            now, oldest = time.monotonic(), self.load.oldest()
            recovery.slowest = max(recovery.slowest, oldest)
            fresh_since = None if oldest > FRESH_S else fresh_since or now
            assert now - restarted < GIVE_UP_S, f"{what} {parts}: not recovered after {GIVE_UP_S:.0f} s; {self.load.unsettled()}"
            await asyncio.sleep(LOOK_S)
        recovery.recovery = max(0.0, fresh_since - restarted)
        recovery.crowd = self.load.crowd(struck, time.monotonic())
        self.load.is_struck = False

    async def _watch(self, recovery: Recovery, parts: Sequence[str], restarted: float) -> None:
        """Note when the parts report themselves ready; the next strike need not wait for that."""
        try:
            for part in parts:
                await asyncio.to_thread(self.system.wait_ready, part, GIVE_UP_S)
            recovery.ready = time.monotonic() - restarted
        except StartFailed:
            recovery.ready = math.inf

    async def settle(self) -> None:
        """Wait until all parts that were struck are ready."""
        await asyncio.gather(*self._watches)

    async def _until(self, true: Callable[[], bool], what: str) -> float:
        deadline = time.monotonic() + GIVE_UP_S
        while not true():
            assert time.monotonic() < deadline, f"not within {GIVE_UP_S:.0f} s: {what}"
            await asyncio.sleep(LOOK_S)
        return time.monotonic()


def _kinds(parts: Sequence[str]) -> str:
    names = {"web": "a web process", "worker": "a worker", "valkey": "Valkey", "postgres": "PostgreSQL"}
    return " and ".join(names[part.split("-")[0]] for part in parts)
