"""Rooms that a user has muted: alike on all of the user's devices, nobody else's business."""

from collections.abc import Collection, Iterable
from functools import partial
from uuid import UUID

from django.db import transaction

from delivery.webpush.models import Mute
from kernel import ports


@transaction.atomic
def put(user: UUID, room: UUID, *, is_muted: bool, device: UUID) -> None:
    """Mute the room, or no more. The user's other devices learn of it after the commit; twice is as once."""
    if is_muted:
        Mute.objects.bulk_create([Mute(user_id=user, room_id=room)], ignore_conflicts=True)
    else:
        Mute.objects.filter(user_id=user, room_id=room).delete()
    frame = {"type": "muted", "room": str(room), "muted": is_muted}
    transaction.on_commit(partial(ports.hints.send, [user], frame, exclude_device=device))


def among(user: UUID, rooms: Collection[UUID]) -> set[UUID]:
    """Those of these rooms that the user has muted."""
    return set(Mute.objects.filter(user_id=user, room_id__in=rooms).values_list("room_id", flat=True))


def pairs(users: Iterable[UUID], rooms: Iterable[UUID]) -> set[tuple[UUID, UUID]]:
    """(user, room) of each mute among these."""
    found = Mute.objects.filter(user_id__in=set(users), room_id__in=set(rooms))
    return set(found.values_list("user_id", "room_id"))
