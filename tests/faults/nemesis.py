"""What is done to the system while it works, and how long it takes to recover.

*Recovered* means: nothing older than `fresh_s` is unanswered or undelivered, for `HOLD_S`; as the load is offered at a steady
rate, everything is then accepted and delivered at the full rate again. For what dies it counts from the strike, whether or not
it has been started again when all is well; for what is held up or away it counts from the moment it is let go.

While something is held up or cut off, it is watched as well: what does not need it must go on (watch.py).
"""

import asyncio
import math
import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from signal import SIGINT, SIGKILL, SIGTERM
from urllib.parse import urlsplit

import psycopg2
import redis

from config.supervisor.system import StartFailed
from tests.faults.backoff import LONGEST_BACK_OFF_S
from tests.faults.load import Load
from tests.faults.phone import Post
from tests.faults.recovery import Recovery, Strike
from tests.faults.site import SERVERS, Site
from tests.faults.watch import FRESH_S, FRESH_WITHOUT_PUSHES_S, LOOK_S, TAKEN_OVER_S, Watch

HOLD_S = 1.6  # longer than FRESH_S: an outage that began with the strike has shown itself by then
SETTLE_S = 1.0  # from the moment a part goes until whoever needs it has noticed
# From the moment the layer goes deaf until hosts, whose beats do not come back, look into the mailboxes every second.
NOTICED_S = 5.0
# What is accepted, of what is offered, while a host is frozen or cut off: half of the devices have nothing to do with it, and a
# third of the others wait longer than it lasts.
WITHOUT_A_HOST = 0.5
GIVE_UP_S = 90.0
CUT_OFF_S = 1.0
# By how much a clock is set wrong.
OFF_S = 600

NAMES = {
    "web": "a web process",
    "worker": "a worker",
    "beat": "beat",
    "valkey": "Valkey",
    "postgres": "PostgreSQL",
    "broker": "the broker",
}
# What is promised, in seconds (docs/faults.md). Of several at once, the longest.
WITHIN = {"web": 5.0, "worker": 2.0, "beat": 2.0, "valkey": 10.0, "postgres": 10.0, "broker": 2.0}
# While such a part is frozen: how old anything may become, and what of the sends must be accepted. PostgreSQL's word is needed for all.
WHILE_FROZEN = {
    "web": (math.inf, WITHOUT_A_HOST),
    "worker": (FRESH_S, 0.8),
    "beat": (FRESH_S, 0.8),
    "valkey": (FRESH_WITHOUT_PUSHES_S, 0.8),
    "postgres": (math.inf, 0.0),
    "broker": (FRESH_S, 0.8),
}
# What lasts is over for a client when it tries again, which its back-off decides (docs/protocol.md §4.4), up to its longest …
AT_LAST_S = LONGEST_BACK_OFF_S + 5.0


@dataclass
class Nemesis:
    """Knows how to strike the parts of a site, and does it (`strike`); `recoveries` says how it went."""

    site: Site
    load: Load
    recoveries: list[Recovery] = field(default_factory=list)
    # A worker counts as ready when it has reached the broker; while that is away on purpose, nobody waits for it.
    is_waiting_for_parts: bool = True
    fresh_s: float = FRESH_S
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = Watch(self.load)

    # --- what dies ---------------------------------------------------------------------------------------------------------

    def kill(self, *parts: str) -> Strike:
        """kill -9; what dies is started again. Several parts die together."""
        return self._end(f"kill -9 {_kinds(parts)}", parts, SIGKILL)

    def term(self, *parts: str) -> Strike:
        """SIGTERM from somebody else than the supervisor, which starts again what ends."""
        return self._end(f"SIGTERM {_kinds(parts)}", parts, SIGTERM)

    def _end(self, what: str, parts: Sequence[str], number: int) -> Strike:
        async def act() -> float:
            if number == SIGTERM and "broker" in parts:
                # While it boots, RabbitMQ takes no notice of it. That happens where the same is struck again and again.
                await asyncio.to_thread(self.site.wait_ready, "broker", GIVE_UP_S)
            struck = time.monotonic()
            before = {part: self.site.started_at(part) for part in parts}
            for part in parts:
                self.site.send(part, number)
            await self._until(
                lambda: all(self.site.started_at(part) > at for part, at in before.items()), f"{parts} started again"
            )
            return struck

        return Strike(what, max(WITHIN[_kind(part)] for part in parts), parts, act)

    def kill_session(self) -> Strike:
        """kill -9 of one of PostgreSQL's sessions: the postmaster ends all others and recovers; its own process stays."""

        async def act() -> float:
            pid = await asyncio.to_thread(self._session_of_an_intake, committing=False)
            _kill(pid)
            return time.monotonic()

        return Strike("kill -9 a PostgreSQL session", WITHIN["postgres"], ["postgres"], act)

    def restart_while_committing(self) -> Strike:
        """PostgreSQL's fast shutdown at a moment when a batch of sends is being committed."""

        async def act() -> float:
            before = self.site.started_at("postgres")
            await asyncio.to_thread(self._session_of_an_intake, committing=True)
            struck = time.monotonic()
            self.site.send("postgres", SIGINT)
            await self._until(lambda: self.site.started_at("postgres") > before, "PostgreSQL started again")
            return struck

        return Strike("PostgreSQL restarted amid commits", WITHIN["postgres"], ["postgres"], act)

    def _session_of_an_intake(self, *, committing: bool) -> int:
        """The process of a session in which sends are stored; one that is at its commit, if so asked."""
        condition = "AND state = 'active' AND query LIKE '%COMMIT%'" if committing else ""
        asked = f"SELECT pid FROM pg_stat_activity WHERE application_name = 'letterlock intake' {condition} LIMIT 1"
        deadline = time.monotonic() + GIVE_UP_S
        with closing(psycopg2.connect(self.site.servers.database_url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while time.monotonic() < deadline:
                    cursor.execute(asked)
                    if row := cursor.fetchone():
                        return int(row[0])
        raise AssertionError("no web process stores anything")

    def roll(self) -> Strike:
        """A rolling restart of everything: each part is ended, comes back and is ready before the next is ended."""
        parts = [
            part
            for part in ("web-1", "web-2", "worker-1", "worker-2", "beat", "broker", "valkey", "postgres")
            if part in self.site.parts
        ]

        async def act() -> float:
            ended = 0.0
            for part in parts:
                before, ended = self.site.started_at(part), time.monotonic()
                self.site.send(part, SIGTERM)
                await self._until(
                    lambda part=part, before=before: self.site.started_at(part) > before, f"{part} started again"
                )
                await asyncio.to_thread(self.site.wait_ready, part, GIVE_UP_S)
            return ended

        return Strike("rolling restart of everything", WITHIN["postgres"], parts, act)

    # --- what is held up, cut off or wrong ------------------------------------------------------------------------------------

    def freeze(self, part: str, seconds: float) -> Strike:
        """SIGSTOP, and SIGCONT after a while: what it then goes on with is stale. Until then it takes connections, and says nothing."""
        fresh, accepting = WHILE_FROZEN[_kind(part)]

        async def act() -> float:
            struck = time.monotonic()
            self.site.freeze(part)
            await self.watch.during(
                f"a frozen {part}",
                seconds,
                fresh_s=max(fresh, self.fresh_s),
                accepting=accepting,
                # No worker has a part in that.
                accepting_after=0.0 if part.startswith("worker") else None,
            )
            self.site.thaw(part)
            thawed = time.monotonic()
            if part in SERVERS:
                await self._every_post_over(struck, thawed)
                # Over a socket there is no answer before PostgreSQL's; devices give up after a while, and repeat elsewhere.
                self.watch.answered(struck, thawed, over_sockets=part != "postgres")
            return thawed

        return Strike(f"SIGSTOP {seconds:.0f} s {_kinds([part])}", AT_LAST_S, [part], act)

    def wipe(self) -> Strike:
        """FLUSHALL: flags, routes, leases and, where Valkey is the broker, queued wake-ups are gone."""

        async def act() -> float:
            struck = time.monotonic()
            await asyncio.to_thread(self._flush)
            return struck

        return Strike("Valkey wiped", WITHIN["valkey"], [], act)

    def _flush(self) -> None:
        with closing(redis.Redis.from_url(self.site.servers.valkey_url)) as client:
            assert client.dbsize() > 0, "there was nothing to wipe"
            client.flushall()

    def deafen(self, seconds: float) -> Strike:
        """Every message of the channel layer is dropped for a while, and nobody is told."""

        async def act() -> float:
            before = self.site.wires.deaf(True)
            await self.watch.during("a deaf channel layer", seconds, fresh_s=FRESH_WITHOUT_PUSHES_S, after=NOTICED_S)
            dropped = self.site.wires.deaf(False) - before
            assert dropped > 0, "nothing was published"
            return time.monotonic()

        return Strike(f"channel layer drops all for {seconds:.0f} s", AT_LAST_S, [], act)

    def cut_off(self, seconds: float) -> Strike:
        """The far machine loses its network: a host and a worker that live on, alone."""

        async def act() -> float:
            self.site.cut(yes=True)
            assert await asyncio.to_thread(self._is_cut_off), "the far host could still be reached"
            await self.watch.during("a machine cut off", seconds, accepting=WITHOUT_A_HOST)
            self.site.cut(yes=False)
            return time.monotonic()

        return Strike(f"a host and a worker cut off for {seconds:.0f} s", AT_LAST_S, [], act)

    def _is_cut_off(self) -> bool:
        """Whether nobody answers at the far host."""
        url = urlsplit(self.site.far.urls[0])
        try:
            with socket.create_connection((url.hostname, url.port), CUT_OFF_S) as connection:
                connection.settimeout(CUT_OFF_S)
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: far\r\n\r\n")
                return not connection.recv(1)
        except OSError:
            return True

    def fill_disk(self, seconds: float) -> Strike:
        """No byte is left where PostgreSQL and Valkey write: sends are refused for the time being, and none hangs."""
        disk = self.site.disk
        assert disk is not None

        async def act() -> float:
            struck = time.monotonic()
            disk.fill()
            await asyncio.sleep(seconds)
            disk.drain()
            drained = time.monotonic()
            posts = await self._every_post_over(struck, drained)
            assert any(post.status == 503 for post in posts), f"nobody was told: {posts}"
            self.watch.answered(struck, drained)
            return drained

        return Strike(f"disk full for {seconds:.0f} s", AT_LAST_S, ["postgres", "valkey"], act)

    async def _every_post_over(self, since: float, until: float) -> list[Post]:
        """Those that began in this time, with what became of them."""
        posts = [post for post in self.load.posts if since <= post.began <= until]
        await self._until(lambda: all(post.status is not None for post in posts), "every POST is over")
        return posts

    def set_clock(self, seconds: float) -> Strike:
        """The far machine's clock is ten minutes off for a while, to either side; its host also starts with it. It jumps there and back."""
        clock = self.site.clock
        assert clock is not None

        async def act() -> float:
            began, before = time.monotonic(), self.site.started_at("web-2")
            clock.set(random.choice([-OFF_S, OFF_S]))
            self.site.send("web-2", SIGTERM)
            await self._until(lambda: self.site.started_at("web-2") > before, "web-2 started again")
            await asyncio.to_thread(self.site.wait_ready, "web-2", GIVE_UP_S)
            for part in ("web-2", "worker-2"):
                assert clock.is_read_by(self.site.pid(part)), f"{part} goes by the true time"
            assert abs(await asyncio.to_thread(clock.read) - time.time()) > OFF_S / 2, "the clock goes right"
            # Long enough for its devices to have come back to it.
            self.load.struck -= 1
            await asyncio.sleep(max(seconds / 2, began + seconds - time.monotonic()))
            self.load.struck += 1
            clock.set(0)
            return time.monotonic()

        return Strike("one machine's clock 10 minutes off", AT_LAST_S, [], act)

    def away(
        self, what: str, parts: Sequence[str], seconds: float, meanwhile: Sequence[Strike] = (), *, alone: float = 0.0
    ) -> Strike:
        """These parts are down for a while; sends are accepted all the same, and delivered.

        `meanwhile` more is struck. Before, between and after these, nothing else is for `alone` seconds.
        """

        async def act() -> float:
            began, self.is_waiting_for_parts = time.monotonic(), False
            fresh, self.fresh_s = self.fresh_s, FRESH_WITHOUT_PUSHES_S if "valkey" in parts else self.fresh_s
            for part in parts:
                await asyncio.to_thread(self.site.down, part)
            gone = time.monotonic()
            await asyncio.sleep(SETTLE_S)
            # Whenever nothing else is struck, or has still to recover, sends must be accepted.
            since, stretch = began + SETTLE_S, what
            for other in meanwhile:
                await asyncio.sleep(alone)
                self.watch.accepting(stretch, since, time.monotonic())
                without = replace(other, what=f"{other.what} without {NAMES[_kind(parts[0])]}")
                since, stretch = (await self.strike(without)).recovered, f"{what}, after {other.what}"
            await self.watch.during(
                stretch,
                max(alone, gone + seconds - time.monotonic()),
                # Without any worker nothing is delivered.
                fresh_s=math.inf if "worker-1" in parts else self.fresh_s,
                after=TAKEN_OVER_S,
            )
            self.watch.accepting(stretch, since, time.monotonic())
            for part in parts:
                self.site.up(part)
            self.fresh_s, self.is_waiting_for_parts = fresh, True
            return time.monotonic()

        return Strike(what, AT_LAST_S, parts, act)

    # --- how it went -------------------------------------------------------------------------------------------------------------

    async def strike(self, strike: Strike) -> Recovery:
        """Do it, and wait until everything has recovered."""
        recovery = Recovery(strike.what, strike.within, time.monotonic())
        self.load.struck += 1
        looking = asyncio.create_task(self._look(recovery))
        try:
            since = await strike.act()
            self.recoveries.append(recovery)
            if self.is_waiting_for_parts and strike.parts:
                self._watches.append(asyncio.create_task(self._watch(recovery, strike.parts, since)))
            acted = time.monotonic()
            while (now := time.monotonic()) - max(acted, recovery.stale_at) < HOLD_S:
                if now - since > strike.within and self.load.oldest() > self.fresh_s and not recovery.waited_for:
                    recovery.waited_for = self.load.held_up()
                assert now - since < GIVE_UP_S, (
                    f"{strike.what}: not recovered after {GIVE_UP_S:.0f} s; {self.load.unsettled()}"
                )
                await asyncio.sleep(LOOK_S)
        finally:
            looking.cancel()
        recovery.recovered, recovery.recovery = max(since, recovery.stale_at), max(0.0, recovery.stale_at - since)
        recovery.refused = max(0.0, self.load.last_refusal - since)
        now = time.monotonic()
        recovery.crowd, recovery.accepted = (
            self.load.crowd(recovery.struck, now),
            self.load.accepted_between(recovery.struck, now),
        )
        self.load.struck -= 1
        return recovery

    async def _look(self, recovery: Recovery) -> None:
        """Note when something was last too old, and how old; and how long nobody looked."""
        now = time.monotonic()
        while True:
            before, now = now, time.monotonic()
            recovery.held_up = max(recovery.held_up, now - before)
            oldest = self.load.oldest()
            recovery.slowest = max(recovery.slowest, oldest)
            if oldest > self.fresh_s:
                recovery.stale_at = time.monotonic()
            await asyncio.sleep(LOOK_S)

    async def _watch(self, recovery: Recovery, parts: Sequence[str], since: float) -> None:
        """Note when the parts report themselves ready; the next strike need not wait for that."""
        try:
            for part in parts:
                await asyncio.to_thread(self.site.wait_ready, part, GIVE_UP_S)
            recovery.ready = time.monotonic() - since
        except (StartFailed, AssertionError):
            recovery.ready = math.inf

    async def settle(self) -> None:
        """Wait until all parts that were struck are ready."""
        await asyncio.gather(*self._watches)

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        while not true():
            assert time.monotonic() < deadline, f"not within {GIVE_UP_S:.0f} s: {what}"
            await asyncio.sleep(LOOK_S)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, SIGKILL)


def _kind(part: str) -> str:
    return part.split("-", maxsplit=1)[0]


def _kinds(parts: Sequence[str]) -> str:
    return " and ".join(NAMES[_kind(part)] for part in parts)
