"""The programs that tests of deploy/ run its files on.

Where one is missing, its tests are skipped and the run says so at its end (tests/conftest.py); in CI they fail.
"""

import os
import shutil
import subprocess

import pytest

# Debian has some of them where only root looks.
PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"


def _compose() -> str | None:
    """What reads compose.yaml: Docker's plugin, or the program of the same name that Debian has."""
    docker = shutil.which("docker", path=PATH)
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        return docker
    return shutil.which("docker-compose", path=PATH)


FOUND = {name: shutil.which(name, path=PATH) for name in ("nginx", "pgbouncer", "systemd-analyze")}
FOUND["docker-compose"] = _compose()
MISSING = sorted(name for name, path in FOUND.items() if path is None)


def program(name: str) -> str:
    """Where it is; without it the test is skipped, and in CI it fails."""
    if (path := FOUND[name]) is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{name} is not installed: not tested here")
    return path


def compose() -> list[str]:
    """The command that compose.yaml is given to; without one as `program`."""
    path = program("docker-compose")
    return [path, "compose"] if path.endswith("/docker") else [path]
