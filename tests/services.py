"""The servers of one test run: a PostgreSQL and a Valkey of our own, from the wheels, in a temporary folder.

A pytest plugin (`-p tests.services`, in pyproject.toml), because the URLs must be in the environment before Django reads its
settings. Nothing that already listens on this machine is used or touched. fsync is on: what is tested is what runs.
"""

import atexit
import os
import secrets
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from config.supervisor.system import System

# Tests make many requests from one address; a test of the rates themselves sets its own.
# Tests of the path of a message need no keys: its bodies are opaque, under an algorithm that only they allow.
ENVIRONMENT = {"RATE_SCALE": "1000", "LOG_LEVEL": "INFO", "MESSAGE_ALGS": "chat.e2ee.v1,opaque.v1"}

# What would lead a test to somebody else's servers.
FOREIGN = ("DATABASE_URL", "VALKEY_URL", "BROKER_URL", "PUBLIC_URL", "ALLOWED_HOSTS", "SECRET_KEY_FILE", "READY_FILE")
FOREIGN += ("METRICS_DIR", "METRICS_TOKEN", "PART_NAME", "LOG_FORMAT")


class Services:
    """The shared servers, and systems on top of them."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="letterlock-tests-", dir=_open_folder()))
        # As root the servers run as another user, who must get through.
        self.folder.chmod(0o711)
        self._running: list[System] = []
        # The parent's own, not another test run's.
        self.foreign = {name: os.environ.pop(name) for name in FOREIGN if name in os.environ}

    def start(self) -> None:
        """Start both servers, bring the database up to date, and put their URLs into the environment."""
        os.environ.update(ENVIRONMENT, SECRET_KEY=secrets.token_urlsafe(48), LETTERLOCK_VAR=str(self.folder / "shared"))
        self.shared = self.system("shared", web=0, workers=0, beat=False)
        os.environ.update(
            DATABASE_URL=self.shared.database_url,
            VALKEY_URL=self.shared.valkey_url,
            BROKER_URL=self.shared.broker_url,
        )

    def system(self, name: str, **options: Any) -> System:
        """Start another system in a folder of its own; without URLs among the options it has servers of its own."""
        var = self.folder / name
        var.mkdir(parents=True)
        # The servers' data of a root user else goes to /var/lib.
        system = System(var, data=self.folder / f"{name}-data", port=0, **options)
        self._running.append(system)
        system.start(timeout=120)
        return system

    def stop(self) -> None:
        """Stop whatever runs, last started first, and remove the folder."""
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
    if not early_config.known_args_namespace.collectonly:
        _services = Services()
        atexit.register(_services.stop)
        _services.start()
    return (yield)


def pytest_unconfigure() -> None:
    """The run is over."""
    if _services is not None:
        _services.stop()
