"""Other products install the client from a checkout, by pip: `client`, what it needs, and nothing of the server."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, version
from pathlib import Path
from zipfile import ZipFile

import pytest

from config.supervisor.system import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
NOT_SOURCE = shutil.ignore_patterns(
    ".*", "var", "node_modules", "dist", "build", "*.egg-info", "__pycache__", "results"
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what pip would put among a product's packages; built without a network."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("setuptools is too old: `make` installs the one of requirements-dev.txt")
    checkout, folder = tmp_path_factory.mktemp("letterlock") / "checkout", tmp_path_factory.mktemp("site-packages")
    shutil.copytree(CHECKOUT, checkout, ignore=NOT_SOURCE)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--wheel-dir", folder, checkout], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as files:
        files.extractall(folder)
    wheel.unlink()
    return folder


def imported(*files: Path) -> set[str]:
    """What these files import that Python does not bring."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"client"}


def named(requirements: Iterable[str]) -> set[str]:
    return {re.match(r"[a-z-]+", requirement)[0] for requirement in requirements}


def test_it_is_the_client_alone(installed):
    assert {path.name for path in installed.iterdir()} == {"client", "letterlock-0.1.0.dist-info"}
    files = {path.relative_to(installed) for path in (installed / "client").rglob("*") if path.is_file()}
    ours = {path.relative_to(CHECKOUT) for path in (CHECKOUT / "client").rglob("*") if "__pycache__" not in path.parts}
    assert files == {path for path in ours if (CHECKOUT / path).is_file()}
    needs = Distribution.at(installed / "letterlock-0.1.0.dist-info").requires
    assert named(need for need in needs if "extra ==" not in need) == named(PROJECT["dependencies"])


def test_a_product_imports_it_in_a_folder_of_its_own(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "import client; print(client.__file__, client.Client.__name__)"],
        capture_output=True, text=True, check=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)},
    )  # fmt: skip
    assert done.stdout == f"{installed}/client/__init__.py Client\n"


def test_what_it_needs_is_named_and_nothing_else():
    files = set((CHECKOUT / "client").rglob("*.py"))
    terminal = {file for file in files if "cli" in file.parts}
    assert imported(*files - terminal) == named(PROJECT["dependencies"])
    assert imported(*terminal) == named(PROJECT["optional-dependencies"]["terminal"])
