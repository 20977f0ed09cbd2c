"""`python -m bench.calibrate`: measure what the model of bench/model.py is fed with, and check what it then says.

Costs come from loads of one kind: none to speak of, few messages, so that every commit carries one, more, and many. What the model
says is compared with latencies measured at other loads. Every load is measured several times, in turn, and medians count. Eight minutes
on a quiet machine, three of them for the fit; `--fit` measures nothing and works on what is kept.
"""

import argparse
import json
import signal
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import repeat
from math import log
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import machine, running, systems
from bench.model import COLD_S, COSTS, Costs, Plan, simulate
from bench.targets import WORKLOADS, Workload
from bench.watched import Watched

# Messages/s. Fed from these …
IDLE: Final = 1
FED: Final = (100, 400, 1_200)
# … and checked at these.
CHECKED: Final = (50, 200, 800)
BOUND: Final = 0.25
# Seconds that the machine may be slower or quicker for, and the share of the work that no message waits for; the pair that fits best is
# taken.
STAYS: Final = (0.01, 0.03, 0.1)
ASIDE: Final = (0.0, 0.2, 0.4, 0.6)
# Whose CPU is measured, and which costs are CPU of messages.
GROUPS: Final = ("web", "workers", "postgres", "valkey", "generator")
COMPUTED: Final = (
    "host_message", "host_cycle", "database_message", "database_cycle", "worker_message", "worker_cycle", "valkey_cycle",
    "client_message",
)  # fmt: skip


Load = dict[str, float]


def main() -> int:
    """0 when the model is within a quarter of what was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.calibrate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--fit", action="store_true", help="measure nothing: fit the model anew to what is kept")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measured window")
    parser.add_argument("--windows", type=int, default=3, help="how many of each load, in turn; medians count")
    given, console = parser.parse_args(), Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if given.fit:
        kept = json.loads(COSTS.read_text())
        windows = {int(rate): found for rate, found in kept["windows"].items()}
    else:
        windows = _measured(console, given.seconds, given.windows)
        kept = json.loads(COSTS.read_text()) | {"machine": machine.facts(), "windows": windows}
        # Before anything is computed from it, which takes a minute or two.
        COSTS.write_text(json.dumps(kept, indent=1) + "\n")
    loads = {rate: medians(found) for rate, found in windows.items()}
    costs = fitted(loads[IDLE], [loads[rate] for rate in FED])
    table, checks, worst = compared(costs, {rate: loads[rate] for rate in CHECKED if rate in loads})
    console.print(table)
    COSTS.write_text(json.dumps(kept | {"costs": asdict(costs), "checks": checks}, indent=1) + "\n")
    console.print(
        f"kept in {COSTS.relative_to(machine.ROOT)}; at most {worst:.0%} from what was measured (bound {BOUND:.0%})"
    )
    return 0 if worst <= BOUND else 1


def _measured(console: Console, seconds: float, windows: int) -> dict[int, list[Load]]:
    """Every load in turn, several times over, so that what the machine does meanwhile falls on all of them."""
    found: dict[int, list[Load]] = {rate: [] for rate in sorted({IDLE, *FED, *CHECKED})}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(systems.private_directory()))
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        bar = stack.enter_context(Progress(*columns, console=console, transient=True))
        task = bar.add_task("starting", total=None)
        system = systems.letterlock(directory, web=1, workers=1, extra={}, checkout=machine.ROOT)
        stack.callback(system.stop)
        workload = next(each for each in WORKLOADS if each.name == "W2-50")

        def run(rate: int, seconds: float) -> Load:
            watched, params = Watched(system.urls[0]), {"rate": rate, "seconds": seconds, "warm_up": 2.0}
            tell = lambda what: bar.update(task, description=f"{rate}/s: {what}")  # noqa: E731
            return _facts(_run(workload, system, directory, params, watched, tell), watched)

        for rate in (FED[0], FED[-1]):
            run(rate, 3.0)  # warms everything up
        for _ in range(windows):
            for rate, of_rate in found.items():
                of_rate.append(run(rate, seconds))
    return found


def medians(windows: Sequence[Load]) -> Load:
    """Of each figure, over the windows of one load."""
    return {name: statistics.median(window[name] for window in windows) for name in windows[0]}


def _run(
    workload: Workload, system: systems.System, directory: Path, params: Mapping[str, Any], watched: Watched, tell: Any
) -> dict[str, Any]:
    result = running.run(
        workload,
        system,
        cast=directory / "cast.json",
        params=workload.params | params,
        progress=lambda what, *_: tell(what),
        on_window=watched.window,
    )
    if not result["valid"]:
        raise running.Failed(f"{workload.name}: {result['errors']} {result['examples']}")
    return result


def _facts(result: Mapping[str, Any], watched: Watched) -> Load:
    """Messages, commits and drains per second, cores by group, and the latency's quantiles in ms."""
    seconds = result["window_s"]
    return {
        "messages": result["messages"] / seconds,
        "commits": watched.total("letterlock_commit_messages_count") / seconds,
        "drains": watched.total("letterlock_drain_deliveries_count") / seconds,
        **{name: result["cores"].get(name, 0.0) for name in GROUPS},
        "commit_ms": watched.quantile("letterlock_commit_seconds", 0.5) * 1000,
        "drain_ms": watched.quantile("letterlock_drain_seconds", 0.5) * 1000,
        **{name: result["latency"][name] for name in ("p50", "p90", "p99")},
    }


def _solved(loads: Sequence[Load], group: str, cycles: Mapping[str, float], cold: float) -> tuple[float, float, float]:
    """CPU per message and per (warm) cycle that fit all loads best, never below zero, and what is left, relative and squared."""
    rows = []
    for load in loads:
        cycle = sum(load[name] * share for name, share in cycles.items())
        rate = sum(load[name] for name in cycles) / len(cycles)
        # Sleeps of random length, as long on average; the mean of `coldness` over them.
        slept = max(0.0, 1 / rate - load["cycle_s"])
        dearer = 1 + cold * slept / (slept + COLD_S)
        rows.append((load["messages"] / load[group], cycle * dearer / load[group]))
    # Least squares of m·message + c·cycle = 1, each load weighing the same.
    mm, mc, cc = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    m, c = sum(row[0] for row in rows), sum(row[1] for row in rows)
    determinant = mm * cc - mc * mc
    found = [(m / mm, 0.0), (0.0, c / cc)]
    if determinant:
        found.append(((m * cc - c * mc) / determinant, (c * mm - m * mc) / determinant))

    def left(pair: tuple[float, float]) -> float:
        return sum((pair[0] * row[0] + pair[1] * row[1] - 1) ** 2 for row in rows)

    best = min((pair for pair in found if min(pair) >= 0), key=left)
    return *best, left(best)


def fitted(idle: Load, loads: Sequence[Load]) -> Costs:
    """The costs that explain all loads beside what an idle system does, and the unevenness that explains their latencies."""
    net = [load | {name: max(0.001, load[name] - idle[name]) for name in GROUPS} for load in loads]
    for load in net:
        load["cycle_s"] = load["commit_ms"] / 1000
    found = []
    for tenths in range(11):
        cold = tenths / 10
        each = (
            _solved(net, "web", {"commits": 0.75, "drains": 0.25}, cold),
            _solved(net, "postgres", {"commits": 0.5, "drains": 0.5}, cold),
            _solved(net, "workers", {"drains": 1.0}, cold),
            _solved(net, "valkey", {"commits": 0.5, "drains": 0.5}, cold),
        )
        found.append((sum(group[2] for group in each), cold, each))
    _, cold, (host, database, worker, valkey) = min(found)
    low = net[0]
    costs = Costs(
        host_idle=idle["web"], other_idle=idle["workers"] + idle["postgres"] + idle["valkey"],
        host_message=host[0], host_cycle=host[1], database_message=database[0], database_cycle=database[1],
        worker_message=worker[0], worker_cycle=worker[1], valkey_cycle=valkey[1],
        client_message=net[-1]["generator"] / net[-1]["messages"],
        commit_wait=max(0.0002, low["commit_ms"] / 1000 - (1 + cold) * (host[1] + database[1]) / 2 - database[0] / 2),
        drain_wait=max(0.0002, low["drain_ms"] / 1000 - (1 + cold) * (worker[1] + database[1] / 2) - database[0] / 2),
        cold=cold, aside=0.0, spread=0.0, stays=0.01, hop=0.0,
    )  # fmt: skip
    costs = _as_busy(costs, loads)
    with ProcessPoolExecutor() as pool:
        tried = [replace(costs, aside=aside, stays=stays) for aside in ASIDE for stays in STAYS]
        _, costs = min(pool.map(_uneven, tried, repeat(loads)), key=lambda found: found[0])
    return _balanced(_uneven(_as_busy(costs, loads), loads)[1], loads)


def _as_busy(costs: Costs, loads: Sequence[Load]) -> Costs:
    """The same, dearer by as much as keeps the model's machine as busy as the measured one was.

    What was measured are averages over quick times and slow ones. In slow times fewer cycles carry the same messages, so that a model
    that spends the average on each cycle computes less than the system did: 9 % less at 800 messages/s.
    """
    ratios = [
        sum(load[group] for group in GROUPS) / simulate(costs, Plan(rate=load["messages"], seconds=20.0)).busy["hosts"]
        for load in loads
    ]
    dearer = statistics.geometric_mean(ratios)
    return replace(costs, **{name: getattr(costs, name) * dearer for name in COMPUTED})


def _uneven(costs: Costs, loads: Sequence[Load]) -> tuple[float, Costs]:
    """`spread` and `hop` so that the lowest load's latency comes out; and how far the others' quantiles are then from what they were."""
    low = loads[0]
    plan = Plan(rate=low["messages"], seconds=40.0)
    for _ in range(2):
        least, most = 0.0, 2.0
        for _ in range(7):
            middle = (least + most) / 2
            said = simulate(replace(costs, spread=middle), plan).at(0.99) * 1000
            least, most = (middle, most) if said < low["p99"] else (least, middle)
        costs = replace(costs, spread=(least + most) / 2)
        short = low["p50"] / 1000 - simulate(costs, plan).at(0.5)
        costs = replace(costs, hop=max(0.0, costs.hop + short))
    off = 0.0
    for load in loads[1:]:
        outcome = simulate(costs, Plan(rate=load["messages"], seconds=20.0))
        off += sum(abs(log(outcome.at(share) * 1000 / load[name])) for name, share in (("p50", 0.5), ("p99", 0.99)))
    return off, costs


def _balanced(costs: Costs, loads: Sequence[Load]) -> Costs:
    """`spread` so that the p99 of all loads together are neither too high nor too low, and the lowest load's median as before."""
    least, most = costs.spread / 2, costs.spread + 0.3
    for _ in range(5):
        costs = replace(costs, spread=(least + most) / 2)
        outcomes = [simulate(costs, Plan(rate=load["messages"], seconds=20.0)) for load in loads]
        off = sum(log(outcome.at(0.99) * 1000 / load["p99"]) for outcome, load in zip(outcomes, loads, strict=True))
        least, most = (least, costs.spread) if off > 0 else (costs.spread, most)
        costs = replace(costs, hop=max(0.0, costs.hop + loads[0]["p50"] / 1000 - outcomes[0].at(0.5)))
    return costs


def compared(costs: Costs, measured: Mapping[int, Mapping[str, float]]) -> tuple[Table, list[dict[str, float]], float]:
    """A table of what the model says beside what was measured, the same as data, and the largest relative difference."""
    table = Table("messages/s", "", "measured ms", "model ms", "difference", title="The model and the system")
    checks, worst = [], 0.0
    for rate, latency in measured.items():
        # A p99 of 100 messages or more.
        outcome = simulate(costs, Plan(rate=latency["messages"], seconds=max(40.0, 10_000 / latency["messages"])))
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            said = outcome.at(share) * 1000
            difference = said / latency[name] - 1
            worst = max(worst, abs(difference))
            table.add_row(str(rate), name, f"{latency[name]:.1f}", f"{said:.1f}", f"{difference:+.0%}")
            checks.append({"rate": rate, "quantile": share, "measured_ms": latency[name], "model_ms": said})
    return table, checks, worst


if __name__ == "__main__":
    sys.exit(main())
