"""Identifiers: each kind of id is a type of its own, so that a room cannot pass as a device."""

from typing import NewType
from uuid import UUID

import uuid_utils

from kernel import clock

UserId = NewType("UserId", UUID)
DeviceId = NewType("DeviceId", UUID)
RoomId = NewType("RoomId", UUID)
MessageId = NewType("MessageId", UUID)


def uuid7() -> UUID:
    """Make a UUIDv7 (RFC 9562 §5.7): its first 48 bits are milliseconds since 1970."""
    return UUID(int=uuid_utils.uuid7().int)


def milliseconds_of(value: UUID) -> int:
    """Read the time out of a UUIDv7, in milliseconds since 1970 (RFC 9562 §5.7)."""
    return value.int >> 80


def now_ms() -> int:
    """The time now, in milliseconds since 1970."""
    return int(clock.now() * 1000)
