#!/usr/bin/env python
"""Letterlock's command line: `manage.py up` runs it all; `manage.py help` lists the rest."""

import importlib.util
import os
import sys


def main() -> None:
    """Hand the command line to Django. A variable that is nonsense, and a system that does not run, are said in a line."""
    if importlib.util.find_spec("django") is None:
        sys.exit("manage.py: this Python has no Django; use .venv/bin/python manage.py (`make run` makes it)")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.db import OperationalError

    from config import env

    try:
        _run()
    except env.Refused as refusal:
        sys.exit(f"manage.py: {refusal}")
    except OperationalError as error:
        from config import away

        if not away.is_nowhere():
            raise
        sys.exit(f"manage.py: {away.database(error)}")


def _run() -> None:
    if sys.argv[1:2] in (["web"], ["worker"]):
        # Before Django loads the apps: metrics stay where they were made.
        from config.metrics import sharing

        sharing.join()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
