"""`manage.py worker`: one Celery worker of one group of queues, with the sweeper beside it."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from celery.signals import worker_ready
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.utils import Error as DatabaseError

from config.celery import app
from config.queues import MAINTENANCE
from delivery import queuemap, sweeper
from kernel import interpreter


class Command(BaseCommand):
    """Drains the queues of its group: when woken through the broker, and without the broker when it is overdue."""

    help = "Run one Celery worker (manage.py up runs them)."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--group", type=int, default=0, help="which group of queues (delivery.Queue.group)")

    def handle(self, *args: Any, group: int, **options: Any) -> None:
        """Work until SIGTERM. The sweeper does not wait for the broker: it starts first."""
        queues = _queues_of(group)
        if not queues:
            sys.exit(f"no queue has group {group}")
        sweeper.start([group])
        worker_ready.connect(_say_ready)
        app.worker_main([
            "--quiet", "worker", "--pool", "solo", "--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat",
            "--queues", ",".join([*queues, MAINTENANCE]), "--loglevel", "WARNING", "--hostname", f"group{group}@%h",
        ])  # fmt: skip


def _queues_of(group: int) -> list[str]:
    """The queues of a group; waits for a database that is away, because a worker outlives its parts."""
    while True:
        try:
            return [queue.name for queue in queuemap.read_map().of_group(group)]
        except DatabaseError as error:
            print(f"waiting for the database: {error}", file=sys.stderr)
            time.sleep(1)
        finally:
            connection.close()


def _say_ready(**_: Any) -> None:
    """The broker is reached and the queues are read; the supervisor waits for this file."""
    interpreter.settle()
    if path := os.environ.get("READY_FILE"):
        Path(path).touch()
