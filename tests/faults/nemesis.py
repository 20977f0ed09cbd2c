"""What is done to the system while it works, and how long it takes to recover.

*Recovered* means: nothing older than `FRESH_S` is unanswered or undelivered, for `HOLD_S`; as the load is offered at a steady
rate, everything is then accepted and delivered at the full rate again. It is measured from the strike, and from the restart
(the new process, SIGCONT, the broker let go): the second is what is promised.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import psutil

from config.supervisor.system import StartFailed, System
from tests.faults.load import Load

FRESH_S = 2.0
HOLD_S = 0.6
RECOVERED_WITHIN_S = 15.0
GIVE_UP_S = 45.0
LOOK_S = 0.02


@dataclass(slots=True)
class Recovery:
    """One strike. Seconds; `restart` from the strike, `recovery` from the restart, `ready` from the restart until the part reports itself ready."""

    what: str
    part: str
    restart: float
    recovery: float
    slowest: float
    ready: float | None = None


@dataclass
class Nemesis:
    """Strikes a system's parts, one after the other."""

    system: System
    load: Load
    recoveries: list[Recovery] = field(default_factory=list)
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    async def kill(self, part: str, number: int = signal.SIGKILL) -> None:
        """Signal a part; the supervisor starts it again."""

        async def strike() -> float:
            before = self.system.parts[part].started_at
            self.system.kill(part, number)
            return await self._until(lambda: self.system.parts[part].started_at > before, f"{part} started again")

        await self._strike(f"{_name(number)} {_kind(part)}", part, strike)

    async def kill_backend(self) -> None:
        """kill -9 of one of PostgreSQL's sessions: the postmaster ends all others and recovers; its own process stays."""

        async def strike() -> float:
            postmaster = psutil.Process(self.system.parts["postgres"].pid)
            backends = [child for child in postmaster.children() if "letterlock intake" in " ".join(child.cmdline())]
            os.kill((backends or postmaster.children())[0].pid, signal.SIGKILL)
            return time.monotonic()

        await self._strike("kill -9 a PostgreSQL session", "postgres", strike)

    async def freeze(self, part: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""

        async def strike() -> float:
            self.system.freeze(part)
            await asyncio.sleep(seconds)
            self.system.thaw(part)
            return time.monotonic()

        await self._strike(f"SIGSTOP {seconds:.0f} s {_kind(part)}", part, strike)

    async def _strike(self, what: str, part: str, strike: Callable[[], Awaitable[float]]) -> None:
        struck = time.monotonic()
        restarted = await strike()
        slowest = self.load.oldest()
        fresh_since: float | None = None
        while fresh_since is None or time.monotonic() - fresh_since < HOLD_S:
            now, oldest = time.monotonic(), self.load.oldest()
            slowest = max(slowest, oldest)
            fresh_since = None if oldest > FRESH_S else fresh_since or now
            assert now - restarted < GIVE_UP_S, f"{what} ({part}): not recovered {now - restarted:.0f} s after the restart"
            await asyncio.sleep(LOOK_S)
        recovery = Recovery(what, part, restarted - struck, max(0.0, fresh_since - restarted), slowest)
        self.recoveries.append(recovery)
        self._watches.append(asyncio.create_task(self._watch(recovery, part, restarted)))

    async def _watch(self, recovery: Recovery, part: str, restarted: float) -> None:
        """Note when the part reports itself ready; the next strike need not wait for that."""
        try:
            await asyncio.to_thread(self.system.wait_ready, part, GIVE_UP_S)
        except StartFailed:
            return
        recovery.ready = time.monotonic() - restarted

    async def settle(self) -> None:
        """Wait until all parts that were struck are ready."""
        await asyncio.gather(*self._watches)

    async def _until(self, true: Callable[[], bool], what: str) -> float:
        deadline = time.monotonic() + GIVE_UP_S
        while not true():
            assert time.monotonic() < deadline, f"not within {GIVE_UP_S:.0f} s: {what}"
            await asyncio.sleep(LOOK_S)
        return time.monotonic()


def _name(number: int) -> str:
    return "kill -9" if number == signal.SIGKILL else signal.Signals(number).name


def _kind(part: str) -> str:
    return {"web": "a web process", "worker": "a worker", "valkey": "Valkey", "postgres": "PostgreSQL"}[part.split("-")[0]]
