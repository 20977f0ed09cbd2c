"""Epochs of rooms as this device has them: signed records, wraps, keys once they are opened, and rosters.

Keys rest sealed under the keyring's storage key. Records and wraps are kept byte for byte, and verified when they are used.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from client.protocol.ids import DeviceId, RoomId, UserId
from client.store.database import Database

COLUMNS = "room, epoch, creator, device, payload, signature, wrap_version, wrap, key, outdated"
# user, identity key in base64url, version of the encryption key
Lines = list[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One epoch. `key`: sealed for the store; None before the wrap was opened. `wrap` None: none was made for this user."""

    room: RoomId
    epoch: int
    creator: UserId
    device: DeviceId
    payload: bytes
    signature: bytes
    wrap_version: int | None = None
    wrap: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    outdated: bool = False


class Epochs:
    """What this device knows of the epochs of its user's rooms."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, rows: Iterable[EpochRow]) -> None:
        """Keep epochs. A record that is here stays, whatever comes later under its number; a wrap may come later."""
        self._database.run_each(
            f"INSERT INTO epochs ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (room, epoch) DO UPDATE"
            " SET wrap_version = excluded.wrap_version, wrap = excluded.wrap"
            " WHERE excluded.wrap IS NOT NULL AND epochs.key IS NULL AND excluded.payload = epochs.payload",
            [
                (row.room, row.epoch, row.creator, row.device, row.payload, row.signature, row.wrap_version, row.wrap,
                 row.key, row.outdated)
                for row in rows
            ],
        )  # fmt: skip

    def find(self, room: RoomId, epoch: int) -> EpochRow | None:
        """One epoch."""
        row = self._database.one(f"SELECT {COLUMNS} FROM epochs WHERE room = ? AND epoch = ?", room, epoch)
        return _row(*row) if row else None

    def newest(self, room: RoomId) -> EpochRow | None:
        """The epoch of a room with the highest number."""
        row = self._database.one(f"SELECT {COLUMNS} FROM epochs WHERE room = ? ORDER BY epoch DESC LIMIT 1", room)
        return _row(*row) if row else None

    def current(self, room: RoomId) -> int | None:
        """The highest number of a room's epochs, unless that one is outdated."""
        row = self._database.one("SELECT epoch, outdated FROM epochs WHERE room = ? ORDER BY epoch DESC LIMIT 1", room)
        return None if row is None or row[1] else int(row[0])

    def numbers(self, room: RoomId) -> list[int]:
        """Which epochs of a room are here with a wrap or a key, in order."""
        rows = self._database.all(
            "SELECT epoch FROM epochs WHERE room = ? AND (wrap IS NOT NULL OR key IS NOT NULL) ORDER BY epoch", room
        )
        return [int(number) for (number,) in rows]

    def missing(self, wanted: Collection[tuple[RoomId, int]]) -> set[tuple[RoomId, int]]:
        """Those of the epochs that are not here, or without a key for this user."""
        rows = self._database.all(
            "SELECT w.value ->> 0, w.value ->> 1 FROM json_each(?) w LEFT JOIN epochs e"
            " ON e.room = w.value ->> 0 AND e.epoch = w.value ->> 1 WHERE e.wrap IS NULL AND e.key IS NULL",
            json.dumps(sorted(wanted)),
        )
        return {(RoomId(room), int(epoch)) for room, epoch in rows}

    def lacking(self) -> list[tuple[RoomId, int]]:
        """Epochs that are known, with no key for this user."""
        rows = self._database.all("SELECT room, epoch FROM epochs WHERE wrap IS NULL AND key IS NULL")
        return [(RoomId(room), int(epoch)) for room, epoch in rows]

    def closed(self) -> list[tuple[RoomId, int]]:
        """Epochs whose wrap is here and was never opened."""
        rows = self._database.all("SELECT room, epoch FROM epochs WHERE wrap IS NOT NULL AND key IS NULL")
        return [(RoomId(room), int(epoch)) for room, epoch in rows]

    def opened(self, room: RoomId, epoch: int, key: bytes) -> None:
        """Keep a key, sealed for the store."""
        self._database.run("UPDATE epochs SET key = ? WHERE room = ? AND epoch = ?", key, room, epoch)

    def outdate(self, room: RoomId, epoch: int) -> None:
        """Nothing is sealed under this epoch any more."""
        self._database.run("UPDATE epochs SET outdated = 1 WHERE room = ? AND epoch = ?", room, epoch)

    def keep_roster(self, room: RoomId, epoch: int, roster: Lines, change: dict[str, Any]) -> None:
        """The signed list of an epoch, and what it changed. Lists of older epochs go: those of large rooms are large."""
        with self._database.transaction():
            self._database.run("UPDATE epochs SET roster = NULL WHERE room = ? AND epoch < ?", room, epoch)
            self._database.run(
                "UPDATE epochs SET roster = ?, change = ? WHERE room = ? AND epoch = ?",
                json.dumps(roster), json.dumps(change), room, epoch,
            )  # fmt: skip

    def roster(self, room: RoomId, epoch: int) -> Lines | None:
        """The signed list of an epoch, if it is here."""
        row = self._database.one("SELECT roster FROM epochs WHERE room = ? AND epoch = ?", room, epoch)
        return None if row is None or row[0] is None else [(u, i, v) for u, i, v in json.loads(row[0])]

    def roster_before(self, room: RoomId, epoch: int) -> Lines | None:
        """The newest list of an earlier epoch that is here."""
        row = self._database.one(
            "SELECT roster FROM epochs WHERE room = ? AND epoch < ? AND roster IS NOT NULL ORDER BY epoch DESC LIMIT 1",
            room, epoch,
        )  # fmt: skip
        return [(u, i, v) for u, i, v in json.loads(row[0])] if row else None

    def change(self, room: RoomId, epoch: int) -> dict[str, list[UserId]]:
        """What an epoch changed about who can read; empty when that is not known."""
        row = self._database.one("SELECT change FROM epochs WHERE room = ? AND epoch = ?", room, epoch)
        return json.loads(row[0]) if row and row[0] else {}

    def pin_peer(self, room: RoomId, peer: UserId | None) -> UserId | None:
        """With whom a direct room is (None: a group), as this device first learned it: that never changes."""
        self._database.run("INSERT OR IGNORE INTO room_peers VALUES (?, ?)", room, peer)
        (pinned,) = self._database.one("SELECT peer FROM room_peers WHERE room = ?", room)
        return None if pinned is None else UserId(pinned)

    # Keys of earlier epochs for who came later: to be given until the server has taken them.

    def want_share(self, room: RoomId, user: UserId, due_at: int) -> None:
        """Give a user the keys of a room's epochs, at this time (ms since 1970) or, if that was earlier, when it was."""
        self._database.run(
            "INSERT INTO shares (room, user, due_at) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET due_at = min(due_at, excluded.due_at)",
            room, user, due_at,
        )  # fmt: skip

    def shares(self) -> list[tuple[RoomId, UserId, int]]:
        """What is to be given, and when: the earliest first."""
        rows = self._database.all("SELECT room, user, due_at FROM shares ORDER BY due_at")
        return [(RoomId(room), UserId(user), int(due_at)) for room, user, due_at in rows]

    def postpone_share(self, room: RoomId, user: UserId, due_at: int) -> None:
        """Try again later."""
        self._database.run("UPDATE shares SET due_at = ? WHERE room = ? AND user = ?", due_at, room, user)

    def others_first(self, room: RoomId, user: UserId, until: int) -> int:
        """Until when others may give more than this device has: what was said first holds."""
        self._database.run(
            "UPDATE shares SET others_until = coalesce(others_until, ?) WHERE room = ? AND user = ?", until, room, user
        )
        row = self._database.one("SELECT others_until FROM shares WHERE room = ? AND user = ?", room, user)
        return int(row[0]) if row else until

    def settle_share(self, room: RoomId, user: UserId) -> None:
        """Given, or not needed."""
        self._database.run("DELETE FROM shares WHERE room = ? AND user = ?", room, user)

    # How far a new device has read the keys of all rooms.

    @property
    def is_restored(self) -> bool:
        """Whether this device has read the keys of all rooms once."""
        return self._database.fact("epochs_restored") is not None

    @property
    def restored_to(self) -> str | None:
        """Behind what the next page of them begins; None: from the beginning."""
        after = self._database.fact("epochs_after")
        return None if after is None else str(after)

    def restored(self, after: str | None) -> None:
        """A page of them is here; None: it was the last."""
        if after is None:
            self._database.put(epochs_restored=1)
        else:
            self._database.put(epochs_after=after)


def _row(
    room: RoomId, epoch: int, creator: UserId, device: DeviceId, payload: bytes, signature: bytes, wrap_version: int | None,
    wrap: bytes | None, key: bytes | None, outdated: int,
) -> EpochRow:  # fmt: skip
    return EpochRow(room, epoch, creator, device, payload, signature, wrap_version, wrap, key, bool(outdated))
