"""Which slot a recipient belongs to, and what queues may be called. Pure: the same answer in every process, for ever."""

from collections.abc import Hashable, Iterable
from functools import lru_cache
from typing import Final, TypeVar
from uuid import UUID
from zlib import crc32

SLOTS = 64
# The queues that every process declares to the broker (config/queues.py): there are no more than slots.
QUEUE_NAMES: Final = tuple(f"recipients.{number:02d}" for number in range(SLOTS))

Id = TypeVar("Id", bound=Hashable)


@lru_cache(maxsize=100_000)
def slot_of(recipient: object) -> int:
    """The slot (0 to 63) of a recipient, a UUID or its text: CRC-32 of the id's 16 bytes, modulo `SLOTS`. Part of the stored format."""
    return crc32(UUID(str(recipient)).bytes) % SLOTS


def slots_of(recipients: Iterable[Id]) -> dict[int, list[Id]]:
    """Group recipients by slot, keeping their order."""
    grouped: dict[int, list[Id]] = {}
    for recipient in recipients:
        grouped.setdefault(slot_of(recipient), []).append(recipient)
    return grouped
