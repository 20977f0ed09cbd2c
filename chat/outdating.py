"""When changed keys outdate the epochs of rooms, and when a block keeps that from being seen (docs/protocol.md §5.5, §6.4).

Who is blocked and not told must not find out. So another key of the blocker's outdates no direct room with somebody who
cannot see that key: it goes on with the epoch that it has. Once the block is lifted, the epoch is compared with the keys
that there are by then.

A change of keys writes them, locks the rooms and then asks who is blocked; who lifts a block locks the room and then looks
at the keys: whichever has the room first, the other one sees what it did.
"""

from collections.abc import Collection
from typing import Final
from uuid import UUID

from django.db import connection
from django.db.models import F, Q

from accounts import userkeys
from chat.models import Room, RoomEpoch
from connections import policy
from kernel import ports
from kernel.database import uuid_array

# In one order for everybody; a send that holds one of them FOR KEY SHARE ends first. Those without an epoch too: somebody
# may be making the first one. And nobody brings the user into another meanwhile (accounts/holders.py, `hold`).
HOLD: Final = """
SELECT count(*) FROM (
    SELECT FROM chat_room WHERE id IN (SELECT room_id FROM chat_membership WHERE user_id = %s) ORDER BY id FOR UPDATE
) held
"""
OUTDATE: Final = """
UPDATE chat_room r SET stale = r.stale | %s FROM chat_membership m
WHERE m.user_id = %s AND r.id = m.room_id AND r.epoch > 0
      AND NOT coalesce(r.first_user = ANY(%s::uuid[]) OR r.second_user = ANY(%s::uuid[]), false) AND r.stale & %s = 0
"""


def user_rekeyed(user: UUID) -> None:
    """The port of kernel/ports.py: the epochs of the user's rooms are outdated from the caller's commit on."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD, (user,))
        unaware = uuid_array(_who_do_not_see(user))
        cursor.execute(OUTDATE, (Room.Stale.KEYS, user, unaware, unaware, Room.Stale.KEYS))


def block_lifted(by: UUID, peer: UUID, *, is_open: bool) -> None:
    """The port of kernel/ports.py: the direct room's epoch is outdated if it is not for the present keys."""
    room = Room.objects.select_for_update().filter(_between(by, [peer])).first()
    if room is None or not room.epoch:
        return
    concerned = {str(by), str(peer)} if is_open else {str(by)}
    newest = RoomEpoch.objects.only("roster").get(room=room, epoch=room.epoch)
    said = {line for line in newest.roster.splitlines() if line.partition(":")[0] in concerned}
    true = {f"{user}:{identity}:{version}" for user, identity, version in userkeys.current_lines(concerned)}
    if said != true:
        Room.objects.filter(id=room.id).update(stale=F("stale").bitor(Room.Stale.KEYS))


def _who_do_not_see(user: UUID) -> Collection[UUID]:
    """Peers of the user's direct rooms whom the user blocks, and who meet the user in no group."""
    blocked = set(policy.blocked_among(user, ports.rosters.direct_peers(user)))
    return blocked.difference(ports.rosters.groups_shared(user, blocked)) if blocked else ()


def _between(user: UUID, peers: Collection[UUID]) -> Q:
    """The user's direct rooms with these."""
    return Q(first_user=user, second_user__in=peers) | Q(second_user=user, first_user__in=peers)
