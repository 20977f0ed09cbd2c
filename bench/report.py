"""The table on the terminal, and the same as JSON and Markdown under bench/results/."""

import json
import statistics
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.targets import Figure, Workload

RESULTS = Path(__file__).resolve().parent / "results"
GROUPS = ("web", "workers", "beat", "supervisor", "postgres", "valkey")
SHARE_OF_OTHERS = 0.1  # cores; more than this in other hands is said


def value_of(result: dict[str, Any], key: str) -> float | None:
    """`latency.p50` is `result["latency"]["p50"]`."""
    at: Any = result
    for word in key.split("."):
        if not isinstance(at, dict) or word not in at:
            return None
        at = at[word]
    return float(at)


def summary(results: list[dict[str, Any]], figure: Figure) -> tuple[float, float, float] | None:
    """Median, smallest and largest of the valid runs."""
    values = [value for result in results if result["valid"] and (value := value_of(result, figure.key)) is not None]
    return (statistics.median(values), min(values), max(values)) if values else None


def number(value: float, digits: int) -> str:
    """With a thin gap between thousands."""
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def rows(done: list[tuple[Workload, list[dict[str, Any]]]]) -> list[tuple[str, ...]]:
    """The table of figures: work, figure, median, spread, floor, goal, verdict."""
    table: list[tuple[str, ...]] = []
    for workload, results in done:
        name = f"{workload.name} {workload.title}"
        for figure in workload.figures:
            seen = summary(results, figure)
            if seen is None and all(result["valid"] for result in results):
                continue
            verdict = ""
            if seen is not None and figure.floor is not None:
                verdict = "reached" if figure.meets(seen[0], figure.floor) else "MISSED"
            if seen is not None and figure.meets(seen[0], figure.goal):
                verdict = "goal reached"
            spread = seen is not None and len(results) > 1
            table.append(
                (
                    name,
                    f"{figure.name}, {figure.unit}",
                    "INVALID" if seen is None else number(seen[0], figure.digits),
                    f"{number(seen[1], figure.digits)} – {number(seen[2], figure.digits)}" if seen and spread else "",
                    "" if figure.floor is None else number(figure.floor, figure.digits),
                    "" if figure.goal is None else number(figure.goal, figure.digits),
                    verdict,
                )
            )
            name = ""
    return table


def costs(done: list[tuple[Workload, list[dict[str, Any]]]]) -> list[tuple[str, ...]]:
    """The table of costs: work, server CPU by group in µs per message (medians; % of a core where nothing is sent), the
    generator's, its cores, the machine's idle share, the share that its host took away for others, and cores in other hands here."""
    table = []
    for workload, results in done:
        seen = [result for result in results if result["valid"] and "cores" in result]
        if not seen:
            continue

        def middle(pick: Callable[[dict[str, Any]], float], digits: int, seen: list[dict[str, Any]] = seen) -> str:
            return number(statistics.median(map(pick, seen)), digits)

        words = [workload.name]
        for name in GROUPS:
            if "cpu_us" in seen[0]:
                words.append(middle(lambda result, name=name: result["cpu_us"].get(name, 0.0), 1))  # type: ignore[misc]
            else:
                words.append(middle(lambda result, name=name: result["cores"].get(name, 0.0) * 100, 1) + " %")  # type: ignore[misc]
        words.append(middle(lambda result: result.get("generator_us", 0.0), 1))
        words.append(middle(lambda result: result["cores"]["generator"], 2))
        words.append(middle(lambda result: result["host_idle"] * 100, 0) + " %")
        words.append(middle(lambda result: result["stolen"] * 100, 0) + " %")
        others = statistics.median(result["others"] for result in seen)
        words.append(number(others, 2) + (" !" if others > SHARE_OF_OTHERS else ""))
        words.append(number(sum(result.get("refusals", 0) for result in seen), 0))
        table.append(tuple(words))
    return table


HEADS = ("work", "figure", "median", "spread", "floor", "goal", "verdict")
COST_HEADS = (
    "server CPU, µs per message",
    *GROUPS,
    "generator",
    "its cores",
    "host idle",
    "stolen",
    "others, cores",
    "refused",
)


def complaints(done: list[tuple[Workload, list[dict[str, Any]]]]) -> list[str]:
    """A line for every run that is not valid."""
    return [
        f"{workload.name} is INVALID: "
        + "; ".join(f"{n} × {what}" for what, n in result["errors"].items())
        + " ("
        + "; ".join(result.get("examples", [])[:3])
        + ")"
        for workload, results in done
        for result in results
        if not result["valid"]
    ]


def show(done: list[tuple[Workload, list[dict[str, Any]]]], console: Console) -> None:
    """Print both tables and what went wrong."""
    figures = Table(title="Letterlock bench", title_justify="left", pad_edge=False)
    for name in HEADS:
        figures.add_column(name, justify="right" if name in ("median", "spread", "floor", "goal") else "left")
    styles = {"MISSED": "yellow", "reached": "green", "goal reached": "bold green"}
    for row in rows(done):
        figures.add_row(*row, style="red" if row[2] == "INVALID" else styles.get(row[6], ""))
    console.print(figures)
    table = Table(pad_edge=False)
    for name in COST_HEADS:
        table.add_column(name, justify="left" if name == COST_HEADS[0] else "right")
    for row in costs(done):
        table.add_row(*row)
    if table.row_count:
        console.print(table)
    for line in complaints(done):
        console.print(line, style="red", markup=False)


def keep(
    done: list[tuple[Workload, list[dict[str, Any]]]],
    facts: dict[str, object],
    options: dict[str, object],
    directory: Path = RESULTS,
) -> tuple[Path, Path]:
    """Write JSON and Markdown, named by the time; answers both paths."""
    directory.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    stem = now.strftime("%Y-%m-%dT%H-%M-%SZ")
    data = {
        "at": now.isoformat(timespec="seconds"),
        "machine": facts,
        "options": options,
        "results": {workload.name: results for workload, results in done},
    }
    as_json = directory / f"{stem}.json"
    as_json.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    machine = (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, Linux {facts['kernel']}, "
        f"Python {facts['python']}, commit {facts['commit']}{' with changes' if facts['changed'] else ''}."
    )
    lines = [
        f"# Bench of {now:%Y-%m-%d %H:%M} UTC",
        "",
        machine,
        f"Options: {', '.join(f'{name} {value}' for name, value in options.items()) or 'none'}.",
        "",
        *_markdown(HEADS, rows(done)),
        "",
        *_markdown(COST_HEADS, costs(done)),
        "",
        *complaints(done),
    ]
    as_markdown = directory / f"{stem}.md"
    as_markdown.write_text("\n".join(lines).rstrip() + "\n")
    return as_json, as_markdown


def _markdown(heads: tuple[str, ...], table: list[tuple[str, ...]]) -> list[str]:
    return [
        "| " + " | ".join(heads) + " |",
        "| " + " | ".join("---" for _ in heads) + " |",
        *("| " + " | ".join(word.replace("|", "/") for word in row) + " |" for row in table),
    ]
