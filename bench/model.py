"""How long a message takes with so many users, hosts, workers and cores: a discrete-event model.

It is fed with costs that `python -m bench.calibrate` measures on a running system without load, at a low and at a high one (kept in
bench/costs.json), and checked there against latencies measured at loads that it was not fed with.

    arrivals (Poisson, bursts) → a host's event loop → its committer: all that waits, in one commit → wake-up
        → a worker of the recipient's queue: all that waits, in one commit → the recipient's host's event loop → delivered

Every step takes CPU of the machine that it runs on (cores are shared by all that run there) and, for commits, time in which
the disk works and nobody computes. A host is one Python process, so its loop and its committer take turns.
"""

import json
import random
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from math import exp
from pathlib import Path
from typing import Any

import simpy

COSTS = Path(__file__).parent / "costs.json"
# kernel/batching.py and delivery/drain.py: how many messages one commit takes at most. A drain takes rows, and a message between two
# people is one for each.
COMMIT_MOST, DRAIN_MOST = 500, 160
# The longest that a step keeps a core before others get it, as an operating system shares it out.
SLICE_S = 0.001
# How often a system without messages does something.
BACKGROUND_S = 0.05
# sys.getswitchinterval(): for so long CPython lets a thread that computes go on while another one waits.
SWITCH_S = 0.005
# Who gets the interpreter next.
FIRST, LOOP, COMMITTER = 0, 1, 2
# Round trips of a commit; a drain has as many or a few more.
STATEMENTS = 3
# Processes and threads that are woken, one after the other, on the way from a commit to a drain, and from that to a host.
WAKES = 3
# After so long a sleep a process is two thirds cold.
COLD_S = 0.004

Step = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds. `_cycle`: once for each commit or drain, whatever it carries; `_message`: for each message in it.

    `cold`: by how much a cycle is dearer, as a share of it, when its process has slept long before (caches, wake-ups).
    `wait`: what a commit takes beside CPU (the disk). `idle`: cores that are busy without any message.
    `aside`: the share of all this that is done after a message has gone on and that it need not wait for, though others do: answers to
    senders, receipts, the end of a transaction, a task's bookkeeping.
    `spread`: how unevenly the machine works, as the standard deviation of the logarithm of its slowness, which stays for
    `stays` seconds at a time: what else runs on it, and the machine that it is a part of.
    """

    host_idle: float
    other_idle: float
    host_message: float  # a host's loop and committer, for a message that it takes, and for the entry that it pushes
    host_cycle: float
    database_message: float
    database_cycle: float
    worker_message: float
    worker_cycle: float
    valkey_cycle: float
    client_message: float  # the load generator's, where it shares the machine
    commit_wait: float
    drain_wait: float
    cold: float
    aside: float
    spread: float
    stays: float
    hop: float  # on the way between processes and threads, of a message in all

    @classmethod
    def load(cls, path: Path = COSTS) -> "Costs":
        """What was measured last."""
        return cls(**json.loads(path.read_text())["costs"])


@dataclass(frozen=True, slots=True)
class Plan:
    """What is simulated. `rate`: messages/s of all users; `burst`: how many of them come at once (1: Poisson)."""

    rate: float
    hosts: int = 1
    queues: int = 1  # each with a worker of its own
    cores: int = 2  # of one machine that runs everything; else of each of the three below
    apart: bool = False  # hosts, workers and PostgreSQL on machines of their own
    burst: int = 1
    seconds: float = 10.0
    clients_here: bool = True


@dataclass(slots=True)
class Outcome:
    """Latencies in seconds, of every message from its arrival to its delivery, without those of the first second."""

    latencies: list[float] = field(default_factory=list)
    busy: dict[str, float] = field(default_factory=dict)
    unfinished: int = 0

    def at(self, share: float) -> float:
        """A quantile; infinite when not everything was delivered in time."""
        if not self.latencies or self.unfinished > 0.02 * len(self.latencies):
            return float("inf")
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


def coldness(slept: float) -> float:
    """How cold a process is after so many seconds of sleep: 0 to 1."""
    return 1 - exp(-slept / COLD_S)


class Machine:
    """Cores that are shared by everything on the machine; at times it is slower than at others."""

    def __init__(self, world: simpy.Environment, cores: int, costs: Costs, chance: random.Random) -> None:
        self._world = world
        self._cores = [simpy.Resource(world, 1) for _ in range(cores)]
        self._costs, self._random = costs, chance
        self._slowness, self._until = 1.0, 0.0
        self.busy = 0.0

    def _slow(self) -> float:
        """By how much everything is dearer just now: log-normal, 1 on average."""
        if self._world.now >= self._until:
            spread = self._costs.spread
            self._slowness = self._random.lognormvariate(-spread * spread / 2, spread)
            self._until = self._world.now + self._random.expovariate(1 / self._costs.stays)
        return self._slowness

    def work(self, seconds: float) -> Step:
        """Compute for so long, in slices."""
        seconds *= self._slow()
        core = self._core()
        while seconds > 0:
            part = min(seconds, SLICE_S)
            with core.request() as turn:
                yield turn
                yield self._world.timeout(part)
            self.busy += part
            seconds -= part

    def _core(self) -> simpy.Resource:
        """One that is idle; if there is none any one: who waits for a busy core is seldom moved to another that becomes idle."""
        return next((core for core in self._cores if not core.count), self._random.choice(self._cores))

    def passed(self, seconds: float) -> Step:
        """On the way from process to process: so long when all cores are idle; and each time that one is woken, it waits for a core."""
        for _ in range(WAKES):
            yield self._world.timeout(seconds / WAKES)
            with self._core().request() as turn:
                yield turn


class Queue:
    """What waits for a committer or a drain: takes all of it at once, sleeps when there is nothing."""

    def __init__(self, world: simpy.Environment) -> None:
        self._world = world
        self.waiting: list[Message] = []
        self._woken = world.event()

    def put(self, message: "Message") -> None:
        """Add one, and wake whoever sleeps."""
        self.waiting.append(message)
        if not self._woken.triggered:
            self._woken.succeed()

    def some(self) -> simpy.Event:
        """Happens when there is something."""
        if self.waiting:
            return self._world.timeout(0)
        self._woken = self._world.event()
        return self._woken

    def take(self, most: int) -> list["Message"]:
        """All of it, up to a bound."""
        taken, self.waiting = self.waiting[:most], self.waiting[most:]
        return taken


class Interpreter:
    """Who has its turn in a Python process. simpy's own PriorityResource sorts all who wait at each request."""

    def __init__(self, world: simpy.Environment) -> None:
        self._world = world
        self._is_taken = False
        self._waiting: tuple[deque[simpy.Event], ...] = (deque(), deque(), deque())

    def turn(self, priority: int) -> simpy.Event:
        """Happens when it is the caller's, who then has to `release` it."""
        turn = self._world.event()
        if self._is_taken:
            self._waiting[priority].append(turn)
        else:
            self._is_taken = True
            turn.succeed()
        return turn

    def prefer(self, turn: simpy.Event) -> None:
        """A committer's turn comes next."""
        self._waiting[COMMITTER].remove(turn)
        self._waiting[FIRST].append(turn)

    def release(self) -> None:
        """Give it to the first of those who wait."""
        for waiting in self._waiting:
            if waiting:
                waiting.popleft().succeed()
                return
        self._is_taken = False


@dataclass(slots=True)
class Message:
    """One on its way, and where it goes."""

    came: float
    queue: int
    host: int


class Model:
    """The system as processes of simpy."""

    def __init__(self, costs: Costs, plan: Plan, seed: int = 1) -> None:
        self.costs, self.plan = costs, plan
        self.random = random.Random(seed)
        self.world = simpy.Environment()
        here, apart = self._machine(), plan.apart
        self.host_machines = [self._machine() if apart else here for _ in range(plan.hosts)]
        self.worker_machine = self._machine() if apart else here
        self.database_machine = self._machine() if apart else here
        # A host is one interpreter: its loop and its committer take turns.
        self.interpreters = [Interpreter(self.world) for _ in range(plan.hosts)]
        self.commits = [Queue(self.world) for _ in range(plan.hosts)]
        self.drains = [Queue(self.world) for _ in range(plan.queues)]
        self.outcome = Outcome()
        self.sent = 0

    def _machine(self) -> Machine:
        return Machine(self.world, self.plan.cores, self.costs, self.random)

    def run(self) -> Outcome:
        """Let it run, and what is under way finish within two seconds."""
        self.world.process(self._arrivals())
        self.world.process(self._background())
        for host in range(self.plan.hosts):
            self.world.process(self._committer(host))
        for queue in range(self.plan.queues):
            self.world.process(self._worker(queue))
        self.world.run(until=self.plan.seconds + 2.0)
        spent = {
            "hosts": sum(machine.busy for machine in {id(m): m for m in self.host_machines}.values()),
            "workers": self.worker_machine.busy,
            "database": self.database_machine.busy,
        }
        self.outcome.busy = {name: seconds / self.plan.seconds for name, seconds in spent.items()}
        self.outcome.unfinished = self.sent - len(self.outcome.latencies)
        return self.outcome

    def _arrivals(self) -> Step:
        while self.world.now < self.plan.seconds:
            yield self.world.timeout(self.random.expovariate(self.plan.rate / self.plan.burst))
            for _ in range(self.plan.burst):
                message = Message(
                    self.world.now, self.random.randrange(self.plan.queues), self.random.randrange(self.plan.hosts)
                )
                if message.came > 1.0:
                    self.sent += 1
                self.world.process(self._accept(message, self.random.randrange(self.plan.hosts)))

    def _background(self) -> Step:
        """What the system does anyway: leases, comparisons, beats, statistics."""
        while self.world.now < self.plan.seconds:
            yield self.world.timeout(self.random.expovariate(1 / BACKGROUND_S))
            for host in range(self.plan.hosts):
                self.world.process(self._as_host(host, self.costs.host_idle * BACKGROUND_S))
            self.world.process(self.database_machine.work(self.costs.other_idle * BACKGROUND_S))

    def _accept(self, message: Message, host: int) -> Step:
        if self.plan.clients_here and not self.plan.apart:
            yield from self.host_machines[host].work(self.costs.client_message / 2)
        yield from self._as_host(host, self._before(self.costs.host_message / 2))
        self.commits[host].put(message)

    def _before(self, seconds: float) -> float:
        """What of a step's CPU a message waits for."""
        return seconds * (1 - self.costs.aside)

    def _after(self, seconds: float) -> float:
        """What of it comes when the message has gone on."""
        return seconds * self.costs.aside

    def _as_host(self, host: int, seconds: float) -> Step:
        yield self.interpreters[host].turn(LOOP)
        yield from self.host_machines[host].work(seconds)
        self.interpreters[host].release()

    def _as_committer(self, host: int, seconds: float) -> Step:
        """A thread that comes back from a round trip gets the interpreter when the loop has nothing to do, or after `SWITCH_S`."""
        interpreter = self.interpreters[host]
        turn = interpreter.turn(COMMITTER)
        yield turn | self.world.timeout(SWITCH_S)
        if not turn.triggered:
            interpreter.prefer(turn)
            yield turn
        yield from self.host_machines[host].work(seconds)
        interpreter.release()

    def _committer(self, host: int) -> Step:
        costs = self.costs
        while True:
            slept = self.world.now
            yield self.commits[host].some()
            dearer = 1 + costs.cold * coldness(self.world.now - slept)
            batch = self.commits[host].take(COMMIT_MOST)
            own = costs.host_cycle * 0.75 * dearer
            database = costs.database_cycle / 2 * dearer + costs.database_message / 2 * len(batch)
            for _ in range(STATEMENTS):
                yield from self._as_committer(host, self._before(own) / STATEMENTS)
                yield from self.database_machine.work(self._before(database) / STATEMENTS)
            yield self.world.timeout(costs.commit_wait)
            self.world.process(self.database_machine.work(self._after(database)))
            yield from self._as_committer(host, 0.0)
            self.world.process(self._wake(batch, dearer))
            answers = self._after(costs.host_message / 2) * len(batch)
            self.world.process(self._as_host(host, self._after(own) + answers))

    def _wake(self, batch: list[Message], dearer: float) -> Step:
        """What a commit has written is known to the workers. The next one does not wait for this."""
        yield from self.worker_machine.work(self.costs.valkey_cycle / 2 * dearer)
        yield from self.worker_machine.passed(self.costs.hop / 2)
        for message in batch:
            self.drains[message.queue].put(message)

    def _worker(self, queue: int) -> Step:
        costs = self.costs
        while True:
            slept = self.world.now
            yield self.drains[queue].some()
            dearer = 1 + costs.cold * coldness(self.world.now - slept)
            batch = self.drains[queue].take(DRAIN_MOST)
            own = costs.worker_cycle * dearer + costs.worker_message * len(batch)
            database = costs.database_cycle / 2 * dearer + costs.database_message / 2 * len(batch)
            for _ in range(STATEMENTS):
                yield from self.worker_machine.work(self._before(own) / STATEMENTS)
                yield from self.database_machine.work(self._before(database) / STATEMENTS)
            yield self.world.timeout(costs.drain_wait)
            self.world.process(self.database_machine.work(self._after(database)))
            yield from self.worker_machine.work(costs.valkey_cycle / 2 * dearer)
            for host in {message.host for message in batch}:
                there = [message for message in batch if message.host == host]
                self.world.process(self._push(host, there, dearer))
            yield from self.worker_machine.work(self._after(own))

    def _push(self, host: int, batch: list[Message], dearer: float) -> Step:
        costs = self.costs
        yield from self.host_machines[host].passed(costs.hop / 2)
        yield from self._as_host(host, self._before(costs.host_cycle / 4 * dearer))
        for message in batch:
            yield from self._as_host(host, self._before(costs.host_message / 2))
            if self.plan.clients_here and not self.plan.apart:
                yield from self.host_machines[host].work(costs.client_message / 2)
            if message.came > 1.0:
                self.outcome.latencies.append(self.world.now - message.came)
        receipts = self._after(costs.host_message / 2) * len(batch)
        yield from self._as_host(host, self._after(costs.host_cycle / 4 * dearer) + receipts)


def simulate(costs: Costs, plan: Plan, seed: int = 1) -> Outcome:
    """One run of the model."""
    return Model(costs, plan, seed).run()
