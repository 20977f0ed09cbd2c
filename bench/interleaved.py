"""W1 on two systems in turn: what one of them costs more. The systems run side by side and are measured in interleaved
pairs, in an order that changes; a figure is what one pair's difference is of the second one's cost, and the answer is
the median over the pairs.
"""

import json
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench import machine, meter, running, systems
from bench.report import RESULTS, number
from bench.targets import WORKLOADS

W1 = next(workload for workload in WORKLOADS if workload.name == "W1")
BOUND = 0.05


@dataclass
class Arm:
    """One of the two: a system, where its cast is kept, and what differs in the generator's parameters."""

    name: str
    system: systems.System
    directory: Path
    params: dict[str, Any] = field(default_factory=dict)

    def run(self, seconds: float) -> dict[str, Any]:
        """W1 once, when the machine is quiet."""
        meter.wait_quiet(20)
        return running.run(
            W1,
            self.system,
            cast=self.directory / "cast.json",
            params={**W1.params, "warm_up": 2.0, "seconds": seconds, **self.params},
            progress=lambda *_: None,
            on_window=lambda _: None,
        )


class Comparison:
    """Pairs of runs of a first arm and a second, and what they say."""

    def __init__(self, title: str, first: str, second: str) -> None:
        self.title, self.names = title, (first, second)
        self.pairs: list[dict[str, dict[str, Any]]] = []

    @staticmethod
    def bar(console: Console) -> Progress:
        """For the time that it takes."""
        return Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )

    def measure(self, arms: Sequence[Arm], count: int, seconds: float, tell: Callable[[str], None]) -> None:
        """Run `count` pairs; `tell` hears what is going on before each run."""
        for pair in range(count):
            order = list(arms)
            random.Random(pair).shuffle(order)
            found: dict[str, dict[str, Any]] = {}
            for arm in order:
                tell(f"pair {pair + 1}: {arm.name}")
                found[arm.name] = arm.run(seconds)
            self.pairs.append(found)

    @property
    def shares(self) -> list[float]:
        """What the first costs more than the second, as a share of the second's cost, pair by pair."""
        first, second = self.names
        return [pair[first]["server_us"] / pair[second]["server_us"] - 1 for pair in self.pairs]

    @property
    def is_valid(self) -> bool:
        """Whether nothing went wrong in any run."""
        return all(result["valid"] for pair in self.pairs for result in pair.values())

    @property
    def is_within(self) -> bool:
        """Whether all is valid and the median within the bound."""
        return self.is_valid and statistics.median(self.shares) <= BOUND

    @property
    def heads(self) -> tuple[str, ...]:
        """Of the columns of `rows`."""
        return ("CPU, µs per message", *self.names, "difference")

    def rows(self) -> list[tuple[str, ...]]:
        """The table: each pair, medians, spread, the groups of processes, the bound."""
        rows = []
        for n, (pair, share) in enumerate(zip(self.pairs, self.shares, strict=True), 1):
            rows.append((f"pair {n}", *(number(pair[name]["server_us"], 1) for name in self.names), f"{share:+.1%}"))
        middle = statistics.median(self.shares)
        medians = [statistics.median(pair[name]["server_us"] for pair in self.pairs) for name in self.names]
        rows.append(("median", *(number(value, 1) for value in medians), f"{middle:+.1%}"))
        rows.append(("spread", "", "", f"{min(self.shares):+.1%} to {max(self.shares):+.1%}"))
        for group in ("web", "workers", "postgres"):
            found = [
                statistics.median(pair[name]["cpu_us"].get(group, 0.0) for pair in self.pairs) for name in self.names
            ]
            rows.append(
                (f"of which {group}, median", *(number(value, 1) for value in found), f"{found[0] / found[1] - 1:+.1%}")
            )
        rows.append(("bound", "", "", f"{BOUND:+.1%} {'reached' if middle <= BOUND else 'MISSED'}"))
        return rows

    def show(self, console: Console) -> None:
        """On the screen."""
        table = Table(*self.heads, title=self.title, title_justify="left", pad_edge=False)
        for row in self.rows():
            table.add_row(*row)
        console.print(table)
        if not self.is_valid:
            console.print("a run was INVALID", style="red")

    def keep(self, name: str, about: str, options: dict[str, Any]) -> Path:
        """Under bench/results, as JSON and as a page; `about` says what was done."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        now, facts = datetime.now(UTC), machine.facts()
        stem = RESULTS / f"{now:%Y-%m-%dT%H-%M-%SZ}-{name}"
        data = {"at": now.isoformat(timespec="seconds"), "machine": facts, "options": options, "pairs": self.pairs}
        stem.with_suffix(".json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
        changed = " with changes" if facts["changed"] else ""
        lines = [
            f"# {self.title}, {now:%Y-%m-%d %H:%M} UTC",
            "",
            f"{facts['cpu']}, {facts['cores']} cores, commit {facts['commit']}{changed}.",
            about,
            "",
            "| " + " | ".join(self.heads) + " |",
            "| --- | ---: | ---: | ---: |",
            *("| " + " | ".join(row) + " |" for row in self.rows()),
        ]
        markdown = stem.with_suffix(".md")
        markdown.write_text("\n".join(lines) + "\n")
        return markdown.relative_to(machine.ROOT)
