"""The device's copy of the user's connections, and the changes that wait to be sent."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from client.protocol.book import Progress, is_news
from client.protocol.changes import Action, Change
from client.protocol.ids import DeviceId, UserId
from client.protocol.opaque import Ciphertext
from client.protocol.relations import Relation, Settings
from client.store.database import Database

COLUMNS = "user, username, state, blocked, blocked_by, note, version, changed_by, changed_at"
CHANGE = "position, action, user, username, base_version, note"


class Connections:
    """Contacts and blocks by user; how far they are complete, and how far the server knows that."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # The copy.

    def get(self, user: UserId) -> Relation | None:
        """What there is with a user."""
        row = self._database.one(f"SELECT {COLUMNS} FROM connections WHERE user = ?", user)
        return _relation(*row) if row else None

    def named(self, username: str) -> Relation | None:
        """The same by the name that the user had then."""
        row = self._database.one(f"SELECT {COLUMNS} FROM connections WHERE username = ?", username)
        return _relation(*row) if row else None

    def all(self, state: str | None, beginning: str) -> list[Relation]:
        """Those of a state, or blocked, whose names begin so; by name."""
        where = "blocked" if state == "blocked" else "? IS NULL OR state = ?"
        rows = self._database.all(
            f"SELECT {COLUMNS} FROM connections WHERE ({where}) AND substr(username, 1, length(?)) = ? ORDER BY username",
            *(() if state == "blocked" else (state, state)), beginning, beginning,
        )  # fmt: skip
        return [_relation(*row) for row in rows]

    def apply(self, said: Relation) -> bool:
        """Keep what is newer than what is here. False for anything else."""
        if not is_news(said, self.get(said.user)):
            return False
        self._database.run(
            f"INSERT OR REPLACE INTO connections ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            said.user, said.username, said.state, said.blocked, said.blocked_by, bytes(said.note), said.version,
            said.changed_by, said.changed_at,
        )  # fmt: skip
        return True

    def progress(self) -> Progress:
        """How far the copy is complete."""
        kept = self._database.fact("connections_progress")
        return Progress(*json.loads(kept)) if kept else Progress()

    def advance(self, progress: Progress) -> None:
        """Keep how far it is complete now; in the transaction that makes it so."""
        self._database.put(connections_progress=json.dumps([progress.version, progress.heard]))

    def settings(self) -> Settings | None:
        """Who may reach the user; None before the first sync."""
        kept = self._database.fact("connections_settings")
        return Settings(**json.loads(kept)[1]) if kept else None

    def apply_settings(self, settings: Settings, version: int) -> bool:
        """Keep settings as of a version, unless newer ones are here. False when nothing changed by that."""
        kept = self._database.fact("connections_settings")
        if kept and json.loads(kept)[0] > version:
            return False
        changed = self.settings() != settings
        self._database.put(connections_settings=json.dumps([version, asdict(settings)]))
        return changed

    @property
    def consistency(self) -> str | None:
        """The server's rule for changes, as last heard."""
        return self._database.fact("connections_consistency")  # type: ignore[no-any-return]

    @property
    def discloses_blocks(self) -> bool | None:
        """Whether the server tells who is blocked, as last heard."""
        kept = self._database.fact("discloses_blocks")
        return None if kept is None else bool(kept)

    def learn(self, *, consistency: str | None = None, discloses_blocks: bool | None = None) -> None:
        """What the server says of itself."""
        if consistency is not None and consistency != self.consistency:
            self._database.put(connections_consistency=consistency)
        if discloses_blocks is not None and discloses_blocks != self.discloses_blocks:
            self._database.put(discloses_blocks=discloses_blocks)

    # What the server knows of it.

    def reported(self, device: DeviceId) -> int:
        """What this device has said to have; a store that was signed in again is another device."""
        kept = self._database.fact("connections_reported")
        who, version = json.loads(kept) if kept else (None, 0)
        return int(version) if who == device else 0

    def report(self, device: DeviceId, version: int) -> None:
        """The server has heard."""
        self._database.put(connections_reported=json.dumps([device, version]))

    def to_the_disk(self) -> None:
        """Have everything that was committed so far survive a loss of power, too."""
        with self._database.transaction(to_the_disk=True):
            self._database.put(connections_flushed=self.progress().version)

    # Changes that wait.

    def press(self, action: Action, user: UserId | None, username: str | None, note: bytes | None) -> Change:
        """Keep a change, on the version that is here now."""
        with self._database.transaction(to_the_disk=True):
            base_version = self.progress().version
            self._database.run(
                "INSERT INTO changes (action, user, username, base_version, note) VALUES (?, ?, ?, ?, ?)",
                action, user, username, base_version, note,
            )  # fmt: skip
            (position,) = self._database.one("SELECT last_insert_rowid()")
        return Change(int(position), action, user, username, base_version, note)

    def changes(self) -> list[Change]:
        """Everything that waits, in the order of the presses."""
        return [Change(*row) for row in self._database.all(f"SELECT {CHANGE} FROM changes ORDER BY position")]

    def changes_about(self, user: UserId) -> list[Change]:
        """Those about one user, by id or by name."""
        rows: Sequence[Any] = self._database.all(
            f"SELECT {CHANGE} FROM changes WHERE user = ?1 OR username = (SELECT username FROM connections WHERE user = ?1)"
            " ORDER BY position",
            user,
        )
        return [Change(*row) for row in rows]

    def rebase(self, change: Change, version: int) -> Change:
        """The same change on a newer version."""
        self._database.run("UPDATE changes SET base_version = ? WHERE position = ?", version, change.position)
        return replace(change, base_version=version)

    def settle(self, change: Change) -> None:
        """It is made, or given up."""
        self._database.run("DELETE FROM changes WHERE position = ?", change.position)


def _relation(
    user: UserId, username: str, state: Any, blocked: int, blocked_by: int, note: bytes, version: int,
    changed_by: DeviceId | None, changed_at: int,
) -> Relation:  # fmt: skip
    return Relation(
        user, username, state, bool(blocked), bool(blocked_by), Ciphertext(note), version, changed_by, changed_at
    )
