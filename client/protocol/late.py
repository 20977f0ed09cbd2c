"""The rule for late messages (protocol §3.3), on its own: the same answer on every device of a recipient.

An entry is *late* when an entry with a lower seq, of the same sending device and room, has a greater `sent_at`.
Only one device's own times are compared with each other, because clocks of different devices cannot be compared.
So the greatest `sent_at` so far, per (room, sending device), is all that has to be remembered.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from client.protocol.entries import MessageEntry
from client.protocol.ids import DeviceId, MessageId, RoomId


@dataclass(frozen=True, slots=True)
class Mark:
    """The greatest `sent_at` that a device has reached in a room, and the message that reached it."""

    sent_at: int
    message: MessageId


Marks = dict[tuple[RoomId, DeviceId], Mark]


def is_late(sent_at: int, earlier: Iterable[int]) -> bool:
    """The rule: whether one of the `sent_at` of the entries with lower seqs (same device and room) is greater."""
    return any(other > sent_at for other in earlier)


def advance(marks: Marks, entry: MessageEntry) -> MessageId | None:
    """Take the next entry, in the order of seq, into the marks.

    Returns the message that proves that the entry is late, or None if it is not.
    """
    key = (entry.room, entry.device)
    mark = marks.get(key)
    if mark is not None and is_late(entry.sent_at, [mark.sent_at]):
        return mark.message
    if mark is None or entry.sent_at > mark.sent_at:
        marks[key] = Mark(entry.sent_at, entry.id)
    return None
