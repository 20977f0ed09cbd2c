"""`python -m bench.blocks`: W1 on two systems in turn, one of which drains without looking at blocks.

Both have the same rows: everybody who takes part, and others up to `--users`, block `--blocks` people each. The systems
run side by side and are measured in interleaved pairs, in an order that changes; a figure is what one pair's difference
is of the unchecked one's cost, and the answer is the median over the pairs.
"""

import argparse
import json
import random
import signal
import statistics
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import machine, meter, running, systems
from bench.report import RESULTS, number
from bench.targets import WORKLOADS

W1 = next(workload for workload in WORKLOADS if workload.name == "W1")
BOUND = 0.05

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
    pairs: list[dict[str, dict[str, Any]]] = []
    with ExitStack() as stack:
        bar = stack.enter_context(
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=console,
            )
        )
        task = bar.add_task("starting two systems", total=2 * given.pairs + 2)
        both: dict[str, tuple[systems.System, Path]] = {}
        for name, extra in (("checked", {}), ("unchecked", {"DJANGO_SETTINGS_MODULE": "bench.blocks.settings"})):
            directory = Path(stack.enter_context(systems.private_directory()))
            system = systems.letterlock(directory, web=1, workers=1, extra=extra)
            stack.callback(system.stop)
            both[name] = system, directory
            # The cast must be there before its blocks are.
            _run(system, directory, seconds=1.0)
            _fill(directory, given.users, given.blocks)
            bar.advance(task)
        for pair in range(given.pairs):
            order = ["checked", "unchecked"]
            random.Random(pair).shuffle(order)
            found: dict[str, dict[str, Any]] = {}
            for name in order:
                bar.update(task, description=f"pair {pair + 1}: {name}")
                found[name] = _run(*both[name], seconds=given.seconds)
                bar.advance(task)
            pairs.append(found)
    shares = [pair["checked"]["server_us"] / pair["unchecked"]["server_us"] - 1 for pair in pairs]
    rows = _rows(pairs, shares)
    table = Table(*HEADS, title="The drain's block step in W1", title_justify="left", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console.print(table)
    if not given.no_keep:
        console.print(f"kept in {_keep(given, pairs, rows)}")
    valid = all(result["valid"] for pair in pairs for result in pair.values())
    if not valid:
        console.print("a run was INVALID", style="red")
    return 0 if valid and statistics.median(shares) <= BOUND else 1


def _run(system: systems.System, directory: Path, *, seconds: float) -> dict[str, Any]:
    meter.wait_quiet(20)
    params = {**W1.params, "warm_up": 2.0, "seconds": seconds}
    return running.run(
        W1, system, cast=directory / "cast.json", params=params, progress=lambda *_: None, on_window=lambda _: None
    )


def _fill(directory: Path, users: int, blocks: int) -> None:
    url = json.loads((directory / "var" / "run" / "system.json").read_text())["database_url"]
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(FILL, (users, blocks))
        cursor.execute("VACUUM ANALYZE delivery_blockcopy")
    connection.close()


HEADS = ("CPU, µs per message", "checked", "unchecked", "difference")


def _rows(pairs: list[dict[str, dict[str, Any]]], shares: list[float]) -> list[tuple[str, ...]]:
    rows = []
    for n, (pair, share) in enumerate(zip(pairs, shares, strict=True), 1):
        words = (number(pair[name]["server_us"], 1) for name in ("checked", "unchecked"))
        rows.append((f"pair {n}", *words, f"{share:+.1%}"))
    medians = [statistics.median(pair[name]["server_us"] for pair in pairs) for name in ("checked", "unchecked")]
    middle = statistics.median(shares)
    rows.append(("median", *(number(value, 1) for value in medians), f"{middle:+.1%}"))
    rows.append(("spread", "", "", f"{min(shares):+.1%} to {max(shares):+.1%}"))
    for group in ("workers", "postgres"):
        found = [
            statistics.median(pair[name]["cpu_us"].get(group, 0.0) for pair in pairs)
            for name in ("checked", "unchecked")
        ]
        rows.append(
            (f"of which {group}, median", *(number(value, 1) for value in found), f"{found[0] / found[1] - 1:+.1%}")
        )
    rows.append(("bound", "", "", f"{BOUND:+.1%} {'reached' if middle <= BOUND else 'MISSED'}"))
    return rows


def _keep(given: argparse.Namespace, pairs: list[dict[str, dict[str, Any]]], rows: list[tuple[str, ...]]) -> Path:
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    facts = machine.facts()
    stem = RESULTS / f"{now:%Y-%m-%dT%H-%M-%SZ}-blocks"
    data = {"at": now.isoformat(timespec="seconds"), "machine": facts, "options": vars(given), "pairs": pairs}
    stem.with_suffix(".json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    where = f"{facts['cpu']}, {facts['cores']} cores, commit {facts['commit']}{' with changes' if facts['changed'] else ''}."
    lines = [
        f"# The drain's block step, {now:%Y-%m-%d %H:%M} UTC",
        "",
        where,
        f"{given.users} users block {given.blocks} others each; W1 in {given.pairs} interleaved pairs of {given.seconds:g} s.",
        "",
        "| " + " | ".join(HEADS) + " |",
        "| --- | ---: | ---: | ---: |",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
    markdown = stem.with_suffix(".md")
    markdown.write_text("\n".join(lines) + "\n")
    return markdown.relative_to(machine.ROOT)


if __name__ == "__main__":
    sys.exit(main())
