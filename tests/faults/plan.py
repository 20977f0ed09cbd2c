"""Which strikes make a round, and how long what lasts lasts: all of it in a full run, a selection in `make test`."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.faults.nemesis import Nemesis

Strike = Callable[[], Awaitable[None]]

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
    # The broker, and beat with it.
    away: float
    # Whatever else is away, cut off, deaf or full.
    out: float


FULL = Lengths(frozen=30.0, away=66.0, out=10.0)
SHORT = Lengths(frozen=5.0, away=13.0, out=4.0)


def brief(nemesis: Nemesis, number: int, *, terms: bool = True) -> list[Strike]:
    """What is over at once: each kind once, on one machine or the other."""
    here, there = (number % 2 + 1, (number + 1) % 2 + 1)
    two = [part if part in nemesis.site.parts else f"{part}-{there}" for part in TWO_AT_ONCE[number % len(TWO_AT_ONCE)]]
    strikes: list[Strike] = [
        lambda: nemesis.kill(f"worker-{here}"),
        lambda: nemesis.kill(f"web-{here}"),
        lambda: nemesis.kill("valkey"),
        lambda: nemesis.kill("postgres"),
        lambda: nemesis.kill("beat"),
        lambda: nemesis.kill_session(),
        lambda: nemesis.restart_while_committing(),
        lambda: nemesis.wipe(),
        lambda: nemesis.kill(*two),
    ]
    parts = [f"worker-{there}", f"web-{there}", "valkey", "postgres", "beat"]
    if "broker" in nemesis.site.parts:
        parts.append("broker")
        strikes.append(lambda: nemesis.kill("broker"))
    if terms:
        strikes += [lambda part=part: nemesis.term(part) for part in parts]
    return strikes


def lasting(nemesis: Nemesis, number: int, lengths: Lengths) -> list[Strike]:
    """What lasts: each kind once."""
    here, there = (number % 2 + 1, (number + 1) % 2 + 1)
    site, out = nemesis.site, lengths.out
    broker = "broker" if "broker" in site.parts else "valkey"
    frozen: list[Strike] = [
        lambda: nemesis.freeze(f"web-{here}", lengths.frozen),
        lambda: nemesis.freeze(f"worker-{there}", lengths.frozen),
    ]
    strikes: list[Strike] = [
        lambda: nemesis.away(_away(lengths), [broker, "beat"], lengths.away, frozen),
        lambda: nemesis.away(f"all workers away for {out:.0f} s", ["worker-1", "worker-2"], out),
        lambda: nemesis.away(f"Valkey away for {out:.0f} s", ["valkey"], out),
        lambda: nemesis.deafen(out),
        lambda: nemesis.cut_off(out),
        lambda: nemesis.roll(),
    ]
    if site.disk is not None:
        strikes.append(lambda: nemesis.fill_disk(out))
    if site.clock is not None:
        strikes.append(lambda: nemesis.set_clock(out))
    return strikes


def in_full(nemesis: Nemesis, number: int) -> list[Strike]:
    """A round of a full run: every kind once, in any order."""
    strikes = [*brief(nemesis, number), *lasting(nemesis, number, FULL)]
    random.shuffle(strikes)
    return strikes


def in_short(nemesis: Nemesis, number: int) -> list[Strike]:
    """For `make test`: with the embedded servers every kind (the SIGTERMs in a rolling restart); with RabbitMQ what concerns it."""
    if "broker" in nemesis.site.parts:
        frozen: list[Strike] = [lambda: nemesis.freeze("worker-1", SHORT.frozen), lambda: nemesis.kill("web-2")]
        return [
            lambda: nemesis.kill("broker"),
            lambda: nemesis.kill("worker-2"),
            lambda: nemesis.term("broker"),
            lambda: nemesis.away(_away(SHORT), ["broker", "beat"], SHORT.away, frozen),
            lambda: nemesis.kill("worker-1", "postgres"),
        ]
    return [*brief(nemesis, number, terms=False), *lasting(nemesis, number, SHORT)]


def _away(lengths: Lengths) -> str:
    return f"broker and beat away for {lengths.away:.0f} s"
