"""Which strikes make a round, and how long what lasts lasts: all of it in a full run, a selection in `make test`."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.faults.nemesis import Nemesis
from tests.faults.recovery import Strike

TWO_AT_ONCE = (
    ("worker", "valkey"),
    ("worker", "postgres"),
    ("web", "postgres"),
    ("web", "worker"),
    ("valkey", "postgres"),
)


@dataclass(frozen=True)
class Lengths:
    """Seconds."""

    frozen: float
    # A worker by itself; long enough for its work to be taken over and to be watched then.
    stalled: float
    # The broker, and beat with it.
    away: float
    # The channel layer; long enough for hosts to notice and to be watched then.
    deaf: float
    # Whatever else is away, cut off or full.
    out: float
    # Between what is struck while the broker is away.
    alone: float


FULL = Lengths(frozen=30.0, stalled=30.0, away=75.0, deaf=10.0, out=10.0, alone=3.0)
SHORT = Lengths(frozen=5.0, stalled=9.0, away=4.0, deaf=6.0, out=4.0, alone=2.0)
# Something is struck meanwhile.
SHORT_WITHOUT_BROKER_S = 13.0


def brief(nemesis: Nemesis, number: int, *, terms: bool = True) -> list[Strike]:
    """What is over at once: each kind once, on one machine or the other."""
    here, there = (number % 2 + 1, (number + 1) % 2 + 1)
    two = [part if part in nemesis.site.parts else f"{part}-{there}" for part in TWO_AT_ONCE[number % len(TWO_AT_ONCE)]]
    strikes: list[Strike] = [
        nemesis.kill(f"worker-{here}"),
        nemesis.kill(f"web-{here}"),
        nemesis.kill("valkey"),
        nemesis.kill("postgres"),
        nemesis.kill("beat"),
        nemesis.kill_session(),
        nemesis.restart_while_committing(),
        nemesis.wipe(),
        nemesis.kill(*two),
    ]
    parts = [f"worker-{there}", f"web-{there}", "valkey", "postgres", "beat"]
    if "broker" in nemesis.site.parts:
        parts.append("broker")
        strikes.append(nemesis.kill("broker"))
    if terms:
        strikes += [nemesis.term(part) for part in parts]
    return strikes


def lasting(nemesis: Nemesis, number: int, lengths: Lengths) -> list[Strike]:
    """What lasts: each kind once."""
    here, there = (number % 2 + 1, (number + 1) % 2 + 1)
    site, out = nemesis.site, lengths.out
    frozen: list[Strike] = [
        nemesis.freeze(f"web-{here}", lengths.frozen),
        nemesis.freeze(f"worker-{there}", lengths.stalled),
    ]
    strikes: list[Strike] = [
        # In the short run, that is struck without RabbitMQ only.
        _broker_away(nemesis, lengths, frozen if lengths == FULL else ()),
        # By themselves too: only while there is a broker can a worker be frozen in a drain that it was woken for.
        *frozen,
        nemesis.away(f"all workers away for {out:.0f} s", ["worker-1", "worker-2"], out),
        nemesis.away(f"Valkey away for {out:.0f} s", ["valkey"], out),
        nemesis.deafen(lengths.deaf),
        nemesis.cut_off(out),
        nemesis.roll(),
    ]
    if site.disk is not None:
        strikes.append(nemesis.fill_disk(out))
    if site.clock is not None:
        strikes.append(nemesis.set_clock(out))
    return strikes


def in_full(nemesis: Nemesis, number: int) -> list[Strike]:
    """A round of a full run: every kind once, in any order."""
    others = [part for part in ("beat", "valkey", "postgres", "broker") if part in nemesis.site.parts]
    strikes = [
        *brief(nemesis, number),
        *lasting(nemesis, number, FULL),
        *(nemesis.freeze(part, FULL.frozen) for part in others),
    ]
    random.shuffle(strikes)
    return strikes


def in_short(nemesis: Nemesis, number: int) -> list[Strike]:
    """For `make test`: with the embedded servers every kind (the SIGTERMs in a rolling restart); with RabbitMQ what concerns it."""
    if "broker" in nemesis.site.parts:
        frozen: list[Strike] = [nemesis.freeze("worker-1", SHORT.frozen), nemesis.kill("web-2")]
        return [
            nemesis.kill("broker"),
            nemesis.term("broker"),
            _broker_away(nemesis, replace(SHORT, away=SHORT_WITHOUT_BROKER_S), frozen),
            nemesis.kill("worker-1", "postgres"),
        ]
    return [*brief(nemesis, number, terms=False), *lasting(nemesis, number, SHORT)]


def only(strikes: Sequence[Strike], text: str) -> list[Strike]:
    """Those that have one of these in the name of their kind; several are separated by commas."""
    return [strike for strike in strikes if any(part.strip() in strike.what for part in text.split(","))]


def none_of(strikes: Sequence[Strike], text: str) -> str:
    """What to tell whoever asked for such, when there is none."""
    kinds = "".join(f"\n  {what}" for what in sorted({strike.what for strike in strikes}))
    return f"No kind of strike has {text!r} in its name. There are:{kinds}"


def _broker_away(nemesis: Nemesis, lengths: Lengths, meanwhile: Sequence[Strike]) -> Strike:
    """The broker, whichever it is, and beat with it."""
    parts = ["broker" if "broker" in nemesis.site.parts else "valkey", "beat"]
    what = f"broker and beat away for {lengths.away:.0f} s"
    return nemesis.away(what, parts, lengths.away, meanwhile, alone=lengths.alone)
