"""`manage.py hosts`: which web processes are alive, and how much each has; `hosts drain ID`: empty one."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from config import away
from delivery import registry
from delivery.registry import HostState, RegistryAway

# Where there is no terminal to say how wide it is.
PIPED_WIDTH = 150
LOOK_S = 0.2
# Behind the time that was given, for clients that do not go by themselves; and for a host to say that it takes users again.
PATIENCE_S = 30.0
# A host that is not there for so long has not merely lost its lease.
GONE_S = 5.0


class Command(BaseCommand):
    """Shows the live hosts, empties one, or lets one take users again."""

    help = "Show the live hosts (web processes). `hosts drain ID` empties one, `hosts undrain ID` lets it take users again."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")
        verbs = parser.add_subparsers(dest="verb", metavar="drain|undrain")
        drain = verbs.add_parser("drain", help="move a host's users away; ends when it is empty")
        drain.add_argument("host", metavar="ID")
        drain.add_argument("--seconds", type=float, default=30.0, help="the moves are spread over this (default 30)")
        undrain = verbs.add_parser("undrain", help="let a host take users again")
        undrain.add_argument("host", metavar="ID")

    def handle(self, *args: Any, verb: str | None, host: str = "", seconds: float = 30.0, **options: Any) -> None:
        """Exit status 1 when there is no such host, or it did not do it in time; 2 when the registry is away."""
        try:
            match verb:
                case "drain":
                    self._drain(host, seconds)
                case "undrain":
                    self._undrain(host)
                case _:
                    self._show(is_json=options["json"])
        except RegistryAway as error:
            raise CommandError(away.registry(), returncode=2) from error

    def _show(self, *, is_json: bool) -> None:
        found = registry.current().states()
        if is_json:
            self.stdout.write(orjson.dumps(as_json(found), option=orjson.OPT_INDENT_2).decode())
            return
        table = Table("id", "url", "users", "sockets", "capacity", "lease", "state", title="Hosts")
        for state in found:
            capacity = str(state.facts.capacity or "-")
            table.add_row(
                state.id, state.facts.url, str(state.users), str(state.facts.sockets), capacity,
                f"{state.lease_ms / 1000:.1f} s", _word(state),
            )  # fmt: skip
        Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)

    def _drain(self, host: str, seconds: float) -> None:
        if seconds <= 0:
            raise CommandError("--seconds must be more than 0")
        self._check_others(host)
        self._order(host, seconds)
        try:
            # Again: somebody may be emptying the other one since.
            self._check_others(host)
        except CommandError:
            self._order(host, None)
            raise
        told = -1
        for state in _looks(host, seconds + PATIENCE_S):
            if state is None:
                self.stdout.write(f"{host} is gone")
                return
            # What it had before it heard of this says nothing: others were sent to it until then.
            if state.facts.draining and not state.facts.sockets:
                self.stdout.write(f"{host} is empty")
                return
            if state.facts.sockets != told:
                told = state.facts.sockets
                self.stdout.write(f"{host}: {told} sockets left")
        raise CommandError(f"{host} still has {max(told, 0)} sockets: is there room for them elsewhere?")

    def _undrain(self, host: str) -> None:
        self._order(host, None)
        self.stdout.write(f"{host} is told to take users again")
        for state in _looks(host, PATIENCE_S):
            if state is None:
                raise CommandError(f"{host} is gone")
            if not state.draining:
                self.stdout.write(f"{host} takes users again")
                return
        raise CommandError(f"{host} has not heard of it within {PATIENCE_S:.0f} s: is it about to end?")

    def _check_others(self, host: str) -> None:
        if not any(state.id != host and not state.draining for state in registry.current().states()):
            raise CommandError("no other host takes users: there is nowhere to move them")

    def _order(self, host: str, seconds: float | None) -> None:
        if not registry.current().drain(host, seconds):
            raise CommandError(f"there is no host {host}; `manage.py hosts` lists them")


def _looks(host: str, seconds: float) -> Iterator[HostState | None]:
    """What the registry says of a host, again and again for so long, also while it is away; None, and no more, when it is gone."""
    deadline, seen = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() < deadline:
        try:
            state = _state(host)
        except RegistryAway:
            seen = time.monotonic()
        else:
            if state is not None:
                seen = time.monotonic()
                yield state
            # Its lease may have ended only because it, or the registry, was held up: then it comes back.
            elif time.monotonic() - seen > GONE_S:
                yield None
                return
        time.sleep(LOOK_S)


def as_json(found: list[HostState]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "hosts": [
            {
                "id": state.id,
                "url": state.facts.url,
                "users": state.users,
                "sockets": state.facts.sockets,
                "capacity": state.facts.capacity,
                "lease_ms": state.lease_ms,
                "state": _word(state),
            }
            for state in found
        ]
    }


def _state(host: str) -> HostState | None:
    return next((state for state in registry.current().states() if state.id == host), None)


def _word(state: HostState) -> str:
    if state.draining:
        return "draining" if state.facts.sockets else "drained"
    return "full" if 0 < state.facts.capacity <= state.users else "open"
