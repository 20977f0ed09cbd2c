"""Building the client: what is missing is said in one line; and its own unit tests."""

import os
import subprocess
import sys

import pytest

from config.supervisor.system import CHECKOUT
from config.webclient import build
from tests.web import needs


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The only folder in which programs are looked for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path, says):
    path.write_text(f"#!/bin/sh\necho {says}\n")
    path.chmod(0o755)


def test_without_node_it_says_which_one_is_needed(path):
    with pytest.raises(
        build.CannotBuild, match=r"^Node 20\.19 or newer is needed for it, with npm, and there is none$"
    ):
        build.node()


@pytest.mark.parametrize("version", ["v12.22.9", "v18.20.4", "v20.18.3", "v21.7.3", "v22.11.0"])
def test_a_node_that_vite_does_not_run_on_is_named(path, version):
    program(path / "node", version)
    program(path / "npm", "1")
    with pytest.raises(build.CannotBuild, match=version):
        build.node()


@pytest.mark.parametrize("version", ["v20.19.0", "v20.20.2", "v22.12.0", "v24.0.1"])
def test_newer_ones_are_taken(path, version):
    program(path / "node", version)
    program(path / "npm", "1")
    assert build.node() == version


@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_where_node_is_missing_checks_go_on_but_not_in_ci(tmp_path, ci, status):
    command = [sys.executable, "manage.py", "webclient", "check", "--or-go-on"]
    environment = {**os.environ, "PATH": str(tmp_path), "CI": ci}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True)
    assert done.returncode == status
    assert "could not be checked: Node 20.19 or newer is needed" in done.stderr


def test_what_fails_says_why(path):
    program(path / "npm", "disk is full; exit 3")
    with pytest.raises(build.CannotBuild, match="disk is full"):
        build.npm("ci")


@pytest.mark.timeout(600)
def test_the_clients_own():
    """Vitest. Its types and lint are `make check`'s."""
    needs.node()
    done = subprocess.run(["npm", "run", "test"], cwd=build.WEB, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
