"""`python -m bench.blocks`: W1 on two systems in turn, one of which drains without looking at blocks.

Both have the same rows: everybody who takes part, and others up to `--users`, block `--blocks` people each.
"""

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg2
from rich.console import Console

from bench import systems
from bench.interleaved import Arm, Comparison

FILL = """
INSERT INTO delivery_blockcopy (recipient_id, sender_id, everywhere, direct, held, known_version, hides_after, frozen_reads, blocked_at)
SELECT u.id, gen_random_uuid(), true, true, false, 1, 0, '{}', now()
FROM (SELECT id FROM accounts_user UNION ALL
      SELECT gen_random_uuid() FROM generate_series(1, %s - (SELECT count(*) FROM accounts_user))) u, generate_series(1, %s)
"""


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.blocks", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("--pairs", type=int, default=7, metavar="N")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the measured windows")
    parser.add_argument("--users", type=int, default=10_000, help="who block others")
    parser.add_argument("--blocks", type=int, default=50, help="of each")
    parser.add_argument("--no-keep", action="store_true", help="leave bench/results/ alone")
    return parser.parse_args()


def main() -> int:
    """0 when the median is within the bound and every run was valid."""
    given = options()
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = Comparison("The drain's block step", "checked", "unchecked")
    with ExitStack() as stack:
        bar = stack.enter_context(Comparison.bar(console))
        task = bar.add_task("starting two systems", total=2 * given.pairs + 2)
        arms = []
        for name, extra in (("checked", {}), ("unchecked", {"DJANGO_SETTINGS_MODULE": "bench.blocks.settings"})):
            directory = Path(stack.enter_context(systems.private_directory()))
            system = systems.letterlock(directory, web=1, workers=1, extra=extra)
            stack.callback(system.stop)
            arms.append(Arm(name, system, directory))
            # The cast must be there before its blocks are.
            arms[-1].run(seconds=1.0)
            _fill(directory, given.users, given.blocks)
            bar.advance(task)
        found.measure(arms, given.pairs, given.seconds, lambda what: bar.update(task, advance=1, description=what))
    found.show(console)
    if not given.no_keep:
        about = f"{given.users} users block {given.blocks} others each; W1 in {given.pairs} interleaved pairs of {given.seconds:g} s."
        console.print(f"kept in {found.keep('blocks', about, vars(given))}")
    return 0 if found.is_within else 1


def _fill(directory: Path, users: int, blocks: int) -> None:
    url = json.loads((directory / "var" / "run" / "system.json").read_text())["database_url"]
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(FILL, (users, blocks))
        cursor.execute("VACUUM ANALYZE delivery_blockcopy")
    connection.close()


if __name__ == "__main__":
    sys.exit(main())
