"""Epochs of a direct room while one of the two blocks the other (docs/protocol.md §5.5, §6.4).

The blocked one goes on as if nothing were: with the keys that this one sees, and with the epochs that this one makes. The
blocker makes none, and is shown none that the blocked one has made since.
"""

from collections.abc import Collection, Iterable
from uuid import UUID

from accounts import directory
from chat.epoch_documents import Roster
from chat.models import Room, RoomEpoch
from connections import policy
from kernel import ports


def true_roster(by: UUID, room: Room, true: Roster) -> Roster:
    """The present lines of the members who have keys, as `by` may know them.

    Raises `Blocked` in a direct room with somebody whom `by` blocks.
    """
    peer = peer_of(room, by)
    if peer is None or not ports.blocks.is_between(by, peer):
        return true
    policy.check_does_not_block(by, peer, field="room")
    line = directory.line_for(by, peer)
    return sorted([line for line in true if line[0] != str(peer)] + ([line] if line else []))


def seen_by(user: UUID, room: Room, others: Iterable[UUID]) -> list[UUID]:
    """Those of these members of whose keys the user may know."""
    others = sorted(others)
    return others if room.kind != Room.Kind.DIRECT else sorted(directory.newest(user, others))


def parted(user: UUID, others: Collection[UUID]) -> None:
    """The user is in a group of these no more. Who met across a block there saw each other's keys, and knows those for good.

    In the caller's transaction, behind the deletion; call it last, it locks what delivery knows of blocks.
    """
    blocked = ports.blocks.between(user, others).keys()
    if apart := blocked - ports.rosters.groups_shared(user, blocked) if blocked else ():
        ports.blocks.parted(user, apart)


def horizons(user: UUID, rooms: Collection[UUID]) -> dict[UUID, int]:
    """The newest epoch that the user is shown, in those of these rooms where that is not simply the newest one."""
    peers: dict[UUID, UUID] = {}
    for room in Room.objects.filter(id__in=rooms, kind=Room.Kind.DIRECT):
        if (peer := peer_of(room, user)) is not None:
            peers[peer] = room.id
    blocked = policy.blocked_among(user, peers.keys()) if peers else ()
    found: dict[UUID, int] = {}
    for peer, since in ports.blocks.between(user, blocked).items() if blocked else ():
        before = RoomEpoch.objects.filter(room_id=peers[peer], created_at__lte=since).order_by("-epoch")
        found[peers[peer]] = before.values_list("epoch", flat=True).first() or 0
    return found


def peer_of(room: Room, user: UUID) -> UUID | None:
    """The other one of a direct room."""
    return room.second_user if room.first_user == user else room.first_user
