"""Accepted is never lost, doubled or reordered, whatever is killed, ended, frozen, full, cut off or away: a small Jepsen test.

Two machines of a web process and a worker each stand on a PostgreSQL, a Valkey and perhaps a RabbitMQ of their own (site.py).
Phones send at a steady rate over sockets and REST; meanwhile everything is struck (plan.py). At the end the clients' ledger is
held against every mailbox. In `make test` that is one short sitting for each profile; `make faults` runs ROUNDS=20 rounds of
every kind of strike, five in a sitting; ONLY=SIGSTOP those alone that have this in their name.
"""

import asyncio
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests import rabbitmq
from tests.faults import plan, truth
from tests.faults.ledger import Receipt, check, check_markers
from tests.faults.load import Load, summary
from tests.faults.nemesis import Nemesis
from tests.faults.recovery import OVERRUN_CROWD, OWN_CROWD, Strike, spans
from tests.faults.report import Report, kinds, milliseconds
from tests.faults.site import Site, two_machines

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "0"))
# Parts of kinds' names, as the report prints them, separated by commas.
ONLY = os.environ.get("FAULT_ONLY", "")
# Of the strikes of a full sitting, this share may meet a machine that is too crowded to be judged.
MOST_UNJUDGED = 0.05
# What a sitting has received is kept in memory until its end.
ROUNDS_IN_A_SITTING = 5
# Offered, and to be accepted on average under strikes. The short run shares its machine with other tests.
RATE, LEAST_RATE = (520.0, 500.0) if ROUNDS else (340.0, 300.0)
MEASURED_S = 4.0 if ROUNDS else 2.0
QUIET_WITHIN_S = 40.0
# The strikes of the short run, on both profiles together, on a slow machine; people wait for it. On a quick one all of it takes
# as long: two machines started twice, the calm before and after, and the ledgers come on top.
SHORT_S = 180.0

SITTINGS = [min(ROUNDS_IN_A_SITTING, ROUNDS - begun) for begun in range(0, ROUNDS, ROUNDS_IN_A_SITTING)] or [0]
PROFILES = {"embedded": "Embedded: one Valkey for everything", "rabbitmq": "RabbitMQ as broker"}
# Seconds that the short run has been striking, by its report.
struck_s: dict[str, float] = {}


@pytest.mark.timeout(1_200 * max(1, *SITTINGS) + 300)
@pytest.mark.parametrize("sitting", range(len(SITTINGS)))
@pytest.mark.parametrize("profile", PROFILES)
async def test_accepted_is_never_lost_doubled_or_reordered(
    report: Callable[[str], Report],
    unable: Callable[[str, str], None],
    tell: Callable[[str], None],
    profile: str,
    sitting: int,
) -> None:
    if profile == "rabbitmq" and (why := rabbitmq.why_not()):
        unable("RabbitMQ as broker", why)
        pytest.skip(why)
    made = report(f"Two machines, each a web process and a worker. {PROFILES[profile]}")
    started = time.monotonic()
    with two_machines(rabbitmq=profile == "rabbitmq") as site:
        made.skipped |= site.unable
        for what, why in site.unable.items():
            unable(what, why)
        load = Load(site.urls, rate=RATE)
        nemesis = Nemesis(site, load)
        before = sum(SITTINGS[:sitting])
        numbers = range(before, before + SITTINGS[sitting])
        strikes = [strike for number in numbers for strike in plan.in_full(nemesis, number)]
        strikes = strikes or plan.in_short(nemesis, before)
        if not (chosen := plan.only(strikes, ONLY)):
            pytest.fail(plan.none_of(strikes, ONLY), pytrace=False)
        tell(f"{PROFILES[profile]}, sitting {sitting + 1} of {len(SITTINGS)}")
        with without_full_collections():
            await _sit(nemesis, chosen, made, tell, started=started)


@contextmanager
def without_full_collections() -> Iterator[None]:
    """Python's garbage collector leaves alone what has lived for a while.

    It would walk all that the clients have written down, at last for several seconds at a time in which none of them sends or hears.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(10_000, 20, 1_000_000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        gc.collect()


async def _sit(
    nemesis: Nemesis, strikes: Sequence[Strike], made: Report, tell: Callable[[str], None], *, started: float
) -> None:
    """One sitting: the load from its beginning to the ledger."""
    site, load = nemesis.site, nemesis.load
    async with load:
        try:
            began = await calm(load, made, "before the first strike")
            first = time.monotonic()
            for number, strike in enumerate(strikes, start=1):
                went = await nemesis.strike(strike)
                held_up = f"this process was held up for {went.held_up:.1f} s at most"
                late = "" if went.is_in_time else f", TOO LATE; {held_up}; {went.waited_for}"
                tell(f"{number:3} of {len(strikes)}  {went.what}: {went.recovery:.1f} s{late}")
            await nemesis.settle()
        finally:
            made.recoveries += nemesis.recoveries
        struck = time.monotonic()
        struck_s[made.title] = struck - first
        accepted = load.accepted_between(began, struck)
        median = await after_all(load, made)
        settled = await load.quiet(QUIET_WITHIN_S)
        stored = await asyncio.to_thread(truth.read, site.servers.database_url)
        # The last acknowledgements may still be on the way: they are written every so often, and nobody is told when.
        told_by, markers = time.monotonic() + QUIET_WITHIN_S, list[Receipt]()
        while not markers or (check_markers(load.ledger, stored, markers) and time.monotonic() < told_by):
            markers = await load.markers()
            load.ledger.receipts += markers
        stored = await asyncio.to_thread(truth.read, site.servers.database_url)

    violations = check(load.ledger, stored) + check_markers(load.ledger, stored, markers)
    made.found(violations, nemesis.recoveries, {id: journey.composed_at for id, journey in load.journeys.items()})
    entries = sum(len(connection.entries) for log in load.ledger.devices.values() for connection in log.connections)
    sums = ", ".join(f"{count} {what}" for what, count in summary(load.phones).items())
    under_strikes = sum(load.accepted_between(*span) for span in spans(nemesis.recoveries))
    made.accepted_between += len(load.ledger.accepted) - under_strikes
    made.facts += [
        f"strikes: {len(nemesis.recoveries)}; accepted {accepted / (struck - began):.0f} messages/s on average under strikes",
        f"messages: {len(load.ledger.tried)} tried, {len(load.ledger.accepted)} accepted, {len(stored.stored)} stored; "
        f"{sum(map(len, stored.mailboxes.values()))} mailbox entries on {len(load.phones)} devices: {entries} received",
        f"clients: {sums}; {len(load.ledger.receipts)} receipts heard; this process was held up for {load.slowest_tick:.1f} s at most",
        f"crowd: {load.crowd(began, struck):.1f} threads for each core on average",
        f"took: {struck - first:.0f} s of strikes, {time.monotonic() - started:.0f} s from the start of the servers to the ledger",
    ]
    assert not violations, kinds(violations)
    assert settled, load.unsettled()
    assert load.ledger.tried.keys() == stored.stored.keys(), "what was tried was repeated until it was accepted"
    assert not pages(site), pages(site)[0]
    late = [recovery for recovery in nemesis.recoveries if not recovery.is_in_time]
    assert not late, late
    # Who strikes everything has the machine to himself, or says nothing of how long things take.
    unjudged = [recovery for recovery in nemesis.recoveries if not recovery.is_judged]
    assert not ROUNDS or len(unjudged) <= MOST_UNJUDGED * len(strikes), f"{len(unjudged)} could not be judged"
    if load.crowd(began, struck) > OVERRUN_CROWD:
        return
    overrun = max(1.0, load.crowd(began, struck) / OWN_CROWD)
    assert accepted / (struck - began) >= LEAST_RATE / overrun
    assert median < 0.5 * overrun, "after the strikes, pushes and wake-ups work again"
    assert not any(phone.unwelcome for phone in load.phones), "a socket that cannot be served is closed"
    if not ROUNDS:
        assert sum(struck_s.values()) <= SHORT_S * overrun, f"the short run has become too long: {struck_s}"


async def calm(load: Load, made: Report, when: str) -> float:
    """Some seconds without strikes, measured after a second to settle; answers when they began (monotonic)."""
    began = time.monotonic()
    await asyncio.sleep(1.0 + MEASURED_S)
    latencies = load.latencies(began + 1.0, began + MEASURED_S)
    rate = load.accepted_between(began + 1.0, began + MEASURED_S) / (MEASURED_S - 1.0)
    made.facts.append(f"{when}: {rate:.0f} accepted/s; from the outbox to the last device {milliseconds(latencies)}")
    return began


async def after_all(load: Load, made: Report) -> float:
    """The median latency when nothing is struck any more, in seconds."""
    began = await calm(load, made, "after the last strike")
    latencies = load.latencies(began + 1.0, began + MEASURED_S)
    return latencies[len(latencies) // 2] if latencies else float("inf")


def pages(site: Site) -> list[str]:
    """Tracebacks in the logs of our processes: a part that is away is one line, and no thread dies of it."""
    found = []
    for name, log in site.logs().items():
        lines = log.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if "Traceback" in line or "Exception in thread" in line:
                found.append("\n".join([f"{name}:", *lines[max(0, number - 2) : number + 40]]))
    return found
