"""Shows the figures of the fault test at the end of the run."""

from collections.abc import Callable

import pytest

from tests.faults.report import Report

REPORTS = pytest.StashKey[list[Report]]()


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Callable[[str], Report]:
    """Makes a report that is printed when all tests have run, whatever became of them."""

    def make(title: str) -> Report:
        made = Report(title)
        pytestconfig.stash.setdefault(REPORTS, []).append(made)
        return made

    return make


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the reports."""
    for made in config.stash.get(REPORTS, []):
        terminalreporter.section("faults")
        for line in made.lines():
            terminalreporter.write_line(line)
