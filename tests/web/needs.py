"""What tests of the web client need beside Python: Node to build it, a Chromium to use it in.

Where one is missing, these tests are skipped and the run says so at its end; in CI (`CI=true`) they fail.
"""

import os
import shutil

import pytest

from config.webclient import build

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)

# Why tests of this run were skipped; said at its end (tests/conftest.py).
missing: set[str] = set()
_refusal: str | None = None


def try_to_build() -> None:
    """Build the client for this run, if that can be done; to be called before the servers start."""
    global _refusal
    try:
        build.build()
    except build.CannotBuild as refusal:
        _refusal = f"the web client could not be built: {refusal}"


def a_built_client() -> None:
    """For a test that is about the client's files."""
    if _refusal:
        _without(_refusal)


def node() -> None:
    """For a test that runs a script of web/package.json."""
    try:
        build.install()
    except build.CannotBuild as refusal:
        _without(str(refusal))


def chromium() -> str:
    """For a test in a browser: where it is."""
    if not CHROMIUM:
        _without("there is no Chromium (on Debian: apt-get install chromium)")
    return CHROMIUM


def _without(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}; in CI that is a failure")
    missing.add(reason)
    pytest.skip(reason)
