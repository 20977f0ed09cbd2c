#!/usr/bin/env python
"""Letterlock's command line: `manage.py up` runs it all; `manage.py help` lists the rest."""

import os
import sys


def main() -> None:
    """Hand the command line to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    if sys.argv[1:2] in (["web"], ["worker"]):
        # Before Django loads the apps: metrics stay where they were made.
        from config.metrics import sharing

        sharing.join()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
