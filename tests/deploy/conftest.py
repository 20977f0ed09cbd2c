"""Tests of deploy/ run on the real programs; where one is not installed, the run says so, and in CI that is a failure."""

import pytest

from tests.deploy.programs import program


@pytest.fixture(scope="session")
def nginx() -> None:
    """There is one."""
    program("nginx")
