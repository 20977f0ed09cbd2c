"""`python -m bench.written`: how many bytes PostgreSQL writes to its log for a message, and how many it keeps.

Two saturated workloads differ in how many mailboxes a message comes to: pairs (W1) and a room of 100 (W3). What grew in each window,
divided among messages and entries, gives the two parts of both figures. Each window begins behind a checkpoint, so that the log has the
pages in full that it writes after one; at half of these rates that comes once in five minutes, here once in 12 s: rather too much than too
little. Bytes hardly depend on what else the machine does. A minute; kept in bench/costs.json, to which docs/scaling.md is held.
"""

import argparse
import json
import signal
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Final

import psycopg2
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import running, systems
from bench.model import COSTS
from bench.targets import WORKLOADS

FEW: Final = "W1"
MANY: Final = "W3"
STORED: Final = """
SELECT pg_current_wal_lsn() - '0/0', pg_database_size(current_database()),
       (SELECT count(*) FROM message_log_message), (SELECT count(*) FROM message_log_entry)
"""
# What grew: `log` and `held` in bytes, `messages`, `entries`.
Grown = Mapping[str, float]


def main() -> int:
    """0 when both were measured and kept."""
    parser = argparse.ArgumentParser(prog="python -m bench.written", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=12.0, help="length of each measured window")
    given, console = parser.parse_args(), Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    few, many = _measured(console, given.seconds)
    written = divided(few, many)
    table = Table(title="bytes of PostgreSQL", title_justify="left")
    for column in ("", "a message", "each entry", "with two entries"):
        table.add_column(column, justify="right" if column else "left")
    for what, name in (("written to its log", "log"), ("kept in tables and indexes", "held")):
        parts = written[f"{name}_bytes_per_message"], written[f"{name}_bytes_per_entry"]
        table.add_row(what, *(f"{part:,.0f}" for part in (*parts, parts[0] + 2 * parts[1])))
    console.print(table)
    COSTS.write_text(json.dumps(json.loads(COSTS.read_text()) | {"written": written}, indent=1) + "\n")
    return 0


def divided(few: Grown, many: Grown) -> dict[str, float]:
    """Bytes of a message itself and of each entry that it makes, from two workloads with few and with many entries a message."""
    entries = [grown["entries"] / grown["messages"] for grown in (few, many)]
    written = {}
    for name in ("log", "held"):
        in_all = [grown[name] / grown["messages"] for grown in (few, many)]
        entry = (in_all[1] - in_all[0]) / (entries[1] - entries[0])
        written[f"{name}_bytes_per_message"] = in_all[0] - entries[0] * entry
        written[f"{name}_bytes_per_entry"] = entry
    return written


def _measured(console: Console, seconds: float) -> list[Grown]:
    """What grew in a window of each workload."""
    found: list[Grown] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(systems.private_directory()))
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
        bar = stack.enter_context(Progress(*columns, console=console, transient=True))
        task = bar.add_task("starting", total=None)
        system = systems.letterlock(directory, web=1, workers=1, extra={})
        stack.callback(system.stop)
        for workload in (each for each in WORKLOADS if each.name in (FEW, MANY)):
            stored: list[dict[str, float]] = []
            bar.update(task, description=f"{workload.name}, {workload.title}")
            result = running.run(
                workload,
                system,
                cast=directory / "cast.json",
                params=workload.params | {"seconds": seconds},
                progress=lambda *_: None,
                on_window=lambda begins, stored=stored: stored.append(_stored(directory, behind_checkpoint=begins)),
            )
            if not result["valid"]:
                raise running.Failed(f"{workload.name}: {result['errors']} {result['examples']}")
            before, after = stored
            found.append({name: after[name] - before[name] for name in after})
    return found


def _stored(directory: Path, *, behind_checkpoint: bool) -> dict[str, float]:
    """Bytes that PostgreSQL has written to its log so far, and that its tables and indexes hold; messages and entries in them."""
    url = json.loads((directory / "var" / "run" / "system.json").read_text())["database_url"]
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            if behind_checkpoint:
                cursor.execute("CHECKPOINT")
            cursor.execute(STORED)
            row = cursor.fetchone()
    assert row
    return dict(zip(("log", "held", "messages", "entries"), map(float, row), strict=True))


if __name__ == "__main__":
    raise SystemExit(main())
