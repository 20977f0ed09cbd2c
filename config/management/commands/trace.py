"""`manage.py trace <message id>`: where a message is."""

import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config import away
from config.trace import Copy, OnDevice, SetAside, Trace, Waiting, find_trace

# Where there is no terminal to say how wide it is.
PIPED_WIDTH = 150


class Command(BaseCommand):
    """Shows one message's way: accepted, waiting or set aside, in whose mailbox, acknowledged, read, refused."""

    help = "Show where a message is. Ids, names and times; never what it says. Exit status 1 when it is not in the log."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("message_id", help="the message's id")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, message_id: str, json: bool, **options: Any) -> None:
        """Raises CommandError, which makes the exit status 1, for an id that is not in the log."""
        try:
            found = find_trace(UUID(message_id))
        except ValueError:
            raise CommandError(f"{message_id!r} is not an id") from None
        except OperationalError as error:
            raise CommandError(away.database(error), returncode=2) from error
        if found is None:
            raise CommandError(f"{message_id} is not in the log: never accepted, or no longer kept")
        if json:
            self.stdout.write(orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode())
        else:
            show(found, Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH))


def show(trace: Trace, console: Console) -> None:
    """The page for people."""
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(trace):
        facts.add_row(f"[bold]{name}[/bold]", value)
    console.print(facts)
    if trace.waiting or trace.set_aside:
        console.print(_deliveries(trace.waiting, trace.set_aside))
    console.print(_copies(trace.copies))


def _facts(trace: Trace) -> list[tuple[str, str]]:
    return [
        ("message", str(trace.id)),
        (
            "accepted",
            f"{time(trace.accepted_at)}, by the sender's clock {trace.accepted_at - trace.sent_at} ms after sending",
        ),
        ("sender", f"{escape(trace.sender_name)} ({trace.sender})"),
        ("device", f"{escape(trace.device_name)} ({trace.device})"),
        ("room", f"{trace.room_kind} {trace.room}, {trace.members_now} members now"),
        ("sealed", f"{trace.alg}, epoch {trace.epoch}, {trace.bytes} bytes"),
    ]


def _deliveries(waiting: list[Waiting], set_aside: list[SetAside]) -> Table:
    table = Table(
        "state", "queue", "slot", "recipients", "since", "why", title="still to be delivered", title_justify="left"
    )
    for row in waiting:
        table.add_row(
            "[yellow]waiting[/yellow]", row.queue, str(row.slot), str(len(row.recipients)), time(row.since), ""
        )
    for dead in set_aside:
        state = f"[red]set aside[/red] (delivery {dead.id})"
        table.add_row(
            state, dead.queue, str(dead.slot), str(len(dead.recipients)), time(dead.failed_at), escape(dead.error)
        )
    return table


def _copies(copies: list[Copy]) -> Table:
    table = Table(
        "user", "where", "number", "acknowledged by", "not yet by", "read", title="recipients", title_justify="left"
    )
    for copy in copies:
        table.add_row(
            escape(copy.username),
            copy.where,
            "" if copy.seq is None else f"{copy.seq} of {copy.last_seq}",
            _devices(copy.devices, acknowledged=True),
            _devices(copy.devices, acknowledged=False),
            _read(copy),
        )
    return table


def _devices(devices: list[OnDevice], *, acknowledged: bool) -> str:
    lines = [
        f"{escape(device.name)} {str(device.device)[-6:]} (at {device.cursor}{', revoked' if device.revoked else ''})"
        for device in devices
        if device.acknowledged == acknowledged
    ]
    return "\n".join(lines)


def _read(copy: Copy) -> str:
    read = ("in private" if copy.read_in_private else "yes") if copy.read else "no"
    if copy.refusal is None:
        return read
    refusal = copy.refusal
    return f"{read}\n[red]refused: {escape(refusal.reason)}[/red] {time(refusal.at)}\nlater: {refusal.later}"


def time(ms: int) -> str:
    """A time in ms since 1970, in UTC, to the millisecond."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
