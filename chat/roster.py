"""The room state that sending needs, cached per process and proved fresh inside every commit.

The cache is only a guess: a commit reads `members_version`, `epoch` and `stale` of its rooms FOR KEY SHARE, which waits for
a change of members or epoch in progress (FOR UPDATE) and holds off the next one, and reloads what differs. So a removed
member cannot post after the removal was answered, nothing is accepted under an epoch that was outdated by then, in any
process, and no invalidation has to arrive anywhere.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from delivery.slots import slots_of
from kernel.database import Cursor, uuid_array

CHECK = """
WITH rooms AS (
    SELECT id, members_version, epoch, stale, coalesce(grace_until > now(), false) AS in_grace
    FROM chat_room WHERE id = ANY(%s::uuid[]) ORDER BY id FOR KEY SHARE {skip}
)
SELECT true, id, members_version, epoch, stale, in_grace, false, false FROM rooms
UNION ALL
SELECT false, d.id, d.connections_version, 0, 0, d.is_listed, d.revoked_at IS NOT NULL, u.suspended_at IS NOT NULL
FROM accounts_device d JOIN accounts_user u ON u.id = d.user_id WHERE d.id = ANY(%s::uuid[])
"""

LOAD = """
SELECT r.id, r.kind, r.members_version, r.epoch, array_agg(m.user_id ORDER BY m.user_id)
FROM chat_room r JOIN chat_membership m ON m.room_id = r.id WHERE r.id = ANY(%s::uuid[]) GROUP BY r.id
"""

VERSIONS = "SELECT members_version, epoch FROM chat_room WHERE id = %s::uuid"

# Members of all cached rooms together; beyond it the cache starts again.
CACHE_MEMBERS = 2_000_000


@dataclass(frozen=True, slots=True)
class Roster:
    """A room as sending sees it. Ids are canonical texts."""

    room: str
    is_direct: bool
    version: int
    epoch: int
    members: frozenset[str]
    by_slot: Mapping[int, tuple[str, ...]]

    def other(self, user: str) -> str | None:
        """The recipient in a direct room; None in a group."""
        return next((member for member in self.members if member != user), None) if self.is_direct else None


class Standing(NamedTuple):
    """How a room's newest epoch stands: bits of `Room.Stale`, and whether the one before it is still taken."""

    stale: int
    in_grace: bool


class Sender(NamedTuple):
    """What a commit sees of a sending device."""

    connections_version: int
    is_listed: bool
    is_revoked: bool
    is_suspended: bool


class Checked(NamedTuple):
    """The rooms and devices of a batch, true for as long as its transaction holds its locks."""

    rooms: dict[str, Roster]
    standings: dict[str, Standing]
    senders: dict[str, Sender]
    locked_out: frozenset[str]


class Rosters:
    """This process's cache. Used by the committer's thread; `find` by any."""

    def __init__(self) -> None:
        self._rosters: dict[str, Roster] = {}
        self._members = 0

    def check(
        self, cursor: Cursor, rooms: Collection[str], devices: Collection[str], *, skip_locked: bool = False
    ) -> Checked:
        """Begin the transaction: lock the rooms' state, reload what is stale, look at the sending devices."""
        statement = "BEGIN;" + CHECK.format(skip="SKIP LOCKED" if skip_locked else "")
        cursor.execute(statement, (uuid_array(rooms), uuid_array(devices)))
        found: dict[str, tuple[int, int]] = {}
        standings: dict[str, Standing] = {}
        senders: dict[str, Sender] = {}
        # `flag`: of a room, whether it is in grace; of a device, whether it is listed.
        for is_room, id, version, epoch, stale_bits, flag, revoked, suspended in cursor.fetchall():
            if is_room:
                found[id] = version, epoch
                standings[id] = Standing(stale_bits, flag)
            else:
                senders[id] = Sender(version, flag, revoked, suspended)
        current = {}
        stale = []
        for room, versions in found.items():
            roster = self._rosters.get(room)
            if roster is not None and (roster.version, roster.epoch) == versions:
                current[room] = roster
            else:
                stale.append(room)
        if stale:
            current.update(self.load(cursor, stale))
        locked_out = frozenset(rooms) - found.keys() if skip_locked else frozenset()
        return Checked(current, standings, senders, locked_out)

    def load(self, cursor: Cursor, rooms: Iterable[str]) -> dict[str, Roster]:
        """Read these rooms into the cache."""
        cursor.execute(LOAD, (uuid_array(rooms),))
        loaded = {}
        for id, kind, version, epoch, members in cursor.fetchall():
            by_slot = {slot: tuple(users) for slot, users in sorted(slots_of(members).items())}
            loaded[id] = Roster(id, kind == "direct", version, epoch, frozenset(members), by_slot)
            self._members += len(members)
        if self._members > CACHE_MEMBERS:
            self._rosters = {}
            self._members = sum(len(roster.members) for roster in loaded.values())
        self._rosters.update(loaded)
        return loaded

    def find(self, cursor: Cursor, room: str) -> Roster | None:
        """A room's present roster, outside of any commit (typing); from the cache if that is still true."""
        roster = self._rosters.get(room)
        if roster is not None:
            cursor.execute(VERSIONS, (room,))
            if cursor.fetchone() == (roster.version, roster.epoch):
                return roster
        return self.load(cursor, [room]).get(room)
