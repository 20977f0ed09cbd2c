"""`manage.py restored`: what must be done once after a backup was restored that lacks the newest messages."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import devices


class Command(BaseCommand):
    """Signs every device out.

    Devices know entries that the restored mailboxes have not, and the numbers of those will be given again, to others. A device
    that went on with what it has would take the new entries for the old ones and never show them. One that signs in anew begins
    with the mailbox as it is now.
    """

    help = "After a restore that lost messages: have every device sign in anew. Not needed when nothing was lost."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--yes", action="store_true", help="do it without asking")

    def handle(self, *args: Any, yes: bool, **options: Any) -> None:
        """Asks, unless told not to."""
        if not yes and input("Sign out every device of every user? [y/N] ").strip().lower() != "y":
            raise CommandError("nothing was done")
        self.stdout.write(f"{devices.revoke_all()} devices are signed out.")
