"""Tests of deploy/ run on the real programs; where one is not installed, the run says so, and in CI that is a failure."""

import os

import pytest

from tests.deploy.gateway import NGINX


def needs(program: str | None, name: str) -> None:
    """Skip the test without this program; in CI, fail."""
    if program is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed: not tested here")


@pytest.fixture(scope="session")
def nginx() -> None:
    """There is one."""
    needs(NGINX, "nginx")
