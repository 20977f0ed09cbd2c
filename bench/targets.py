"""The workloads, with what they must reach. One table; the report prints it beside the figures.

`floor` is what this version must reach, `goal` what the design sets out for; both on two cores with the generator on the
same machine, everything on: authentication, both mailboxes, acknowledgements, receipts.
"""

from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a workload: where it lies in the result, its unit, and its bounds."""

    key: str
    name: str
    unit: str
    floor: float | None = None
    goal: float | None = None
    more_is_better: bool = False
    digits: int = 0

    def meets(self, value: float, bound: float | None) -> bool | None:
        """Whether the value is as good as the bound; None without a bound."""
        if bound is None:
            return None
        return value >= bound if self.more_is_better else value <= bound


def rate(name: str, floor: float | None = None, goal: float | None = None) -> Figure:
    return Figure("per_second", name, "/s", floor, goal, more_is_better=True)


def cpu(floor: float | None = None, goal: float | None = None, of: str = "message") -> Figure:
    return Figure("server_us", f"server CPU per {of}", "µs", floor, goal)


def latency(quantile: str, floor: float | None = None, goal: float | None = None) -> Figure:
    return Figure(f"latency.{quantile}", quantile, "ms", floor, goal, digits=1)


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload: which driver runs it, with which parameters (`quick` replaces some), and its figures."""

    name: str
    title: str
    driver: str
    params: dict[str, Any]
    figures: tuple[Figure, ...]
    quick: dict[str, Any] = field(default_factory=dict)
    baseline: bool = False
    default: bool = True
    # Measured in the first of several repeats only: afterwards its processes are not fresh any more.
    once: bool = False


_SATURATED: Final = {"pairs": 50, "in_flight": 10, "warm_up": 4.0, "seconds": 12.0}
_TIMED: Final = {"pairs": 50, "warm_up": 4.0, "seconds": 15.0}
_SHORT: Final = {"warm_up": 2.0, "seconds": 5.0}
_LATENCIES: Final = (
    latency("p90"),
    latency("max"),
    Figure("answer.p50", "send to accepted, p50", "ms", digits=1),
    Figure("generator_lag.p99", "generator late by, p99", "ms", digits=1),
)
_BURST: Final = {"pairs": 50, "messages": 20_000, "pipeline": 80, "warm_up": 2.0, "deadline": 90.0}
_BURST_FIGURES: Final = (
    Figure("accepted_s", "all accepted", "s", 4, 4, digits=2),
    Figure("delivered_s", "all delivered", "s", None, 4, digits=2),
    cpu(),
)

WORKLOADS: Final = (
    Workload(
        "W1",
        "saturated 1:1, 50 pairs, 10 in flight each",
        "saturated",
        _SATURATED,
        (rate("delivered", 4_000, 6_000), cpu(350, 290)),
        _SHORT,
    ),
    Workload(
        "W1c",
        "the same, sends coalesced in frames",
        "saturated",
        _SATURATED | {"coalesce": True},
        (rate("delivered"), cpu()),
        _SHORT,
        default=False,
    ),
    Workload(
        "W2-50",
        "latency at 50/s",
        "latency",
        _TIMED | {"rate": 50},
        (latency("p50"), latency("p99"), *_LATENCIES, cpu()),
        _SHORT,
    ),
    Workload(
        "W2-200",
        "latency at 200/s",
        "latency",
        _TIMED | {"rate": 200},
        (latency("p50", 10, 5), latency("p99", 50, 25), *_LATENCIES, cpu()),
        _SHORT,
    ),
    Workload(
        "W3",
        "a room of 100 online members",
        "room",
        {"members": 100, "writers": 10, "in_flight": 2, "warm_up": 4.0, "seconds": 12.0},
        (rate("deliveries", 20_000, 33_000), cpu(of="delivery")),
        _SHORT,
    ),
    Workload(
        "W4",
        "memory of idle sockets",
        "idle",
        {"people": 100, "before": 200, "sockets": 2_000, "rest": 3.0, "seconds": 10.0},
        (
            Figure("pss_kib", "web process memory per socket (PSS)", "KiB", 60, 35, digits=1),
            Figure("rss_kib", "the same, RSS", "KiB", digits=1),
            Figure("idle_cpu", "server CPU while idle", "% of a core", digits=1),
        ),
        {"sockets": 1_000, "rest": 1.0, "seconds": 4.0},
        once=True,
    ),
    Workload(
        "W5",
        "catch-up of 2 000, device by device",
        "catch_up",
        {"devices": 10, "messages": 2_000, "rest": 2.0},
        (rate("hello to drained", 10_000, 20_000), cpu()),
        {"devices": 4, "rest": 1.0},
    ),
    Workload("W6", "burst of 20 000, one message a frame", "burst", _BURST, _BURST_FIGURES),
    Workload("W6c", "the same, sends coalesced in frames", "burst", _BURST | {"coalesce": True}, _BURST_FIGURES),
    *(
        Workload(
            f"W8-{sockets}",
            f"latency at 200/s, {sockets} sockets per host",
            "latency",
            _TIMED | {"rate": 200, "sockets": sockets},
            (latency("p50"), latency("p99"), *_LATENCIES, cpu()),
            _SHORT,
        )
        for sockets in (250, 1_000, 4_000)
    ),
    Workload(
        "B1",
        "the tutorial chat, as W1",
        "tutorial_saturated",
        _SATURATED,
        (rate("delivered"), cpu()),
        _SHORT,
        baseline=True,
    ),
    Workload(
        "B2-50",
        "the tutorial chat at 50/s",
        "tutorial_latency",
        _TIMED | {"rate": 50},
        (latency("p50"), latency("p99"), latency("max"), cpu()),
        _SHORT,
        baseline=True,
    ),
    Workload(
        "B2-200",
        "the tutorial chat at 200/s",
        "tutorial_latency",
        _TIMED | {"rate": 200},
        (latency("p50"), latency("p99"), latency("max"), cpu()),
        _SHORT,
        baseline=True,
    ),
)


def chosen(names: list[str], *, baseline: bool) -> list[Workload]:
    """The workloads by name or by the beginning of it (`W2` is both of it); without names the default ones. `baseline` adds
    the baseline's. Raises ValueError for a name that is none."""

    def matches(workload: Workload, name: str) -> bool:
        return workload.name == name or workload.name.startswith(f"{name}-")

    for name in names:
        if not any(matches(workload, name) for workload in WORKLOADS):
            raise ValueError(f"no workload {name}: there are {', '.join(w.name for w in WORKLOADS)}")
    picked = []
    for workload in WORKLOADS:
        named = any(matches(workload, name) for name in names)
        ours = named if names else workload.default and not workload.baseline
        if ours or (baseline and workload.baseline and not named):
            picked.append(workload)
    # Memory is weighed first, while the web processes are fresh: later, sockets fill what was freed and seem to cost nothing.
    return sorted(picked, key=lambda workload: workload.driver != "idle")
