"""What `manage.py up` tells the other commands: where the parts listen. A file of mode 0600 under var/run, for as long as it runs."""

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

NAME = "system.json"


def read(var: Path) -> dict[str, Any]:
    """The record of the system that runs on `var`, or {} if none does."""
    try:
        found: dict[str, Any] = json.loads((var / "run" / NAME).read_text())
    except (FileNotFoundError, PermissionError):
        return {}
    return found


def write(var: Path, record: dict[str, Any]) -> None:
    """Put the record in place at once, readable by its owner alone."""
    folder = private(var / "run")
    draft = folder / f".{NAME}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(record, indent=1))
    draft.replace(folder / NAME)


def forget(var: Path) -> None:
    """Remove the record."""
    (var / "run" / NAME).unlink(missing_ok=True)


def private(folder: Path) -> Path:
    """Make a folder that only its owner can enter."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def secret(var: Path, name: str) -> str:
    """The secret of this name, made on first use and kept with mode 0600."""
    path = var / "secrets" / name
    if not path.exists():
        private(path.parent)
        draft = path.with_name(f".{name}.{os.getpid()}")
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(48))
        # Two first runs may meet here: link() lets one of them win, and both read that one.
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        draft.unlink()
    return path.read_text().strip()


def command() -> str:
    """Which of the management commands this process is; empty when none."""
    name, *rest = sys.argv or [""]
    return rest[0] if rest and name.endswith("manage.py") else ""
