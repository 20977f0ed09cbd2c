"""Which slots should move so that the worker groups carry alike. Pure: from a map and measured loads to a plan with its reasons.

A group is one drain's worth of delivery (docs/adr/0006): moving a slot within its group gains nothing, so only moves between
groups are planned. A slot is not divided: one that alone is too much can only be given a group of its own.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

# Nothing is done below this many times the mean; once something is, it goes on down to the second one. A group that cannot
# be relieved counts no longer, and it begins anew with the others.
WORTH: Final = 1.2
ENOUGH: Final = 1.05
ONE_GROUP: Final = (
    "one group carries all, and its drain takes all of its queues together, so moving slots between them gains nothing"
)
# Of the mean: a slot with less is not worth moving. Of the gap between two groups: more would only turn it round.
LEAST_SHARE: Final = 0.01
MOST_OF_GAP: Final = 0.95
# Deliveries a second, of all groups: less says nothing.
LEAST: Final = 1.0


class Line(Protocol):
    """A queue, as the map has it."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def group(self) -> int: ...  # noqa: D102
    @property
    def reserved(self) -> bool: ...  # noqa: D102
    @property
    def slots(self) -> tuple[int, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Step:
    """One slot to move, with what it carries (deliveries a second)."""

    slot: int
    source: str
    target: str
    load: float


@dataclass(frozen=True)
class Plan:
    """What to move, what each group carries before and after it, and why; `reasons` are sentences for people."""

    steps: tuple[Step, ...]
    before: Mapping[int, float]
    after: Mapping[int, float]
    reasons: tuple[str, ...]


def plan(queues: Collection[Line], loads: Mapping[int, float], served: Collection[int]) -> Plan:
    """A plan that moves few slots; only to groups that have workers (`served`), never from or to a reserved queue."""
    free = sorted((line for line in queues if not line.reserved and line.group in served), key=lambda line: line.name)
    home = {slot: line for line in free for slot in line.slots}
    carried = {line.group: 0.0 for line in free}
    for line in queues:
        if line.group in carried:
            carried[line.group] += sum(loads.get(slot, 0.0) for slot in line.slots)
    before = dict(carried)
    mean = sum(carried.values()) / len(carried) if carried else 0.0
    if reasons := _nothing_to_do(queues, before, mean, served):
        return Plan((), before, before, reasons)

    at = dict(home)
    reasons = (f"the groups carry {mean:.1f}/s on average, the fullest {max(before.values()):.1f}/s",)
    # Those that nothing keeps from sharing what they carry, and from which multiple of their mean on it is done.
    sharing, least = set(carried), WORTH
    while len(sharing) > 1:
        mean = sum(carried[group] for group in sharing) / len(sharing)
        full = max(sharing, key=lambda group: (carried[group], -group))
        empty = min(sharing, key=lambda group: (carried[group], group))
        if carried[full] <= least * mean:
            break
        gap = carried[full] - carried[empty]
        # Half the gap would make the two alike; whatever is less than the gap makes the fuller of them less full.
        theirs = [slot for slot, line in at.items() if line.group == full]
        fitting = [slot for slot in theirs if LEAST_SHARE * mean <= loads.get(slot, 0.0) <= MOST_OF_GAP * gap]
        if not fitting:
            # It keeps what it has; the others may still relieve each other.
            reasons += (_no_better(full, theirs, loads),)
            sharing.remove(full)
            least = WORTH
            continue
        slot = min(fitting, key=lambda slot: (abs(gap / 2 - loads[slot]), slot))
        at[slot] = _emptiest(empty, free, at, loads)
        carried[full] -= loads[slot]
        carried[empty] += loads[slot]
        least = ENOUGH
    steps = tuple(
        Step(slot, home[slot].name, line.name, loads[slot]) for slot, line in sorted(at.items()) if home[slot] != line
    )
    return Plan(steps, before, carried, reasons)


def _nothing_to_do(
    queues: Collection[Line], carried: Mapping[int, float], mean: float, served: Collection[int]
) -> tuple[str, ...]:
    idle = sorted({line.group for line in queues if line.slots} - set(served))
    notes = tuple(f"group {group} has no worker: its slots stay where they are" for group in idle)
    if len(carried) < 2:
        return (
            *notes,
            f"{ONE_GROUP}: `queues add NAME --group G` and a worker for that group make room",
        )
    if mean * len(carried) < LEAST:
        return (*notes, f"only {mean * len(carried):.1f} deliveries a second were measured: too few to say anything")
    if max(carried.values()) <= WORTH * mean:
        return (*notes, f"no group carries more than {WORTH} times the mean of {mean:.1f}/s")
    return ()


def _no_better(group: int, slots: Collection[int], loads: Mapping[int, float]) -> str:
    hottest = max(slots, key=lambda slot: (loads.get(slot, 0.0), -slot), default=None)
    if hottest is None:
        return f"group {group} has only reserved queues: nothing is taken from it"
    return (
        f"no slot of group {group} fits elsewhere; slot {hottest} alone carries {loads.get(hottest, 0.0):.1f}/s: "
        "`queues isolate` gives it a group of its own"
    )


def _emptiest(group: int, free: Collection[Line], at: Mapping[int, Line], loads: Mapping[int, float]) -> Line:
    """The queue of the group that carries least."""
    carried = {line.name: 0.0 for line in free if line.group == group}
    for slot, line in at.items():
        if line.name in carried:
            carried[line.name] += loads.get(slot, 0.0)
    name = min(carried, key=lambda name: (carried[name], name))
    return next(line for line in free if line.name == name)
