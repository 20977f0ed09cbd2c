"""`manage.py up`: the whole system with one command."""

import os
import signal
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from config import env, queues
from config.supervisor.system import StartFailed, System

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Command(BaseCommand):
    """Starts, watches and stops PostgreSQL, Valkey, the web processes, the workers and beat."""

    help = "Run the whole system; Ctrl-C stops it. DATABASE_URL, VALKEY_URL and BROKER_URL replace the embedded parts."
    # URLs that lead nowhere are refused before anything starts; what concerns a deployment is `manage.py check --deploy`.
    requires_system_checks = (Tags.compatibility,)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--web", type=int, default=1, help="web processes, each on a port of its own (default 1)")
        parser.add_argument("--workers", type=int, default=1, help="Celery workers per group of queues (default 1)")
        parser.add_argument("--port", type=int, default=8000, help="port of the first web process (default 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")

    def handle(self, *args: Any, web: int, workers: int, port: int, host: str, **options: Any) -> None:
        """Runs until SIGINT or SIGTERM; a second one changes nothing, since stopping takes 10 s at most."""
        if web < 1 or workers < 1:
            raise CommandError("at least one web process and one worker are needed")
        self.console = Console(soft_wrap=True)
        self.over = threading.Event()
        for number in ENDS:
            signal.signal(number, lambda *_: self._stop())
        system = System(
            Path(settings.VAR_DIR),
            web=web,
            workers=workers,
            host=host,
            port=port,
            database_url=env.text("DATABASE_URL", default=""),
            valkey_url=env.text("VALKEY_URL", default=""),
            broker_url=env.text("BROKER_URL", default=""),
            data=Path(settings.DATA_DIR) if settings.DATA_DIR else None,
            tell=self._say,
        )
        try:
            system.start()
            if not self.over.is_set():
                self.console.print(self._table(system))
                self._say(f"ready {system.url}")
                self.over.wait()
        except StartFailed as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            pass
        finally:
            # What is being stopped is not stopped twice.
            for number in ENDS:
                signal.signal(number, signal.SIG_IGN)
            system.stop()
        self._say("stopped")

    def _stop(self) -> None:
        if not self.over.is_set():
            self.over.set()
            self._say("stopping")
            raise KeyboardInterrupt

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False)
        self.console.file.flush()

    def _table(self, system: System) -> Table:
        table = Table("part", "process", "where", "log", title="Letterlock")
        where = {f"web-{number}": url for number, url in enumerate(system.urls, start=1)}
        where["postgres"] = _address(system.database_url)
        where["valkey"] = _address(system.valkey_url)
        for name in ("postgres", "valkey"):
            if name not in system.parts:
                table.add_row(name, "external", where[name], "")
        if system.broker_url != system.valkey_url:
            brokers = [_address(node) for node in queues.nodes(system.broker_url)]
            table.add_row("broker", "external", "\n".join(brokers), "")
        for name, part in system.parts.items():
            log = os.path.relpath(part.log)
            table.add_row(name, str(part.pid or "starting"), where.get(name, ""), log)
        return table


def _address(url: str) -> str:
    """A URL without its password."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    host, port = options.get("host", parts.hostname), options.get("port", parts.port)
    return f"{host}:{port}{parts.path}"
