"""How a command ends: its exit status, and what goes to standard output and standard error."""

import json
import sys
from enum import IntEnum

from client import LetterlockError, PassphraseNeeded, Refused, SignedOut, StoreInUse, Unreachable, WrongSecret


class Exit(IntEnum):
    """Exit statuses; docs/cli.md lists them."""

    DONE = 0
    NOT_DONE = 1
    WRONG_USE = 2
    SIGNED_OUT = 3
    UNREACHABLE = 4
    ASKS = 5  # another device of the user disagrees, and nobody is there to decide
    IN_USE = 6
    LOCKED = 7
    INTERRUPTED = 130


class Locked(LetterlockError):
    """This device lacks keys of its user."""


def exit_of(error: LetterlockError) -> Exit:
    """The status that goes with an error."""
    match error:
        case SignedOut():
            return Exit.SIGNED_OUT
        case Unreachable():
            return Exit.UNREACHABLE
        case StoreInUse():
            return Exit.IN_USE
        case Locked() | PassphraseNeeded() | WrongSecret():
            return Exit.LOCKED
        case Refused(problem=problem) if problem.code in {"connection_changed", "devices_lag"}:
            return Exit.ASKS
        case Refused(problem=problem) if problem.may_retry:
            return Exit.UNREACHABLE
        case _:
            return Exit.NOT_DONE


def say(line: str) -> None:
    """To standard output, at once: a reader may wait for it."""
    print(line, flush=True)


def complain(line: str) -> None:
    """To standard error."""
    print(f"letterlock: {line}", file=sys.stderr, flush=True)


def as_json(value: object) -> str:
    """One line of JSON in ASCII: no control character, and nothing that changes direction, gets through."""
    return json.dumps(value, ensure_ascii=True)
