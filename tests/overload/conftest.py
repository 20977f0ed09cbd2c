"""Shows at the end of the run what the tests of overload have measured."""

from collections.abc import Callable

import pytest

FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture
def figure(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Notes a line; printed when all tests have run, whatever became of them."""

    def note(line: str) -> None:
        pytestconfig.stash.setdefault(FIGURES, []).append(line)

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints them."""
    if figures := config.stash.get(FIGURES, []):
        terminalreporter.section("overload")
        for line in figures:
            terminalreporter.write_line(line)
