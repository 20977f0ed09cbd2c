"""What every test may ask for.

- `system`: the live system that all tests share: two web processes, one worker and beat, as real processes on the run's own
  PostgreSQL and Valkey. `.url`, `.ws_url` (the first web process), `.urls`, `.ws_urls` (both).
- `cast`: makes people on it, each with a name of their own (tests/cast.py).
- `private_system(**options)`: another whole system with servers of its own, to kill and freeze; stopped after the test.
  `web=1, workers=1, beat=False` unless told otherwise; `.kill("worker-1")`, `.kill("web-1", signal.SIGTERM)`,
  `.freeze("postgres")`, `.thaw("postgres")`, `.stop_part("valkey")`, `.start_part("valkey")`, `.wait_ready(name)`,
  `.wait_restarted(name, pid)`, `.parts[name].pid`. What dies is started again as `manage.py up` would.
- The ORM, in the test's own process, works on the same database as `system`: with real commits, nothing is rolled back.
  Each test makes its own users and rooms, and asks about those only.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from config.supervisor.system import System
from delivery import wake
from tests.cast import Cast
from tests.own_database import _depot, depot  # noqa: F401
from tests.services import services
from tests.up.conftest import NEEDED

_numbers = count(1)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What this run did not look at is said, not passed over."""
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        terminalreporter.section("not tested: installed PostgreSQL, Redis and RabbitMQ", yellow=True)
        terminalreporter.line(f"Set {', '.join(missing)} to run tests/up/test_installed.py too.")


@pytest.fixture(scope="session", autouse=True)
def _orm(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """pytest-django's own databases and rollbacks are not used: other processes must see what a test writes."""
    with django_db_blocker.unblock():
        yield
    # Before the servers go: it looks at the database now and then.
    wake.stop()


@pytest.fixture(scope="session")
def system() -> System:
    """The live system that all tests share. Do not kill its parts: see `private_system`."""
    shared = services().shared
    return services().system(
        "system", web=2, database_url=shared.database_url, valkey_url=shared.valkey_url, broker_url=shared.broker_url
    )


@pytest.fixture
async def cast(system: System) -> AsyncIterator[Cast]:
    """Makes people on the shared system."""
    async with Cast(system.url) as made:
        yield made


@pytest.fixture
def private_system() -> Iterator[Callable[..., System]]:
    """Makes whole systems for one test alone."""
    made: list[System] = []

    def make(**options: Any) -> System:
        system = services().system(f"private-{next(_numbers)}", **{"beat": False, **options})
        made.append(system)
        return system

    yield make
    for system in made:
        system.stop()
