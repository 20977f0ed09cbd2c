"""`manage.py partitions`: the message table's months; makes the coming ones, and drops old ones when told to."""

from argparse import ArgumentParser
from datetime import UTC, date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from messages import partitions


class Command(BaseCommand):
    help = "Make the coming months' partitions of the message table; with --drop-before, drop old ones. Lists what is there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--months-ahead", type=int, default=partitions.MONTHS_AHEAD, choices=range(1, 25))
        parser.add_argument("--drop-before", metavar="YYYY-MM-DD", help="drop the months that end before this day")
        parser.add_argument("--drop-old", action="store_true", help="drop what MESSAGE_RETENTION_DAYS lets go")

    def handle(self, *args: Any, **options: Any) -> None:
        made = partitions.ensure(options["months_ahead"])
        dropped = []
        if options["drop_before"]:
            try:
                day = date.fromisoformat(options["drop_before"])
            except ValueError as error:
                raise CommandError("--drop-before takes a day as YYYY-MM-DD") from error
            if day > datetime.now(UTC).date():
                raise CommandError("--drop-before takes a day that has come: the coming months are in use already")
            dropped += partitions.drop_before(day)
        if options["drop_old"]:
            dropped += partitions.drop_old()
        for word, months in (("made", made), ("dropped", dropped)):
            for month in months:
                self.stdout.write(f"{word} {month.table}")
        self.stdout.write("present " + ", ".join(month.table for month in partitions.list_partitions()))
