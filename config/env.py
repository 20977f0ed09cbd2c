"""Readers of the environment that refuse what they do not expect. A value may also be in the file that `NAME_FILE` names."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def text(name: str, *, default: str) -> str:
    """The variable as it is, or the content of the file that `NAME_FILE` names, or the default."""
    if name in os.environ:
        return os.environ[name]
    if f"{name}_FILE" in os.environ:
        return Path(os.environ[f"{name}_FILE"]).read_text().strip()
    return default


def flag(name: str, *, default: bool) -> bool:
    """`true` or `false`, nothing else."""
    match text(name, default="true" if default else "false"):
        case "true":
            return True
        case "false":
            return False
        case other:
            raise ImproperlyConfigured(f"{name} must be true or false, not {other!r}")


def choice(name: str, among: Sequence[str], *, default: str) -> str:
    """One of these words."""
    value = text(name, default=default)
    if value not in among:
        raise ImproperlyConfigured(f"{name} must be {' or '.join(among)}, not {value!r}")
    return value


def number(name: str, *, default: int, least: int = 0, most: int = 2**31) -> int:
    """A whole number between `least` and `most`."""
    value = text(name, default=str(default))
    if not value.lstrip("-").isdigit() or not least <= int(value) <= most:
        raise ImproperlyConfigured(f"{name} must be a whole number from {least} to {most}, not {value!r}")
    return int(value)


def words(name: str, *, default: str) -> list[str]:
    """A comma-separated list; empty items are dropped."""
    return [word for part in text(name, default=default).split(",") if (word := part.strip())]


def decimal(name: str, *, default: float, least: float) -> float:
    """A number of at least `least`."""
    value = text(name, default=str(default))
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not least <= number < math.inf:
        raise ImproperlyConfigured(f"{name} must be a number of at least {least}, not {value!r}")
    return number
