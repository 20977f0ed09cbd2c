"""`manage.py webclient`: build, check and test the web client with Node, where there is Node."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from config.webclient import build


class Command(BaseCommand):
    """`build` builds it when something has changed; `check` and `test` run its linter, its types, its unit tests."""

    help = "Build the web client (build), lint it and check its types (check), run its unit tests (test)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("what", choices=("build", "check", "test"))
        parser.add_argument("--or-go-on", action="store_true", help="where it cannot be built, say so and succeed")

    def handle(self, *args: Any, what: str, or_go_on: bool, **options: Any) -> None:
        """Fails where Node is missing, unless told to go on; in CI (`CI=true`) always."""
        try:
            if what == "build":
                if build.build():
                    self.stdout.write(f"The web client is built: {build.DIST}")
                return
            build.node()
            with build.alone():
                build.install()
            build.npm("run", what, shown=True)
        except build.CannotBuild as refusal:
            sentence = f"The web client could not be {'built' if what == 'build' else what + 'ed'}: {refusal}."
            if not or_go_on or os.environ.get("CI") == "true":
                raise CommandError(sentence) from refusal
            self.stderr.write(self.style.WARNING(f"{sentence} {GOES_ON[what]}"))


GOES_ON = {
    "build": "The API is served without it.",
    "check": "The rest is checked.",
    "test": "The rest is tested.",
}
