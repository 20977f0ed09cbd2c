"""`manage.py queues`: the queue map, what it carries, and how it is changed while messages flow."""

import dataclasses
import sys
from typing import Any
from uuid import UUID

import orjson
import psycopg2
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from rich.console import Console
from rich.table import Table

from accounts import users
from config import away
from delivery import balance, queueload, queuemap, wake
from delivery.backlog import age, ranges
from delivery.queueload import Measured, QueueLoad
from delivery.slots import SLOTS, slot_of
from kernel.errors import NotFound

# Where there is no terminal to say how wide it is.
PIPED_WIDTH = 150
# So long a wake-up may take to get out; after that the sweepers are as quick.
WAKE_S = 2.0


class Command(BaseCommand):
    """Shows the map with what was measured; moves slots, makes queues, isolates a recipient, balances."""

    help = "Show and change which slots belong to which queue and worker group (docs/operations.md, The queue map)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--interval", type=float, default=2.0, help="seconds to measure for (default 2)")
        parser.add_argument("--json", action="store_true", help="print JSON")
        actions = parser.add_subparsers(dest="action", metavar="move | add | remove | isolate | rebalance")
        move = actions.add_parser("move", help="give a slot to another queue")
        move.add_argument("slot", type=int)
        move.add_argument("queue")
        add = actions.add_parser("add", help="make an empty queue")
        add.add_argument("name", help="recipients.00 to recipients.63")
        add.add_argument("--group", type=int, required=True, help="the worker group that reads it")
        remove = actions.add_parser("remove", help="take an empty queue from the map")
        remove.add_argument("name", help="a queue that has no slots")
        isolate = actions.add_parser(
            "isolate", help="give a hot recipient's slot a queue and a worker group of its own"
        )
        isolate.add_argument("user", help="the recipient's name or id")
        rebalance = actions.add_parser("rebalance", help="move slots from the fullest worker group to others")
        rebalance.add_argument("--dry-run", action="store_true", help="only say what would be moved, and why")
        rebalance.add_argument("--over", type=float, default=5.0, help="seconds to measure for (default 5)")

    def handle(self, *args: Any, action: str | None, **options: Any) -> None:
        """Raises CommandError, which makes the exit status 1, for what cannot be done."""
        self.console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
        try:
            match action:
                case "move":
                    self._move(options["slot"], options["queue"])
                case "add":
                    self._add(options["name"], options["group"])
                case "remove":
                    self._remove(options["name"])
                case "isolate":
                    self._isolate(options["user"])
                case "rebalance":
                    self._rebalance(options["over"], is_dry=options["dry_run"])
                case _:
                    self._show(options["interval"], is_json=options["json"])
        except queuemap.MapRefused as error:
            raise CommandError(str(error)) from error
        except (OperationalError, psycopg2.OperationalError) as error:
            raise CommandError(away.database(error), returncode=2) from error

    def _show(self, interval: float, *, is_json: bool) -> None:
        found = queueload.measure(interval)
        if is_json:
            self.stdout.write(orjson.dumps(as_json(found), option=orjson.OPT_INDENT_2).decode())
            return
        self.console.print(table_of(found))
        if hot := found.hot:
            name = users.names([UUID(hot.user)]).get(UUID(hot.user), hot.user)
            self._say(
                f"Slot {hot.slot} gets {hot.comes:.0f}/s, {hot.share:.0%} of all. Of {hot.sampled} that wait there first, "
                f"{hot.rows} are for {name}: `manage.py queues isolate {name}`."
            )
        for group in found.map.groups:
            if not found.workers.get(group):
                self._say(f"Group {group} has no worker: {start_hint(group)}")

    def _move(self, slot: int, queue: str) -> None:
        moved = queuemap.move(slot, queue)
        if moved is None:
            self._say(f"Slot {slot} is in {queue} already.")
            return
        wake.flush(WAKE_S)
        self._say(f"Slot {slot} has moved from {moved.source} to {moved.target} (group {moved.group}).")

    def _add(self, name: str, group: int) -> None:
        queuemap.add(name, group)
        self._say(f"{name} is there, empty, in group {group}. If this group has no worker yet: {start_hint(group)}")

    def _remove(self, name: str) -> None:
        group = queuemap.remove(name).group
        self._say(f"{name} is gone.")
        if not queuemap.read_map().of_group(group):
            self._say(f"Group {group} has no queue any more: end its workers (`manage.py up` ends its own).")

    def _isolate(self, user: str) -> None:
        try:
            found = users.named(user)
        except NotFound:
            raise CommandError(f"there is no user {user!r}") from None
        slot = slot_of(found.pk)
        moved = queuemap.isolate(slot)
        if moved is None:
            self._say(f"Slot {slot} of {found.username} has a queue and a group of its own already.")
            return
        wake.flush(WAKE_S)
        self._say(
            f"Slot {slot} of {found.username} has moved from {moved.source} to {moved.target}, alone in group {moved.group}. "
            f"With it went about one in {SLOTS} of all users. If this group has no worker yet: "
            f"{start_hint(moved.group)}"
        )

    def _rebalance(self, seconds: float, *, is_dry: bool) -> None:
        found = queueload.measure(seconds)
        if found.loads is None:
            raise CommandError("Valkey is away, so nobody knows the rates", returncode=2)
        made = balance.plan(list(found.map.queues.values()), found.loads, found.workers)
        for reason in made.reasons:
            self._say(f"- {reason}")
        for step in made.steps:
            self._say(f"  slot {step.slot:2} ({step.load:.1f}/s): {step.source} -> {step.target}")
        if made.steps:
            self._say(f"Carried by group: {_carried(made.before)}; then {_carried(made.after)}.")
        if is_dry or not made.steps:
            return
        moved = 0
        try:
            for step in made.steps:
                queuemap.move(step.slot, step.target, source=step.source)
                moved += 1
        finally:
            # Each has moved for itself: if one cannot, those before it have.
            wake.flush(WAKE_S)
            self._say(f"{moved} of {len(made.steps)} slots have moved.")

    def _say(self, line: str) -> None:
        self.console.print(line, soft_wrap=True)


def start_hint(group: int) -> str:
    """How a group gets a worker."""
    return f"`manage.py worker --group {group}` (`manage.py up` starts one by itself)."


def table_of(found: Measured) -> Table:
    """The page for people."""
    table = Table(
        title=f"Queue map, version {found.map.version}; measured for {found.seconds:.1f} s", title_justify="left"
    )
    for name in ("queue", "group", "workers"):
        table.add_column(name)
    table.add_column("slots", overflow="fold")
    for name in ("waiting", "oldest", "in/s", "out/s", "set aside"):
        table.add_column(name, justify="right")
    table.add_column("lock held by")
    for queue in found.queues:
        line = queue.line
        table.add_row(
            f"{line.name}{' (reserved)' if line.reserved else ''}",
            str(line.group),
            str(found.workers.get(line.group, 0)),
            ranges(line.slots),
            str(queue.pending),
            age(queue.oldest_s) if queue.pending else "-",
            _rate(queue.comes),
            _rate(queue.goes),
            str(queue.dead),
            _holder(queue),
        )
    return table


def as_json(found: Measured) -> dict[str, Any]:
    """The same for programs."""
    return {
        "version": found.map.version,
        "seconds": found.seconds,
        "hot": None if found.hot is None else dataclasses.asdict(found.hot),
        "workers": {str(group): number for group, number in found.workers.items()},
        "queues": [
            {
                "name": queue.line.name,
                "group": queue.line.group,
                "reserved": queue.line.reserved,
                "pending": queue.pending,
                "oldest_s": queue.oldest_s,
                "in_per_s": queue.comes,
                "out_per_s": queue.goes,
                "dead": queue.dead,
                "lock_holder": queue.holder,
                "lock_held": queue.held,
                "slots": [dataclasses.asdict(slot) for slot in queue.slots],
            }
            for queue in found.queues
        ],
    }


def _rate(rate: float | None) -> str:
    return "?" if rate is None else f"{rate:.1f}"


def _holder(queue: QueueLoad) -> str:
    return f"{queue.holder} ({queue.held:.0%})" if queue.holder else "-"


def _carried(groups: Any) -> str:
    return ", ".join(f"{group}: {load:.1f}/s" for group, load in sorted(groups.items()))
