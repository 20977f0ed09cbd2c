"""Identifiers: each kind is a type of its own, so that a room cannot pass as a device. All are lower-case UUID strings."""

from typing import NewType
from uuid import UUID

UserId = NewType("UserId", str)
DeviceId = NewType("DeviceId", str)
RoomId = NewType("RoomId", str)
MessageId = NewType("MessageId", str)


def message_id(now_ms: int, noise: int) -> MessageId:
    """Make a UUIDv7 (RFC 9562 §5.7) from milliseconds since 1970 and at least 74 random bits."""
    value = (now_ms & (2**48 - 1)) << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (2**62 - 1)
    return MessageId(str(UUID(int=value)))
