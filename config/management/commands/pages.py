"""`manage.py pages`: how long each of the staff's pages takes on this database (fill it with `manage.py fill`)."""

import logging
import secrets
import statistics
import sys
import time
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.test import Client
from rich.console import Console
from rich.table import Table

from config.fill import Landmarks, find_landmarks

TIMES = 4
BOUND_MS = 300.0


class Command(BaseCommand):
    """Opens every page several times. Exit status 1 when one takes longer than the bound."""

    help = "Time the staff's pages on this database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--bound", type=float, default=BOUND_MS, help=f"ms that a page may take (default {BOUND_MS:.0f})"
        )

    def handle(self, *args: Any, bound: float, **options: Any) -> None:
        """With a staff account made for it and deleted after it."""
        marks = find_landmarks()
        if marks is None:
            raise CommandError("there are no messages here; see `manage.py fill`")
        logging.getLogger("django.request").setLevel(logging.ERROR)
        staff = get_user_model()._default_manager.create(
            username=f"pages.{secrets.token_hex(4)}", is_staff=True, is_superuser=True
        )
        try:
            client = Client()
            client.force_login(staff)
            client.get("/admin/", headers={"host": "127.0.0.1"})  # the first one loads templates and forms
            timed = [(page, *_time(client, path)) for page, path in paths(marks)]
        finally:
            staff.delete()
        table = Table("page", "first ms", "median ms", "queries")
        for page, first, median, queries in timed:
            table.add_row(page, f"{first:.0f}", f"{median:.0f}", str(queries))
        Console(file=sys.stdout).print(table)
        if slow := [page for page, _, median, _ in timed if median > bound]:
            raise CommandError(f"slower than {bound:.0f} ms: {', '.join(slow)}")


def paths(at: Landmarks) -> list[tuple[str, str]]:
    """What each page is, and where."""
    return [
        ("start", ""),
        ("users", "accounts/user/"),
        ("users, page 100", "accounts/user/?p=100"),
        ("users, by name", f"accounts/user/?q={at.username}"),
        ("a user", f"accounts/user/{at.user}/change/"),
        ("devices", "accounts/device/"),
        ("devices, page 100", "accounts/device/?p=100"),
        ("devices of a user", f"accounts/device/?q={at.user}"),
        ("rooms", "chat/room/"),
        ("rooms, page 100", "chat/room/?p=100"),
        ("rooms of a user", f"chat/room/?q={at.username}"),
        ("the largest room", f"chat/room/{at.large_room}/change/"),
        ("messages", "message_log/message/"),
        ("messages, page 100", "message_log/message/?p=100"),
        ("messages of a room", f"message_log/message/?q={at.room}"),
        ("messages of a user", f"message_log/message/?q={at.user}"),
        ("a message", f"message_log/message/{at.message}/change/"),
        ("mailboxes", "message_log/mailbox/"),
        ("mailboxes, page 100", "message_log/mailbox/?p=100"),
        ("the fullest mailbox", f"message_log/mailbox/{at.user}/change/"),
        ("its entries", f"message_log/mailbox/{at.user}/entries/"),
        ("its entries, from the middle", f"message_log/mailbox/{at.user}/entries/?before={at.seq // 2}"),
        ("rejections", "message_log/message/rejections/"),
        ("rejections of a user", f"message_log/message/rejections/?q={at.user}"),
        ("queue backlog", "delivery/queue/"),
        ("a queue", "delivery/queue/recipients.00/change/"),
        ("set aside", "delivery/dead/"),
        ("set aside, of a queue", "delivery/dead/?q=recipients.00"),
        ("a message's way", f"trace/{at.message}/"),
        *([("a waiting message's way", f"trace/{at.waiting}/")] if at.waiting else []),
    ]


def _time(client: Client, path: str) -> tuple[float, float, int]:
    """Milliseconds of the first and the median of the others, and how many queries."""
    times, queries = [], 0
    for _ in range(TIMES):
        count = _Counting()
        began = time.perf_counter()
        with connection.execute_wrapper(count):
            answer = client.get(f"/admin/{path}", headers={"host": "127.0.0.1"})
        times.append((time.perf_counter() - began) * 1000)
        queries = count.number
        if answer.status_code != 200:
            raise CommandError(f"/admin/{path} was answered with {answer.status_code}")
    return times[0], statistics.median(times[1:]), queries


class _Counting:
    """Counts statements on their way."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self, execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        self.number += 1
        return execute(sql, params, many, context)
