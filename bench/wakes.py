"""`python -m bench.wakes`: how many tasks go through the broker.

A wake-up is published for a group of queues that sleeps; the busier it is, the fewer there are. Messages come as in W2, at random moments
from 50 writers, to recipients of one group; the system counts what it publishes (`letterlock_wake_ups_total`).
"""

import argparse
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import running, systems
from bench.targets import WORKLOADS
from bench.watched import Watched

RATES: Final = (2, 5, 10, 20, 50, 200, 600)
# A drain waits 50 ms for more before its group sleeps, so it is woken 20 times a second at most. Tasks/s.
BOUND: Final = 20.0


def main() -> int:
    """0 when no load made more tasks than the bound."""
    parser = argparse.ArgumentParser(prog="python -m bench.wakes", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each measured window")
    given, console = parser.parse_args(), Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    workload = next(each for each in WORKLOADS if each.name == "W2-50")
    table = Table(title="wake-ups of one group of queues", title_justify="left")
    for column in ("messages/s", "tasks/s", "tasks per message", "p50"):
        table.add_column(column, justify="right")
    worst = 0.0
    with ExitStack() as stack:
        directory = Path(stack.enter_context(systems.private_directory()))
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        bar = stack.enter_context(Progress(*columns, console=console, transient=True))
        task = bar.add_task("starting", total=len(RATES))
        system = systems.letterlock(directory, web=1, workers=1, extra={})
        stack.callback(system.stop)
        for rate in RATES:
            bar.update(task, description=f"{rate}/s")
            watched = Watched(system.urls[0])
            result = running.run(
                workload,
                system,
                cast=directory / "cast.json",
                params=workload.params | {"rate": rate, "seconds": given.seconds, "warm_up": 2.0},
                progress=lambda *_: None,
                on_window=watched.window,
            )
            if not result["valid"]:
                raise running.Failed(f"{rate}/s: {result['errors']} {result['examples']}")
            tasks, messages = watched.total("letterlock_wake_ups_total"), result["messages"]
            per_second = tasks / result["window_s"]
            worst = max(worst, per_second)
            sent = messages / result["window_s"]
            table.add_row(
                f"{sent:.1f}",
                f"{per_second:.1f}",
                f"{tasks / max(1, messages):.3f}",
                f"{result['latency']['p50']:.1f} ms",
            )
            bar.advance(task)
    console.print(table)
    return 0 if worst <= BOUND else 1


if __name__ == "__main__":
    raise SystemExit(main())
