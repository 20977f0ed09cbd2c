"""The servers of one test run: a PostgreSQL and a Valkey of our own, from the wheels, in a temporary folder.

A pytest plugin (`-p tests.services`, in pyproject.toml), because the URLs must be in the environment before Django reads its
settings. Nothing that already listens on this machine is used or touched. fsync is on: what is tested is what runs.

With `-n 3` each of the three processes that run tests has servers of its own; the one that only hands out the tests has none.

A database is made and migrated once: every further system with a PostgreSQL of its own begins with a copy of that. How it is
made is tested with `manage.py up` (tests/up).
"""

import argparse
import atexit
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from config.supervisor.system import System

# Tests make many requests from one address; a test of the rates themselves sets its own.
# Tests of the path of a message need no keys: its bodies are opaque, under an algorithm that only they allow.
# Push services of tests are on this machine (tests/push_service.py).
ENVIRONMENT = {
    "RATE_SCALE": "1000",
    "LOG_LEVEL": "INFO",
    "MESSAGE_ALGS": "chat.e2ee.v1,opaque.v1",
    "WEB_PUSH_LOOPBACK": "true",
}

# What would lead a test to somebody else's servers.
FOREIGN = ("DATABASE_URL", "VALKEY_URL", "BROKER_URL", "PUBLIC_URL", "ALLOWED_HOSTS", "SECRET_KEY_FILE", "READY_FILE")
FOREIGN += ("VAPID_SECRET", "WEB_CLIENT", "WEB_CLIENT_DIR", "HOST_ORIGINS")
FOREIGN += ("METRICS_DIR", "METRICS_TOKEN", "PART_NAME", "LOG_FORMAT")


class Prepared(System):
    """One that begins with a database that has been brought up to date before."""

    def _migrate(self) -> None:
        pass


class Services:
    """The shared servers, and systems on top of them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="letterlock-tests-", dir=_open_folder()))
        # As root the servers run as another user, who must get through.
        self.folder.chmod(0o711)
        self._running: list[System] = []
        self._others: list[Callable[[], None]] = []
        # The parent's own, not another test run's.
        self.foreign = {name: os.environ.pop(name) for name in FOREIGN if name in os.environ}

    def start(self) -> None:
        """Start both servers, bring the database up to date, and put their URLs into the environment."""
        os.environ.update(ENVIRONMENT, SECRET_KEY=secrets.token_urlsafe(48), LETTERLOCK_VAR=str(self.folder / "shared"))
        self._make_model()
        self.shared = self.system("shared", web=0, workers=0, beat=False)
        os.environ.update(
            DATABASE_URL=self.shared.database_url,
            VALKEY_URL=self.shared.valkey_url,
            BROKER_URL=self.shared.broker_url,
        )

    def system(self, name: str, **options: Any) -> System:
        """Start another system in a folder of its own; without URLs among the options it has servers of its own.

        `kind` is another class than `System`, with the same parameters.
        """
        var = self.folder / name
        var.mkdir(parents=True)
        # The servers' data of a root user else goes to /var/lib.
        options = {"data": self.folder / f"{name}-data", "port": 0, **options}
        kind = System
        if not options.get("database_url"):
            self.copy_model(var, options["data"])
            kind = Prepared
        elif options["database_url"] == os.environ.get("DATABASE_URL"):
            kind = Prepared
        system: System = options.pop("kind", kind)(var, **options)
        self._running.append(system)
        system.start(timeout=120)
        return system

    def _make_model(self) -> None:
        """What `copy_model` copies: the folder of a database that is up to date and was shut down in good order."""
        var = self.folder / "model"
        var.mkdir()
        model = System(var, data=self.folder / "model-data", port=0, web=0, workers=0, beat=False)
        model.start(timeout=120)
        model.stop()

    def copy_model(self, var: Path, data: Path) -> None:
        """A database for who has none yet, with the password that it knows. The owner of the files stays."""
        if not (data / "postgres").exists():
            data.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", f"{self.folder}/model-data/postgres", str(data)], check=True)
            shutil.copytree(self.folder / "model" / "secrets", var / "secrets")

    def also_stop(self, stop: Callable[[], None]) -> None:
        """Another program that this run has started."""
        self._others.append(stop)

    def stop(self) -> None:
        """Stop whatever runs, last started first, and remove the folder."""
        while self._others:
            self._others.pop()()
        while self._running:
            self._running.pop().stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _open_folder() -> Path:
    """The folder for temporary files, unless it lies where only we can enter."""
    folder = Path(tempfile.gettempdir()).resolve()
    is_open = all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))
    return folder if is_open else Path("/var/tmp")


_services: Services | None = None


def services() -> Services:
    """This run's."""
    assert _services is not None, (
        "run the tests with `python -m pytest` from the checkout: pyproject.toml loads this plugin"
    )
    return _services


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """A wrapper, so that it comes before pytest-django's turn, which reads the settings."""
    global _services
    given = early_config.known_args_namespace
    if not (given.collectonly or _hands_out(given)):
        _services = Services()
        atexit.register(_services.stop)
        _services.start()
    return (yield)


def _hands_out(given: argparse.Namespace) -> bool:
    """Whether this process leaves the tests to others (pytest-xdist)."""
    return bool(getattr(given, "numprocesses", None)) and "PYTEST_XDIST_WORKER" not in os.environ


def pytest_unconfigure() -> None:
    """The run is over."""
    if _services is not None:
        _services.stop()
