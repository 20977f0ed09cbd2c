"""A mailbox entry on its way to a socket: its number, its JSON members as text, and where it came from."""

from typing import NamedTuple


class Origin(NamedTuple):
    """Of a message entry: what a receipt for it has to name. Canonical id texts."""

    room: str
    device: str
    message: str
    sender: str


class Entry(NamedTuple):
    """Entry `seq` of one mailbox. `text` is everything behind `"seq":…,` in the JSON object, the same for all recipients."""

    seq: int
    text: str
    origin: Origin | None
