"""What a request says, held against docs/protocol.md: pure checks that answer the value or refuse, naming the field."""

from collections.abc import Collection, Mapping
from typing import Any, Final
from uuid import UUID

from kernel.errors import InvalidInput, UnknownField

# The largest number that PostgreSQL's bigint holds: mailbox numbers and times go no further.
BIGINT: Final = 2**63 - 1


def members_of(data: Any, *, needs: Collection[str] = (), may: Collection[str] = ()) -> dict[str, Any]:
    """The members of a JSON object that has all of `needs`, perhaps some of `may`, and nothing else.

    Raises `InvalidInput` for anything but an object and for a missing member, `UnknownField` for any other member.
    """
    if not isinstance(data, Mapping):
        raise InvalidInput("the body must be a JSON object")
    for name in data:
        if name not in needs and name not in may:
            # A name can be as long as the body: the answer repeats only what could be a slip of the pen.
            raise UnknownField(field=str(name)[:64])
    for name in needs:
        if name not in data:
            raise InvalidInput(f"{name} is missing", field=name)
    return dict(data)


def uuid_of(value: Any, field: str) -> UUID:
    """An id in its canonical form: lower case, with hyphens."""
    try:
        found = UUID(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{field} must be a UUID", field=field) from error
    if str(found) != value:
        raise InvalidInput(f"{field} must be a UUID in lower case with hyphens", field=field)
    return found


def uuids_of(value: Any, field: str, *, most: int) -> list[UUID]:
    """A list of 1 to `most` ids; repeated ones count once."""
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise InvalidInput(f"{field} must be a list of 1 to {most} ids", field=field)
    return list(dict.fromkeys(uuid_of(item, field) for item in value))


def number_of(value: Any, field: str, *, least: int = 0, most: int = BIGINT) -> int:
    """A whole number between `least` and `most`. True and 1.0 are none."""
    if type(value) is not int or not least <= value <= most:
        raise InvalidInput(f"{field} must be a whole number from {least} to {most}", field=field)
    return value


def choice_of(value: Any, field: str, choices: Collection[str]) -> str:
    """One of these words."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidInput(f"{field} must be one of {', '.join(sorted(choices))}", field=field)
    return value


def query_number(query: Mapping[str, str], field: str, *, default: int, least: int = 0, most: int = BIGINT) -> int:
    """A whole number of the query string, in plain decimal digits."""
    text = query.get(field)
    if text is None:
        return default
    # isdigit alone would let in digits of other scripts; 20 digits are more than any bound here needs.
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise InvalidInput(f"{field} must be a whole number from {least} to {most}", field=field)
    return number_of(int(text), field, least=least, most=most)


def check_query(query: Collection[str], known: Collection[str]) -> None:
    """Refuse parameters that this path does not have: a slip in `after` must not answer the whole mailbox."""
    for name in query:
        if name not in known:
            raise UnknownField(field=name[:64])
