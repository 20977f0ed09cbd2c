"""What the fields of a parsed document must be. Each function returns the value or raises `BadEncoding`.

Documents that say which keys to trust have exactly the fields that are known: a reader that skips what it does not know
could trust what a newer rule revokes. New fields come with a new `v`.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from client.crypto.encoding import unb64
from client.crypto.errors import BadEncoding

MAX_COUNT: Final = 2**31 - 1  # sequence numbers, versions, epochs: the server's columns
MAX_TIME: Final = 2**53 - 1  # every JSON reader has whole numbers up to here

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def fields(value: object, required: Collection[str], optional: Collection[str] = ()) -> Mapping[str, Any]:
    """An object with all `required` names, perhaps the `optional` ones, and no others."""
    if not isinstance(value, dict) or not set(required) <= value.keys() <= {*required, *optional}:
        raise BadEncoding("an object with other fields than it should have")
    return value


def version_1(document: Mapping[str, Any]) -> None:
    """`v` is 1."""
    if integer(document.get("v")) != 1:
        raise BadEncoding("of another version than 1")


def integer(value: object, least: int = 0, most: int = MAX_COUNT) -> int:
    """A whole number between `least` and `most`; true and false are none."""
    if type(value) is not int or not least <= value <= most:
        raise BadEncoding("not a whole number within its bounds")
    return value


def time(value: object) -> int:
    """Seconds or milliseconds since 1970."""
    return integer(value, 0, MAX_TIME)


def identifier(value: object) -> str:
    """A lower-case UUID."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise BadEncoding("not a lower-case UUID")
    return value


def listing(value: object, most: int) -> list[Any]:
    """A list of at most `most` values."""
    if not isinstance(value, list) or len(value) > most:
        raise BadEncoding("not a list within its bound")
    return value


def digest_or_none(value: object) -> bytes:
    """A SHA-256, or the empty string where nothing came before."""
    return b"" if value == "" else unb64(value, 32)
