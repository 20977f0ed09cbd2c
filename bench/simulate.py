"""`python -m bench.simulate`: what the model of bench/model.py says of hosts, queues and bursts, and how many hosts and queues a rate needs."""

import argparse
import sys
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.model import COSTS, Costs, Plan, simulate

# How many hosts or queues are tried.
COUNTS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
# Messages/s of an active user.
PER_USER: Final = 0.02


def trade(costs: Costs) -> Iterator[tuple[str, Plan]]:
    """The design's trade: fewer users per host are quicker and dearer; a longer queue is cheaper and later."""
    for users, hosts, queues in (
        (50_000, 1, 1),
        (50_000, 2, 1),
        (50_000, 4, 2),
        (200_000, 2, 2),
        (200_000, 4, 4),
        (200_000, 8, 4),
    ):
        plan = Plan(
            rate=users * PER_USER, hosts=hosts, queues=queues, cores=4, apart=True, seconds=6.0, clients_here=False
        )
        yield f"{users:,} users on {hosts} hosts, {queues} queues".replace(",", " "), plan
    for burst in (10, 100, 1_000):
        plan = Plan(rate=1_000, burst=burst, hosts=2, queues=2, cores=4, apart=True, seconds=10.0, clients_here=False)
        yield f"1 000/s in bursts of {burst}", plan


def needed(costs: Costs, rate: float, p99: float) -> tuple[int, int] | None:
    """The least number of hosts (4 cores each) with which a rate has this p99 (s), and of queues with so many; None above 64."""

    def holds(hosts: int, queues: int) -> bool:
        plan = Plan(rate=rate, hosts=hosts, queues=queues, cores=4, apart=True, seconds=4.0, clients_here=False)
        return simulate(costs, plan).at(0.99) <= p99

    for hosts in COUNTS:
        if holds(hosts, hosts):
            return hosts, next(queues for queues in COUNTS if queues >= hosts or holds(hosts, queues))
    return None


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rate", type=float, help="messages/s; without it or --users the table of trades is shown")
    parser.add_argument("--users", type=int, help=f"active users, of {PER_USER:g} messages/s each, instead of a rate")
    parser.add_argument("--hosts", type=int, default=1)
    parser.add_argument("--queues", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--burst", type=int, default=1)
    parser.add_argument("--apart", action="store_true", help="hosts, workers and PostgreSQL on machines of their own")
    parser.add_argument("--p99", type=float, metavar="MS", help="say how many hosts and queues this needs for it")
    given = parser.parse_args()
    if given.users is not None and given.rate is None:
        given.rate = given.users * PER_USER
    return given


def main() -> int:
    """Print what the model says."""
    given, console = options(), Console()
    if not COSTS.exists():
        console.print(
            "There are no costs yet: python -m bench.calibrate measures them (four minutes on a quiet machine)."
        )
        return 1
    costs = Costs.load()
    if given.p99 is not None and given.rate is not None:
        found = needed(costs, given.rate, given.p99 / 1000)
        answer = (
            f"{found[0]} hosts of 4 cores, {found[1]} queues"
            if found
            else "not with 64 hosts and one PostgreSQL, of 4 cores each"
        )
        console.print(f"{given.rate:g}/s within {given.p99:g} ms (p99): {answer}")
        return 0
    plans = list(trade(costs))
    if given.rate is not None:
        plans = [
            (f"{given.rate:g}/s", Plan(given.rate, given.hosts, given.queues, given.cores, given.apart, given.burst))
        ]
    table = Table(
        "what", "p50 ms", "p90 ms", "p99 ms", "host cores", "worker cores", "database cores", title="The model"
    )
    for name, plan in plans:
        outcome = simulate(costs, plan)
        figures = [f"{outcome.at(share) * 1000:.1f}" for share in (0.5, 0.9, 0.99)]
        table.add_row(name, *figures, *(f"{outcome.busy[key]:.2f}" for key in ("hosts", "workers", "database")))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
