"""Secrets that are given to a command: typed without being shown, or read from a file or from standard input; never from the
command line, where every user of the machine can read them."""

import getpass
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from client.cli.place import WrongPlace


def read(what: str, source: str | None, *, stdin: TextIO | None = None, twice: bool = False) -> str:
    """A secret: from a file's first line, from standard input for `-`, else typed. Raises WrongPlace.

    `twice`: when it is typed, it is asked for again.
    """
    if source is not None:
        return _first_line(what, source, stdin or sys.stdin)
    if not sys.stdin.isatty():
        raise WrongPlace(f"there is no terminal to ask for the {what}: give it in a file, or '-' for standard input")
    secret = getpass.getpass(f"{what[0].upper()}{what[1:]}: ")
    if twice and getpass.getpass(f"The same {what} again: ") != secret:
        raise WrongPlace("the two differ")
    if not secret:
        raise WrongPlace(f"no {what} was given")
    return secret


@contextmanager
def handed_over(path: str | None) -> Iterator[Callable[[str], None]]:
    """Somewhere to put a secret that is made only once: a new file that only its owner reads, or nowhere without a path.

    The file is there before the secret is made, so that no secret is made that cannot be kept. Raises WrongPlace when it was there
    already.
    """
    if path is None:
        yield lambda _: None
        return
    place = Path(path).expanduser()
    try:
        file = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise WrongPlace(f"{path}: {error.strerror}") from error

    def write(secret: str) -> None:
        os.write(file, f"{secret}\n".encode("ascii"))
        os.fsync(file)

    try:
        yield write
    except BaseException:
        if not os.fstat(file).st_size:
            place.unlink()
        raise
    finally:
        os.close(file)


def _first_line(what: str, source: str, stdin: TextIO) -> str:
    try:
        line = stdin.readline() if source == "-" else _line_of(Path(source).expanduser())
    except (OSError, UnicodeDecodeError) as error:
        raise WrongPlace(f"{source}: {getattr(error, 'strerror', None) or 'not text'}") from error
    secret = line.rstrip("\r\n")
    if not secret:
        raise WrongPlace(f"there is no {what} in {'standard input' if source == '-' else source}")
    return secret


def _line_of(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline()
