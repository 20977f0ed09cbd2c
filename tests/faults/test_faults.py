"""Accepted is never lost, doubled or reordered, whatever is killed, ended, frozen or away: a small Jepsen test.

Two web processes, two workers and beat run under the supervisor on a PostgreSQL, a Valkey and a broker of their own. Phones
send at a steady rate over sockets and REST; meanwhile every part is struck, several times. At the end the clients' ledger
is held against every mailbox. `FAULT_ROUNDS` makes it longer: `make faults ROUNDS=10`.
"""

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from config.supervisor.system import System
from tests.faults import truth
from tests.faults.ledger import check, check_markers
from tests.faults.load import Load, summary
from tests.faults.nemesis import OWN_CROWD, Nemesis
from tests.faults.report import Report, kinds, milliseconds
from tests.services import services

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "1"))
RATE = 330.0
FROZEN_S = 10.0
WITHOUT_BROKER_S = 60.0
MEASURED_S = 4.0
QUIET_WITHIN_S = 30.0

Make = Callable[..., System]
Strikes = list[Callable[[], Awaitable[None]]]


def first_strikes(nemesis: Nemesis) -> Strikes:
    """Each kind once and more, no part twice within ten seconds or so."""
    return [
        lambda: nemesis.kill("worker-1"),
        lambda: nemesis.kill("web-1"),
        lambda: nemesis.kill("valkey"),
        lambda: nemesis.kill("postgres"),
        lambda: nemesis.term("worker-2"),
        lambda: nemesis.term("web-2"),
        lambda: nemesis.term("valkey"),
        lambda: nemesis.freeze("worker-1", FROZEN_S),
        lambda: nemesis.freeze("web-1", FROZEN_S),
        lambda: nemesis.term("postgres"),
        lambda: nemesis.kill("worker-2"),
    ]


def strikes_without_broker(nemesis: Nemesis, *, valkey_is_there: bool) -> Strikes:
    """For the minute without broker; what does not fit into it comes after it."""
    return [
        lambda: nemesis.freeze("web-2", FROZEN_S),
        lambda: nemesis.kill_backend(),
        lambda: nemesis.term("worker-1"),
        lambda: nemesis.kill("web-2"),
        lambda: nemesis.freeze("worker-2", FROZEN_S),
        *([lambda: nemesis.kill("valkey")] if valkey_is_there else []),
        lambda: nemesis.term("web-1"),
        lambda: nemesis.kill("postgres"),
        lambda: nemesis.kill("worker-1"),
        *([lambda: nemesis.term("valkey")] if valkey_is_there else []),
    ]


def last_strikes(nemesis: Nemesis) -> Strikes:
    """Again, with everything there, and two at once."""
    return [
        lambda: nemesis.kill_backend(),
        lambda: nemesis.kill("web-1"),
        lambda: nemesis.term("postgres"),
        lambda: nemesis.kill("worker-1", "valkey"),
        lambda: nemesis.kill("worker-2", "postgres"),
    ]


# In a longer run also as `manage.py up` does it: then a minute without broker is one without Valkey at all.
SETUPS = ["the broker apart", "one Valkey for all"] if ROUNDS > 1 else ["the broker apart"]


@pytest.mark.timeout(420 * ROUNDS + 180)
@pytest.mark.parametrize("setup", SETUPS)
async def test_accepted_is_never_lost_doubled_or_reordered(
    private_system: Make, report: Callable[[str], Report], setup: str
) -> None:
    if setup == "the broker apart":
        broker = private_system(web=0, workers=0, database_url=services().shared.database_url)
        system = private_system(web=2, workers=2, beat=True, broker_url=broker.valkey_url)
    else:
        system = broker = private_system(web=2, workers=2, beat=True)
    made = report(f"Two web processes, two workers, beat; {setup}")
    async with Load(system.urls, rate=RATE) as load:
        nemesis = Nemesis(system, load, recoveries=made.recoveries)
        began = await calm(load, made, "before the first strike")
        for number in range(ROUNDS):
            await all_of(first_strikes(nemesis), number)
            await without_broker(broker, nemesis, made, number)
            await all_of(last_strikes(nemesis), number)
        await nemesis.settle()
        struck = time.monotonic()
        accepted = load.accepted_between(began, struck)
        median = await after_all(load, made)
        settled = await load.quiet(QUIET_WITHIN_S)
        markers = await load.markers()
        stored = await asyncio.to_thread(truth.read, system.database_url)

    load.ledger.receipts += markers
    violations = check(load.ledger, stored) + check_markers(load.ledger, stored, markers)
    entries = sum(len(connection.entries) for log in load.ledger.devices.values() for connection in log.connections)
    sums = ", ".join(f"{count} {what}" for what, count in summary(load.phones).items())
    made.facts += [
        f"strikes: {len(nemesis.recoveries)}; accepted {accepted / (struck - began):.0f} messages/s on average under strikes",
        f"messages: {len(load.ledger.tried)} tried, {len(load.ledger.accepted)} accepted, {len(stored.stored)} stored; "
        f"{sum(map(len, stored.mailboxes.values()))} mailbox entries on {len(load.phones)} devices: {entries} received",
        f"clients: {sums}; {len(load.ledger.receipts)} receipts heard; this process was held up for {load.slowest_tick:.1f} s at most",
        f"crowd: {load.crowd(began, struck):.1f} threads for each core on average",
        *(f"{what}: {sum(violation.kind in named for violation in violations)}" for what, named in NAMES.items()),
    ]
    assert not violations, kinds(violations)
    assert settled, load.unsettled()
    assert load.ledger.tried.keys() == stored.stored.keys(), "what was tried was repeated until it was accepted"
    assert not pages(system), pages(system)[0]
    late = [recovery for recovery in nemesis.recoveries if not recovery.is_in_time]
    assert not late, late
    overrun = max(1.0, load.crowd(began, struck) / OWN_CROWD)
    assert accepted / (struck - began) >= 300 / overrun
    assert median < 0.5 * overrun, "after the strikes, pushes and wake-ups work again"
    assert not any(phone.unwelcome for phone in load.phones), "a socket that cannot be served is closed"


NAMES = {
    "lost": {"lost", "pending", "dead"},
    "doubled": {"doubled"},
    "reordered": {"order", "not dense", "gap"},
    "differs": {"differs", "altered", "foreign", "answer", "surprise"},
    "untrue receipts or cursors": {"receipt", "cursor"},
}


async def all_of(strikes: Strikes, round_number: int) -> None:
    """One after the other; in later rounds in any order."""
    if round_number:
        random.shuffle(strikes)
    for strike in strikes:
        await strike()


async def without_broker(broker: System, nemesis: Nemesis, made: Report, round_number: int) -> None:
    """A minute without broker: the sweepers deliver. First it is only measured, then parts are struck meanwhile."""
    load = nemesis.load
    nemesis.broker_is_there = False
    await nemesis.settle()
    away = time.monotonic()
    await asyncio.to_thread(broker.stop_part, "valkey")
    await calm(load, made, "without broker")
    strikes = strikes_without_broker(nemesis, valkey_is_there=broker is not nemesis.system)
    if round_number:
        random.shuffle(strikes)
    while strikes and time.monotonic() - away < WITHOUT_BROKER_S:
        await strikes.pop(0)()
    await asyncio.sleep(max(0.0, away + WITHOUT_BROKER_S - time.monotonic()))
    made.facts.append(f"the broker was away for {time.monotonic() - away:.0f} s")
    broker.start_part("valkey")
    await asyncio.to_thread(broker.wait_ready, "valkey")
    nemesis.broker_is_there = True
    await all_of(strikes, 0)


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


def pages(system: System) -> list[str]:
    """Tracebacks in the logs of our processes: a part that is away is one line, and no thread dies of it."""
    found = []
    for name, part in system.parts.items():
        lines = Path(part.log).read_text(errors="replace").splitlines()
        for number, line in enumerate(lines):
            if name not in ("postgres", "valkey") and ("Traceback" in line or "Exception in thread" in line):
                found.append("\n".join([f"{name}:", *lines[max(0, number - 2) : number + 40]]))
    return found
