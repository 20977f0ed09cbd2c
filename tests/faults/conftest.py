"""Shows the figures of the fault test at the end of the run, and says aloud what this machine could not do."""

import os
from collections.abc import Callable

import pytest

from tests.faults.report import Report

REPORTS = pytest.StashKey[dict[str, Report]]()
SKIPPED = pytest.StashKey[dict[str, str]]()


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Callable[[str], Report]:
    """Makes the report of this title, or gives the one there is; printed when all tests have run, whatever became of them."""

    def make(title: str) -> Report:
        return pytestconfig.stash.setdefault(REPORTS, {}).setdefault(title, Report(title))

    return make


@pytest.fixture
def unable(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """Notes what cannot be done here and why. In CI, which runs as root on a machine that can, that is a failure."""

    def note(what: str, why: str) -> None:
        pytestconfig.stash.setdefault(SKIPPED, {})[what] = why
        assert not os.environ.get("CI"), f"in CI this must be tested: {what}: {why}"

    return note


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints how far a full run has come, a line a strike; the short one keeps quiet."""

    def write(line: str) -> None:
        if os.environ.get("FAULT_ROUNDS"):
            with capsys.disabled():
                print(f"\n  {line}", end="", flush=True)

    return write


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the reports."""
    for made in config.stash.get(REPORTS, {}).values():
        terminalreporter.section("faults")
        for line in made.lines():
            terminalreporter.write_line(line)
    if skipped := config.stash.get(SKIPPED, {}):
        terminalreporter.section("faults that this machine could not do", yellow=True)
        for what, why in skipped.items():
            terminalreporter.line(f"SKIPPED: {what}: {why}")
