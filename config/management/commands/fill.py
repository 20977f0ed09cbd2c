"""`manage.py fill`: a database of the size that one wants to measure at."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from config.fill import LARGE_GROUP, Sizes, fill


class Command(BaseCommand):
    """Fills the database with made-up users, rooms and messages. For measuring, on a database of its own."""

    help = "Fill the database with made-up users and messages, to measure pages and queries at that size. Not for a database in use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--messages", type=float, default=5.0, metavar="MILLIONS", help="millions of messages (default 5)"
        )
        parser.add_argument(
            "--users", type=int, default=100_000, help=f"users, at least {LARGE_GROUP} (default 100000)"
        )
        parser.add_argument(
            "--pending", type=int, default=0, help="of the messages, so many still to be delivered (default 0)"
        )
        parser.add_argument("--dead", type=int, default=0, help="of the messages, so many set aside (default 0)")

    def handle(self, *args: Any, messages: float, users: int, pending: int, dead: int, **options: Any) -> None:
        """Writes in batches; what is written when it is stopped stays."""
        sizes = Sizes(int(messages * 1_000_000), users, pending, dead)
        if users < LARGE_GROUP or min(pending, dead) < 0 or sizes.messages < max(1, pending + dead):
            raise CommandError(f"at least {LARGE_GROUP} users, and no more pending and dead than messages")
        console = Console(file=sys.stdout)
        bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        with bar:
            task = bar.add_task("messages", total=sizes.messages)
            for done in fill(sizes):
                bar.update(task, completed=done)
        self.stdout.write(f"{sizes.messages} messages of {users} users are there; {pending} wait, {dead} are set aside")
