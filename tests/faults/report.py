"""The figures of a run, for people: docs/faults.md shows such a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.ledger import Violation
from tests.faults.nemesis import Recovery

NOTES = (
    "restarted: seconds from the strike; recovered, ready: from the restart; slowest: what a message took; each the longest",
    "crowd: threads of this machine that wanted to run, for each core (about 1.5 when nothing else runs)",
)


@dataclass
class Report:
    """What one run showed; `facts` are lines of its own making."""

    title: str
    recoveries: list[Recovery] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The table, and the facts."""
        head = ("strike", "times", "restarted", "recovered", "ready", "slowest", "crowd")
        rows = [head, *(self._row(what) for what in dict.fromkeys(r.what for r in self.recoveries))]
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        table = ["  ".join(cell.ljust(w) if not n else cell.rjust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))) for row in rows]
        return [self.title, "", *table, "", *NOTES, "", *self.facts]

    def _row(self, what: str) -> tuple[str, ...]:
        found = [recovery for recovery in self.recoveries if recovery.what == what]
        ready = [recovery.ready for recovery in found if recovery.ready is not None]
        return (
            what,
            str(len(found)),
            f"{max(recovery.restart for recovery in found):.1f}",
            f"{max(recovery.recovery for recovery in found):.1f}",
            f"{max(ready):.1f}" if ready else "-",
            f"{max(recovery.slowest for recovery in found):.1f}",
            f"{sum(recovery.crowd for recovery in found) / len(found):.1f}",
        )


def milliseconds(latencies: Sequence[float]) -> str:
    """Quantiles of latencies in rising order (seconds)."""
    if not latencies:
        return "none"
    at = {f"p{share}": latencies[min(len(latencies) - 1, len(latencies) * share // 100)] for share in (50, 90, 99)}
    return ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in at.items()) + f", most {latencies[-1] * 1000:.0f} ms"


def kinds(violations: Sequence[Violation]) -> str:
    """How many of each kind, and the first of each."""
    first: dict[str, str] = {}
    for violation in violations:
        first.setdefault(violation.kind, violation.detail)
    return "\n".join(f"{sum(v.kind == kind for v in violations)} × {kind}, first: {detail}" for kind, detail in first.items())
