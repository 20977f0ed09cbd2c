"""`manage.py demo`: perform a play over the running system, and check every device to the last line."""

import asyncio
import tempfile
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from client import LetterlockError
from config import running
from config.demo import hostile, wiped
from config.demo.ledger import Entry, Fault, check
from config.demo.play import Part, cast_of, parts_of, read_play
from config.demo.report import print_faults, rooms_table, users_table
from config.demo.stage import Stage

WIDTH = 132  # of the tables, when nobody says how wide the screen is


class Command(BaseCommand):
    """Exit status 0 only if nothing was lost, doubled or out of order on any device."""

    help = "Perform a play over the running system: a scene is a room, a line a message; then check every device."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The options."""
        parser.add_argument("--seconds", type=float, help="perform what fits in this time (default: the whole play)")
        parser.add_argument(
            "--users", type=int, default=30, help="the speakers with the most to say (default: all, 23)"
        )
        parser.add_argument("--url", help="where the system is (default: what `manage.py up` has recorded)")
        parser.add_argument(
            "--patience", type=float, default=600, help="seconds to wait for the rates of sign-in (default: 600)"
        )
        parser.add_argument("--seed", type=int, default=1600, help="of the mishaps and of who speaks where")

    def handle(self, *_: Any, **options: Any) -> None:
        """Perform, check, report."""
        urls = [options["url"]] if options["url"] else running.read(settings.VAR_DIR).get("urls")
        if not urls:
            raise CommandError("nothing is running here: start it with `manage.py up`, or give --url")
        scenes = read_play()
        parts = parts_of(scenes, cast_of(scenes, options["users"]))
        if not parts:
            raise CommandError("--users must leave two who talk to each other")
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        with tempfile.TemporaryDirectory(prefix="letterlock-demo-") as folder:
            try:
                good = asyncio.run(_perform(console, urls, Path(folder), parts, options))
            except* LetterlockError as group:
                raise CommandError(f"the performance broke off: {_first(group)!r}") from group
        if not good:
            raise CommandError("the check found faults")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


async def _perform(console: Console, urls: list[str], folder: Path, parts: list[Part], options: dict[str, Any]) -> bool:
    began = time.monotonic()
    progress = Progress(
        TextColumn("{task.description:10}"), BarColumn(40), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    )
    bars = {
        name: progress.add_task(name, total=None) for name in ("cast", "accepted", "delivered", "a block", "a wipe")
    }
    progress.update(bars["a block"], total=hostile.STEPS)
    progress.update(bars["a wipe"], total=wiped.STEPS)
    stage = Stage(
        urls, folder, parts, seed=options["seed"], patience=options["patience"],
        told=lambda what, count: progress.advance(bars[what], count),
    )  # fmt: skip
    seconds: float | None = options["seconds"]
    devices = {speaker: len(found) for speaker, found in stage.devices.items()}
    progress.update(bars["cast"], total=sum(devices.values()))
    progress.update(bars["accepted"], total=sum(part.lines for part in parts))
    progress.update(
        bars["delivered"], total=sum(part.lines * sum(map(stage.listeners, part.speakers)) for part in parts)
    )
    console.print(
        f"{len(stage.speakers)} users on {sum(devices.values())} devices perform {len(parts)} scenes at {', '.join(urls)}"
    )

    def at(scene: str) -> None:
        # Bars show it on a screen; a log has to be told.
        if not console.is_terminal:
            console.print(f"{time.monotonic() - began:5.1f} s: {scene}", highlight=False)

    # Beside everything else: half a minute of it is the time for which a block counts as news to the blocked.
    block = asyncio.create_task(
        hostile.perform(
            urls, folder, patience=options["patience"], sees_alerts=not options["url"],
            told=lambda: progress.advance(bars["a block"]),
        )
    )  # fmt: skip
    try:
        with progress:
            at("the cast signs up")
            await stage.gather_cast()
            at("the rooms are opened")
            await stage.open_rooms()
            at("the play")
            # Setting up counts, but half of the time is for the play in any case.
            left = None if seconds is None else max(seconds / 2, seconds - (time.monotonic() - began))
            opened = time.monotonic()
            await stage.perform(left)
            played = time.monotonic() - opened
            accepted = sum(len(record.lines) for record in stage.ledger.values())
            speakers: dict[str, str] = {user: speaker for speaker, user in stage.users.items()}
            expected = sum(
                len(record.lines) * stage.listeners(speakers[user])
                for record in stage.ledger.values()
                for user in record.members
            )
            progress.update(bars["accepted"], total=accepted)
            progress.update(bars["delivered"], total=expected)
            at("everything arrives")
            settled = await stage.settle()
            at("a new device reads it all")
            late_speaker, history = await stage.join_late()
            at("a wiped device")
            restored = await wiped.perform(
                urls, folder, patience=options["patience"], told=lambda: progress.advance(bars["a wipe"])
            )
            at("the end of the block")
            outcome = await block
    finally:
        await stage.close()
        block.cancel()
        await asyncio.gather(block, return_exceptions=True)
    good = _report(console, stage, settled, late_speaker, history, played)
    console.print(str(outcome), style="green" if outcome.is_good else "red", highlight=False)
    console.print(str(restored), style="green" if restored.is_good else "red", highlight=False)
    return good and outcome.is_good and restored.is_good


def _report(
    console: Console, stage: Stage, settled: bool, late_speaker: str, history: list[Entry], played: float
) -> bool:
    names: dict[str, str] = {user: speaker for speaker, user in stage.users.items()}
    mailboxes: dict[str, dict[str, list[Entry]]] = {
        stage.users[speaker]: {device.name: device.heard for device in devices}
        for speaker, devices in stage.devices.items()
    }
    outages: dict[str, list[int]] = {
        stage.users[speaker]: [device.outages for device in devices] for speaker, devices in stage.devices.items()
    }
    mailboxes[stage.users[late_speaker]]["new"] = history
    faults: list[Fault] = check(stage.ledger, mailboxes)
    accepted = sum(len(record.lines) for record in stage.ledger.values())
    console.print(rooms_table(stage.ledger, mailboxes, faults, stage.latencies))
    console.print(users_table(names, mailboxes, faults, outages))
    console.print(
        f"{accepted} lines accepted in {played:.1f} s ({accepted / played:.0f}/s) while devices were cut off"
        f" {sum(map(sum, outages.values()))} times; {sum(d.receipts for d in stage.all_devices)} receipts;"
        f" {names[stage.users[late_speaker]]}'s new device read {len(history)} entries over REST."
    )
    console.print("Latency is from send to entry on devices that were live, all clients sharing one process.")
    print_faults(console, faults, names)
    if not settled:
        console.print("[red]not everything had arrived when the time to settle was over[/]")
    if not accepted:
        console.print("[red]nothing was sent[/]")
    if faults or not settled or not accepted:
        return False
    console.print("[green]Nothing lost, nothing doubled, every order kept, and the play is the play.[/]")
    return True
