"""Rooms as last seen, how far this user has read, and how far the others have."""

import json
from dataclasses import asdict

from client.protocol.answers import Member, Room
from client.protocol.frames import Receipt
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.store.database import Database


class Rooms:
    """What this device knows of its rooms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, room: Room) -> None:
        """Keep a room, unless a newer state of it has been seen; a change that came meanwhile leaves it stale."""
        self._database.run(
            "INSERT INTO rooms VALUES (?, ?, ?, 0) ON CONFLICT DO UPDATE SET body = excluded.body,"
            " stale = excluded.members_version < rooms.members_version,"
            " members_version = max(excluded.members_version, rooms.members_version)",
            room.id, room.members_version, json.dumps(asdict(room)),
        )  # fmt: skip

    def changed(self, room: RoomId, members_version: int) -> None:
        """The mailbox tells of a change: what is kept is stale if it is older."""
        self._database.run(
            "INSERT INTO rooms VALUES (?, ?, NULL, 1) ON CONFLICT DO UPDATE"
            " SET stale = 1, members_version = excluded.members_version"
            " WHERE excluded.members_version > rooms.members_version",
            room, members_version,
        )  # fmt: skip

    def forget(self, room: RoomId) -> None:
        """The user is not in it any more. Its messages stay."""
        self._database.run("DELETE FROM rooms WHERE id = ?", room)

    def find(self, room: RoomId) -> tuple[Room, bool] | None:
        """A room as last seen, and whether it is stale."""
        row = self._database.one("SELECT body, stale FROM rooms WHERE id = ? AND body IS NOT NULL", room)
        return (_room(row[0]), bool(row[1])) if row else None

    def all(self) -> list[Room]:
        """Every room as last seen."""
        return [_room(body) for (body,) in self._database.all("SELECT body FROM rooms WHERE body IS NOT NULL")]

    def read(self, room: RoomId, seq: int, *, tell: bool) -> bool:
        """Raise the read position; `tell` when the server has to hear of it. False when it was as far already."""
        return bool(
            self._database.run(
                "INSERT INTO reads VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET seq = excluded.seq, untold = excluded.untold WHERE excluded.seq > reads.seq",
                room, seq, tell,
            )
        )  # fmt: skip

    def read_position(self, room: RoomId) -> int:
        """Up to which seq the user has read this room, on any device."""
        row = self._database.one("SELECT seq FROM reads WHERE room = ?", room)
        return int(row[0]) if row else 0

    def untold_reads(self) -> list[tuple[RoomId, int]]:
        """Read positions that were raised since they were last told on a fresh connection."""
        return self._database.all("SELECT room, seq FROM reads WHERE untold")

    def reads_told(self, positions: list[tuple[RoomId, int]]) -> None:
        """These went out on a fresh connection."""
        self._database.run_each("UPDATE reads SET untold = 0 WHERE room = ? AND seq = ?", list(positions))

    def tell_again(self, room: RoomId) -> None:
        """The server could not take the read position of this room."""
        self._database.run("UPDATE reads SET untold = 1 WHERE room = ?", room)

    def unread(self, room: RoomId, me: UserId) -> int:
        """How many messages of others in the room are beyond the read position and not refused."""
        (count,) = self._database.one(
            "SELECT count(*) FROM messages WHERE room = ? AND seq > ? AND sender != ? AND NOT refused",
            room, self.read_position(room), me,
        )  # fmt: skip
        return int(count)

    def apply(self, receipt: Receipt) -> bool:
        """Take a receipt in; the marks only grow. False when it said nothing new.

        Marks are compared by this user's own seq of the named message. One that is not here yet (the receipt
        overtook the entry) counts as newest, because receipts are sent as things happen.
        """
        row = self._database.one(
            "SELECT delivered, read FROM receipts WHERE room = ? AND user = ? AND device = ?",
            receipt.room, receipt.user, receipt.device,
        )  # fmt: skip
        old_delivered, old_read = row or (None, None)
        delivered = self._newer(old_delivered, receipt.delivered)
        read = self._newer(old_read, receipt.read)
        if (delivered, read) == (old_delivered, old_read):
            return False
        self._database.run(
            "INSERT OR REPLACE INTO receipts VALUES (?, ?, ?, ?, ?)",
            receipt.room, receipt.user, receipt.device, delivered, read,
        )  # fmt: skip
        return True

    def _seq_of(self, message: MessageId | None) -> float:
        row = self._database.one("SELECT seq FROM messages WHERE id = ?", message)
        return float(row[0]) if row else float("inf")

    def _newer(self, old: MessageId | None, new: MessageId | None) -> MessageId | None:
        if old is None or new is None:
            return old or new
        return new if self._seq_of(new) > self._seq_of(old) else old

    def receipts_of(self, room: RoomId, device: DeviceId) -> list[tuple[UserId, float, float]]:
        """Per member: the newest seq of this device's messages that the member has, and has read (0: none)."""
        rows = self._database.all(
            "SELECT user, delivered, read FROM receipts WHERE room = ? AND device = ?", room, device
        )
        return [
            (UserId(user), self._seq_of(delivered) if delivered else 0, self._seq_of(read) if read else 0)
            for user, delivered, read in rows
        ]

    def lagging(self, me: UserId, device: DeviceId, limit: int) -> list[RoomId]:
        """At most `limit` rooms in which others have not read all of this device's recent messages, newest first."""
        recent = self._database.all(
            "SELECT room, max(seq) FROM (SELECT room, seq FROM messages WHERE device = ? ORDER BY seq DESC LIMIT 200)"
            " GROUP BY room ORDER BY 2 DESC",
            device,
        )
        found = [RoomId(room) for room, newest in recent if self._some_lag(RoomId(room), me, device, newest)]
        return found[:limit]

    def _some_lag(self, room: RoomId, me: UserId, device: DeviceId, newest: int) -> bool:
        known = self.find(room)
        if known is None:
            return False
        read = {user: seq for user, _, seq in self.receipts_of(room, device)}
        return any(read.get(member.user, 0) < newest for member in known[0].members if member.user != me)


def _room(body: str) -> Room:
    fields = json.loads(body)
    return Room(**fields | {"members": tuple(Member(**member) for member in fields["members"])})
