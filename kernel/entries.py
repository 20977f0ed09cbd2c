"""A mailbox entry on its way to a socket: its number, its JSON members as text, and where it came from."""

from functools import lru_cache
from typing import NamedTuple


class Origin(NamedTuple):
    """Of a message entry: what a receipt for it has to name. Canonical id texts."""

    room: str
    device: str
    message: str
    sender: str


@lru_cache(maxsize=8_192)
def origin(room: str, device: str, message: str, sender: str) -> Origin:
    """The same object for the same message: each socket keeps the origins of what its device has not acknowledged."""
    return Origin(room, device, message, sender)


class Entry(NamedTuple):
    """Entry `seq` of one mailbox. `text` is everything behind `"seq":…,` in the JSON object, the same for all recipients."""

    seq: int
    text: str
    origin: Origin | None
