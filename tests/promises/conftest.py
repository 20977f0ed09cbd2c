"""The page that decides every name, code and shape of the wire."""

from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "protocol.md"


@pytest.fixture(scope="session")
def page():
    return PAGE.read_text()
