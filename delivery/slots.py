"""Which slot a recipient belongs to. Pure: the same answer in every process, for ever."""

from uuid import UUID
from zlib import crc32

SLOTS = 64


def slot_of(recipient: UUID) -> int:
    """The slot (0 to 63) of a recipient: CRC-32 of the id's 16 bytes, modulo `SLOTS`. Part of the stored format."""
    return crc32(recipient.bytes) % SLOTS


def slots_of(recipients: list[UUID]) -> dict[int, list[UUID]]:
    """Group recipients by slot, keeping their order."""
    grouped: dict[int, list[UUID]] = {}
    for recipient in recipients:
        grouped.setdefault(slot_of(recipient), []).append(recipient)
    return grouped
