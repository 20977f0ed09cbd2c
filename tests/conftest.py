"""What every test may ask for.

- `system`: the live system that all tests share: two web processes, one worker and beat, as real processes on the run's own
  PostgreSQL and Valkey. `.url`, `.ws_url` (the first web process), `.urls`, `.ws_urls` (both).
- `cast`: makes people on it, each with a name of their own (tests/cast.py).
- `restricted`: another one, which has the other settings of connections (tests/restricted.py).
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
from pathlib import Path
from typing import Any

import pytest
from pytest_django import DjangoDbBlocker

from config.supervisor.system import System
from delivery import wake
from tests import rabbitmq
from tests.cast import Cast
from tests.deploy import programs
from tests.hosts import zookeeper
from tests.own_database import _depot, depot  # noqa: F401
from tests.restricted import restricted_system
from tests.services import services
from tests.up.conftest import NEEDED
from tests.web import needs

# They measure, or need the machine's idle time: `make test` runs them by themselves, behind all others.
ALONE = (
    "tests/alerts/test_running.py::test_a_flood",
    "tests/bench/test_meter.py",
    "tests/connections/test_sync.py::test_two_thousand",
    "tests/crypto/test_cost.py",
    "tests/demo/test_demo.py::test_",
    "tests/deploy/test_gateway.py::test_after_kill_9",
    "tests/faults/test_faults.py",
    "tests/metrics/test_backlog.py",
    "tests/metrics/test_cost.py",
    "tests/overload/test_bounds.py",
    "tests/overload/test_memory.py",
    "tests/queues/test_hot.py",
    "tests/queues/test_live.py::test_slots_move",
    "tests/queues/test_rabbitmq.py",
    "tests/up/test_up.py::TestEnding",
    "tests/up/test_up.py::TestSeveral",
    "tests/web/test_quick.py",
)

# These files take longest. `make test` gives them out first, so that nobody is left with one of them at the end.
LONG = (
    "tests/web/test_talking.py",
    "tests/hosts/test_moving.py",
    "tests/web/",
    "tests/cli/",
    "tests/sealed/",
    "tests/client/test_keys",
    "tests/client/test_sealed",
    "tests/deploy/",
    "tests/fuzz/",
    "tests/metrics/",
    "tests/hosts/",
    "tests/up/",
)

_numbers = count(1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Those that run by themselves are found without reading all others."""
    if config.option.markexpr != "alone":
        return None
    path = collection_path.relative_to(config.rootpath).as_posix()
    is_one = any(path.startswith(name.partition("::")[0]) or name.startswith(f"{path}/") for name in ALONE)
    return None if is_one or path == "tests" else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark those, and put these first."""
    for item in items:
        if item.nodeid.startswith(ALONE):
            item.add_marker(pytest.mark.alone)
    items.sort(key=lambda item: next((n for n, name in enumerate(LONG) if item.nodeid.startswith(name)), len(LONG)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What this run did not look at is said, not passed over."""
    if missing := [name for name in NEEDED if not os.environ.get(name)]:
        terminalreporter.section("not tested: installed PostgreSQL, Redis and RabbitMQ", yellow=True)
        terminalreporter.line(f"Set {', '.join(missing)} to run tests/up/test_installed.py too.")
    for reason in sorted(needs.missing):
        terminalreporter.section("not tested: the web client", yellow=True)
        terminalreporter.line(f"Tests of tests/web were skipped: {reason}.")
    if why := rabbitmq.why_not():
        terminalreporter.section("NOT TESTED: RabbitMQ as broker, and a cluster of it", yellow=True)
        terminalreporter.line(why)
    if not zookeeper.IS_HERE:
        terminalreporter.section("NOT TESTED: hosts in ZooKeeper", yellow=True)
        terminalreporter.line(zookeeper.MISSING)
    if programs.MISSING:
        terminalreporter.section(f"NOT TESTED: files of deploy/, without {', '.join(programs.MISSING)}", yellow=True)
        terminalreporter.line("Tests of tests/deploy were skipped. .ci/run installs what they need.")


@pytest.fixture(scope="session", autouse=True)
def _orm(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """pytest-django's own databases and rollbacks are not used: other processes must see what a test writes."""
    with django_db_blocker.unblock():
        yield
    # Before the servers go: it looks at the database now and then.
    wake.stop()


@pytest.fixture(scope="session")
def _web_client(request: pytest.FixtureRequest) -> None:
    """Built before the shared system starts, which else would not serve it; only in runs with tests of it."""
    if any("/tests/web/" in item.path.as_posix() for item in request.session.items):
        needs.try_to_build()


@pytest.fixture(scope="session")
def system(_web_client: None) -> System:
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
def restricted() -> System:
    """Another one that all share: there unblocks wait for all devices, and blocks are not disclosed."""
    return restricted_system()


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
