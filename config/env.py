"""Readers of the environment that refuse what they do not expect. A value may also be in the file that `NAME_FILE` names."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured


class Refused(ImproperlyConfigured):
    """A variable is nonsense; the text says which, and what it must be. `manage.py` says that and no more."""


def is_given(name: str) -> bool:
    """Whether somebody has set it, itself or by a file."""
    return name in os.environ or f"{name}_FILE" in os.environ


def text(name: str, *, default: str) -> str:
    """The variable as it is, or the content of the file that `NAME_FILE` names, or the default."""
    if name in os.environ:
        return os.environ[name]
    if f"{name}_FILE" in os.environ:
        path = os.environ[f"{name}_FILE"]
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise Refused(f"{name}_FILE must be a file that can be read, not {path!r} ({reason})") from error
    return default


def url(name: str, *, default: str) -> str:
    """An address, or several with semicolons between them, whose parts can be told from each other. Never shown: it may hold a password."""
    value = text(name, default=default)
    try:
        for each in value.split(";"):
            urlsplit(each).port  # noqa: B018 (raises)
    except ValueError as error:
        hint = "is its port a number, and is what is special in its password percent-encoded?"
        raise Refused(f"{name} must be a URL that can be read: {hint}") from error
    return value


def flag(name: str, *, default: bool) -> bool:
    """`true` or `false`, nothing else."""
    match text(name, default="true" if default else "false"):
        case "true":
            return True
        case "false":
            return False
        case other:
            raise Refused(f"{name} must be true or false, not {other!r}")


def choice(name: str, among: Sequence[str], *, default: str) -> str:
    """One of these words."""
    value = text(name, default=default)
    if value not in among:
        raise Refused(f"{name} must be {', '.join(among[:-1])} or {among[-1]}, not {value!r}")
    return value


def number(name: str, *, default: int, least: int = 0, most: int = 2**31) -> int:
    """A whole number between `least` and `most`."""
    value = text(name, default=str(default))
    if not value.lstrip("-").isdigit() or not least <= int(value) <= most:
        raise Refused(f"{name} must be a whole number from {least} to {most}, not {value!r}")
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
        raise Refused(f"{name} must be a number of at least {least}, not {value!r}")
    return number
