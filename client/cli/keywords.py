"""Keys in words and in groups of letters: safety numbers, recovery keys and their confirmation, how good a password is."""

import secrets
from collections.abc import Sequence
from typing import Final

from client import WeakPassword, check_password
from client.cli.text import one_line

GROUP: Final = 4  # letters of a recovery key that stand together
DIGITS: Final = 5  # of a safety number
ASKED: Final = 2  # groups of a recovery key that are to be typed


def number_rows(number: str) -> str:
    """A safety number, 60 digits, as three rows of four groups of five."""
    groups = [number[at : at + DIGITS] for at in range(0, len(number), DIGITS)]
    return "\n".join("  ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))


def key_groups(text: str) -> list[str]:
    """A recovery key's groups, as they are written down."""
    letters = "".join(text.split())
    return [letters[at : at + GROUP] for at in range(0, len(letters), GROUP)]


def key_rows(text: str) -> str:
    """A recovery key with its groups numbered, four to a row."""
    groups = [f"{number:>2} {group}" for number, group in enumerate(key_groups(text), 1)]
    return "\n".join("    ".join(groups[at : at + 4]) for at in range(0, len(groups), 4))


def picked(text: str) -> list[int]:
    """Groups that are asked for, by number: who can say them has written the key down, or at least looked."""
    return sorted(secrets.SystemRandom().sample(range(1, len(key_groups(text)) + 1), ASKED))


def is_copied(text: str, numbers: Sequence[int], typed: str) -> bool:
    """Whether these groups were typed; spaces do not matter, capitals do."""
    groups = key_groups(text)
    return "".join(typed.split()) == "".join(groups[number - 1] for number in numbers)


def strength(password: str, *names: str) -> str:
    """What may be said about a password while it is being chosen."""
    if not password:
        return ""
    try:
        check_password(password, *(name for name in names if name))
    except WeakPassword as weak:
        return f"Too weak. {one_line(str(weak), 150)}"
    return "Good: not to be guessed."
