"""`python -m bench.sealing --before COMMIT`: W1 with sealed bodies on this checkout, and on an earlier one without encryption.

Bodies have the same size on both sides: here they are sealed beforehand for listed devices under the room's epoch, there
they are random bytes. The earlier checkout is a worktree of this repository, run with the same Python and libraries.
"""

import argparse
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from bench import systems
from bench.interleaved import Arm, Comparison
from bench.machine import ROOT

# The last commit whose server took any body.
BEFORE = "790a365"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.sealing", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT", help="what to compare with")
    parser.add_argument("--pairs", type=int, default=7, metavar="N")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the measured windows")
    parser.add_argument("--bytes", type=int, default=348, help="of a sealed body; 348 is a text of 120 characters")
    parser.add_argument("--no-keep", action="store_true", help="leave bench/results/ alone")
    return parser.parse_args()


def main() -> int:
    """0 when the median is within the bound and every run was valid."""
    given = options()
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = Comparison("Sealed messages against opaque ones before", "sealed", "before")
    with ExitStack() as stack:
        bar = stack.enter_context(Comparison.bar(console))
        task = bar.add_task("starting two systems", total=2 * given.pairs + 2)
        worktree = Path(stack.enter_context(systems.private_directory())) / "before"
        _git("worktree", "add", "--detach", str(worktree), given.before)
        stack.callback(_git, "worktree", "remove", "--force", str(worktree))
        arms = []
        for name, checkout, params in (("sealed", ROOT, {}), ("before", worktree, {"alg": "bench.v1"})):
            directory = Path(stack.enter_context(systems.private_directory()))
            system = systems.letterlock(directory, web=1, workers=1, extra={}, checkout=checkout)
            stack.callback(system.stop)
            arms.append(Arm(name, system, directory, {"bytes": given.bytes, **params}))
            arms[-1].run(seconds=1.0)
            bar.advance(task)
        found.measure(arms, given.pairs, given.seconds, lambda what: bar.update(task, advance=1, description=what))
    found.show(console)
    if not given.no_keep:
        about = (
            f"Bodies of {given.bytes} bytes; before is commit {given.before}; W1 in {given.pairs} interleaved pairs "
            f"of {given.seconds:g} s."
        )
        console.print(f"kept in {found.keep('sealing', about, vars(given))}")
    return 0 if found.is_within else 1


def _git(*words: str) -> None:
    subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
