"""Keys at rest: this device's own as one blob (client/keys/keyring.py), and others' documents with what is pinned."""

import json
from dataclasses import dataclass
from typing import Any

from client.protocol.ids import UserId
from client.store.database import Database


@dataclass(frozen=True, slots=True)
class Pinned:
    """The newest document that was taken of a user. `verified`: the identity key that the user has compared, if any.

    Empty: one was compared, and another came after it. That stays so until the user compares again, whatever comes.
    """

    user: UserId
    document: dict[str, Any]
    verified: bytes | None


class Keys:
    """What this device knows of keys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ring(self) -> str | None:
        """This device's own keys, as they were kept."""
        found: str | None = self._database.fact("keyring")
        return found

    def keep_ring(self, text: str) -> None:
        """Keep them, on the disk before this returns: what they sign may be sent next."""
        with self._database.transaction(to_the_disk=True):
            self._database.put(keyring=text)

    def newest_s(self) -> int:
        """The newest time that the server has put on a message here, in seconds, rounded up; 0 without one."""
        (newest_ms,) = self._database.one("SELECT MAX(accepted_at) FROM messages")
        return -(-(newest_ms or 0) // 1000)

    def scrub(self) -> None:
        """Have nothing of earlier keys left in the files: freed pages are overwritten, and the log is emptied."""
        self._database.one("PRAGMA wal_checkpoint(TRUNCATE)")

    def pinned(self, user: UserId) -> Pinned | None:
        """The newest document of a user."""
        row = self._database.one("SELECT document, verified FROM user_keys WHERE user = ?", user)
        return Pinned(user, json.loads(row[0]), row[1]) if row else None

    def pin(self, user: UserId, document: dict[str, Any]) -> None:
        """Take this document in the place of the one before."""
        self._database.run(
            "INSERT INTO user_keys (user, document) VALUES (?, ?) ON CONFLICT DO UPDATE SET document = excluded.document",
            user, json.dumps(document),
        )  # fmt: skip

    def replace(
        self, user: UserId, document: dict[str, Any], before: tuple[int, dict[str, Any]], *, ended: int
    ) -> None:
        """Take a document of another identity; `before`, with its seq, is given up from `ended` (seconds) on."""
        with self._database.transaction():
            self.keep_older(user, *before, ended=ended)
            self.pin(user, document)
            self._database.run("UPDATE user_keys SET verified = x'' WHERE user = ? AND verified IS NOT NULL", user)

    def verify(self, user: UserId, identity: bytes | None) -> None:
        """The user has compared this identity key; or takes that back."""
        self._database.run("UPDATE user_keys SET verified = ? WHERE user = ?", identity, user)

    def verified(self) -> dict[UserId, bytes]:
        """Whose identity key the user has compared, and which."""
        rows = self._database.all("SELECT user, verified FROM user_keys WHERE verified IS NOT NULL")
        return {UserId(user): identity for user, identity in rows}

    def keep_older(self, user: UserId, seq: int, document: dict[str, Any], *, ended: int | None = None) -> None:
        """A document by which old messages can be verified. `ended`: when its identity was given up (seconds)."""
        self._database.run(
            "INSERT INTO older_keys (user, seq, document, ended) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET ended = COALESCE(excluded.ended, ended)",
            user, seq, json.dumps(document), ended,
        )  # fmt: skip

    def older(self, user: UserId) -> list[tuple[dict[str, Any], int | None]]:
        """The documents before the newest one that are here, newest first, and when their identity ended, if it did."""
        rows = self._database.all("SELECT document, ended FROM older_keys WHERE user = ? ORDER BY seq DESC", user)
        return [(json.loads(document), ended) for document, ended in rows]
