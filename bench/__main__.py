"""`python -m bench`: start a system of its own, load it, and say what came out beside what should."""

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench import machine, meter, profiling, report, running, systems
from bench.baseline.system import Baseline
from bench.targets import WORKLOADS, Workload, chosen


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"of {', '.join(w.name for w in WORKLOADS)}")
    parser.add_argument("--quick", action="store_true", help="short windows: for a look, not for a record")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run each N times; medians and spread")
    parser.add_argument("--baseline", action="store_true", help="the tutorial chat afterwards, in the same run")
    parser.add_argument("--profile", action="store_true", help="profiles of web and workers while measuring (py-spy)")
    parser.add_argument("--web", type=int, default=1, metavar="N", help="web processes")
    parser.add_argument("--workers", type=int, default=1, metavar="M", help="Celery workers")
    parser.add_argument("--seconds", type=float, help="length of the measured windows")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the workloads")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="environment of the system")
    parser.add_argument(
        "--attach", action="append", default=[], metavar="URL", help="measure a system that runs already"
    )
    parser.add_argument("--group", action="append", default=[], metavar="NAME=PORT|pid:PID", help="its other processes")
    parser.add_argument(
        "--patient",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait up to this long before each workload for others on the machine to be quiet",
    )
    parser.add_argument("--no-keep", action="store_true", help="leave bench/results/ alone")
    return parser.parse_args()


def params_of(workload: Workload, given: argparse.Namespace) -> dict[str, Any]:
    """The parameters of a workload with what the command line says."""
    params = workload.params | (workload.quick if given.quick else {})
    if given.seconds and "seconds" in params:
        params["seconds"] = given.seconds
    for pair in given.set:
        name, _, value = pair.partition("=")
        if name in params or name in ("bytes", "coalesce"):
            params[name] = type(params.get(name, 0))(float(value))
    return params


def main() -> int:
    """Run what was asked for. 0 when every run was valid."""
    given = options()
    console = Console()
    # Ended from outside, it must not leave its system behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        work = chosen(given.workloads, baseline=given.baseline)
    except ValueError as error:
        console.print(str(error), style="red")
        return 2
    done: dict[str, list[dict[str, Any]]] = {workload.name: [] for workload in work}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(systems.private_directory()))
        bar = stack.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[count]}"),
                TimeElapsedColumn(),
                console=console,
                transient=True,
            )
        )
        try:
            for ours in (True, False):
                part = [workload for workload in work if workload.baseline is not ours]
                if not part:
                    continue
                task = bar.add_task("starting", total=None, count="")
                system = _system(directory, given, baseline=not ours)
                stack.callback(system.stop)
                for turn in range(given.repeat):
                    for workload in part:
                        if turn and workload.once:
                            continue
                        done[workload.name].append(_one(workload, system, directory, given, bar, task))
                bar.remove_task(task)
                # The other one runs on an idle machine.
                system.stop()
        except (systems.NotReady, running.Failed) as error:
            console.print(str(error), style="red", markup=False)
            return 1
        except KeyboardInterrupt:
            console.print("interrupted", style="red")
    ready = [(workload, done[workload.name]) for workload in work if done[workload.name]]
    if not ready:
        return 1
    report.show(ready, console)
    if not given.no_keep:
        shown = {name: value for name, value in vars(given).items() if value and name != "no_keep"}
        for path in report.keep(ready, machine.facts(), shown):
            console.print(f"kept in {os.path.relpath(path)}")
    return 0 if all(result["valid"] for _, results in ready for result in results) else 1


def _system(directory: Path, given: argparse.Namespace, *, baseline: bool) -> systems.System:
    env = dict(pair.split("=", 1) for pair in given.env)
    if baseline:
        return Baseline(directory)
    if given.attach:
        return systems.attached(given.attach, given.group)
    return systems.letterlock(directory, web=given.web, workers=given.workers, extra=env)


def _one(
    workload: Workload, system: systems.System, directory: Path, given: argparse.Namespace, bar: Progress, task: Any
) -> dict[str, Any]:
    bar.update(task, description=f"{workload.name} waits for a quiet machine", total=None, count="")
    meter.wait_quiet(given.patient)
    profiler = profiling.Profiler(system, workload.name) if given.profile else None

    def progress(what: str, at: float, of: float, count: int | None) -> None:
        bar.update(task, description=f"{workload.name} {what}", completed=at, total=of, count=f"{count or ''}")

    def on_window(begins: bool) -> None:
        if profiler is not None:
            (profiler.start if begins else profiler.stop)()

    result = running.run(
        workload,
        system,
        cast=directory / "cast.json",
        params=params_of(workload, given),
        progress=progress,
        on_window=on_window,
    )
    words = ", ".join(
        f"{figure.name} {report.number(value, figure.digits)} {figure.unit}"
        for figure in workload.figures
        if (value := report.value_of(result, figure.key)) is not None
    )
    state = (
        "" if result["valid"] else "  INVALID: " + "; ".join(f"{n} × {what}" for what, n in result["errors"].items())
    )
    bar.console.print(f"{workload.name}: {words}{state}", highlight=False, markup=False)
    return result


if __name__ == "__main__":
    sys.exit(main())
