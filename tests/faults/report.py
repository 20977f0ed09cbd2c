"""The figures of a run, for people: the README and docs/faults.md show such a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.faults.ledger import Violation
from tests.faults.recovery import Recovery

NOTES = (
    "to recover: seconds until everything is accepted and everywhere at the full rate again; from the death of what died,",
    "from its end for what lasted (SIGSTOP, away, cut off, full). goal: what is promised, or the time clients take to come back.",
    "without: struck while that, and beat, was away.",
    "refused: seconds, counted alike, until a send was refused for the last time (worst; 10 at most).",
    "slowest: seconds that one message took. crowd: threads that wanted to run, for each core (about 1.5 when nothing else runs).",
)
# How the ledger's kinds are told.
TOLD = {
    "lost": {"lost", "pending", "dead"},
    "doubled": {"doubled"},
    "reordered": {"order", "not dense", "gap"},
    "differs": {"differs", "altered", "foreign", "answer", "surprise"},
    "untrue receipts or cursors": {"receipt", "cursor"},
}
BY_STRIKE = ("lost", "doubled", "reordered")
BETWEEN = "between strikes"


@dataclass
class Report:
    """What the sittings of one profile showed; `facts` are lines of their own making."""

    title: str
    recoveries: list[Recovery] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)
    # (what was struck when the message was under way, one of TOLD) → how many violations
    violations: Counter[tuple[str, str]] = field(default_factory=Counter)
    # Outside all strikes.
    accepted_between: int = 0
    # What this machine could not do, with the reason.
    skipped: dict[str, str] = field(default_factory=dict)

    def found(
        self, violations: Sequence[Violation], recoveries: Sequence[Recovery], times: Mapping[str, float]
    ) -> None:
        """Count each violation for the strike during which its message was composed (`times`: id → when)."""
        for violation in violations:
            at = times.get(violation.message, 0.0)
            struck = next((r.what for r in recoveries if r.struck <= at <= r.recovered), BETWEEN)
            told = next((name for name, kinds in TOLD.items() if violation.kind in kinds), "differs")
            self.violations[struck, told] += 1

    def lines(self) -> list[str]:
        """The table, and the facts."""
        head = (
            "strike",
            "strikes",
            "accepted",
            *BY_STRIKE,
            "median s",
            "worst s",
            "goal s",
            "refused",
            "slowest",
            "crowd",
        )
        kinds = dict.fromkeys(sorted(recovery.what for recovery in self.recoveries))
        rows = [head, *(self._row(what) for what in kinds)]
        between = [str(self.violations[BETWEEN, told]) for told in BY_STRIKE]
        rows.append((BETWEEN, "", f"{self.accepted_between:,}", *between, *[""] * 6))
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        table = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]
        facts = [*self.facts]
        if unjudged := sum(not recovery.is_judged for recovery in self.recoveries):
            facts.append(
                f"NOT JUDGED: {unjudged} recoveries took as long as other programs on this machine let them (crowd over 4)"
            )
        sums = [f"{told}: {sum(n for (_, kind), n in self.violations.items() if kind == told)}" for told in TOLD]
        skipped = [f"SKIPPED: {what}: {why}" for what, why in self.skipped.items()]
        return [self.title, "", *table, "", *NOTES, "", *facts, *sums, *skipped]

    def _row(self, what: str) -> tuple[str, ...]:
        found = [recovery for recovery in self.recoveries if recovery.what == what]
        took = [recovery.recovery for recovery in found]
        return (
            what,
            str(len(found)),
            f"{sum(recovery.accepted for recovery in found):,}",
            *(str(self.violations[what, told]) for told in BY_STRIKE),
            f"{median(took):.1f}",
            f"{max(took):.1f}",
            f"{found[0].within:.0f}",
            f"{max(recovery.refused for recovery in found):.1f}",
            f"{max(recovery.slowest for recovery in found):.1f}",
            f"{sum(recovery.crowd for recovery in found) / len(found):.1f}",
        )


def milliseconds(latencies: Sequence[float]) -> str:
    """Quantiles of latencies in rising order (seconds)."""
    if not latencies:
        return "none"
    at = {f"p{share}": latencies[min(len(latencies) - 1, len(latencies) * share // 100)] for share in (50, 90, 99)}
    return (
        ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in at.items())
        + f", most {latencies[-1] * 1000:.0f} ms"
    )


def kinds(violations: Sequence[Violation]) -> str:
    """How many of each kind, and the first of each."""
    first: dict[str, str] = {}
    for violation in violations:
        first.setdefault(violation.kind, violation.detail)
    return "\n".join(
        f"{sum(v.kind == kind for v in violations)} × {kind}, first: {detail}" for kind, detail in first.items()
    )
