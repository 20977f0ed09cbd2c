"""The SQLite file: mode 0600, write-ahead log, one owner at a time, transactions."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client.errors import LetterlockError, StoreInUse

SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE entries (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, room TEXT, message TEXT, body TEXT);
CREATE TABLE messages (
    id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, room TEXT NOT NULL, sender TEXT NOT NULL, device TEXT NOT NULL,
    recipient TEXT, sent_at INTEGER NOT NULL, accepted_at INTEGER NOT NULL, alg TEXT NOT NULL, epoch INTEGER NOT NULL,
    ciphertext BLOB NOT NULL, refused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX messages_of_a_room ON messages (room, seq);
CREATE INDEX messages_of_a_device ON messages (device, seq);
CREATE TABLE marks (
    room TEXT, device TEXT, sent_at INTEGER NOT NULL, message TEXT NOT NULL, PRIMARY KEY (room, device)
) WITHOUT ROWID;
CREATE TABLE refusals (message TEXT PRIMARY KEY, later TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rejections (message TEXT, by TEXT, reason TEXT NOT NULL, PRIMARY KEY (message, by)) WITHOUT ROWID;
CREATE TABLE rooms (id TEXT PRIMARY KEY, members_version INTEGER NOT NULL, body TEXT, stale INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE reads (room TEXT PRIMARY KEY, seq INTEGER NOT NULL, untold INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE receipts (room TEXT, user TEXT, device TEXT, delivered TEXT, read TEXT, PRIMARY KEY (room, device, user))
    WITHOUT ROWID;
CREATE TABLE drafts (
    position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, room TEXT NOT NULL, sender TEXT NOT NULL,
    recipient TEXT, sent_at INTEGER NOT NULL, alg TEXT NOT NULL, epoch INTEGER NOT NULL, body BLOB NOT NULL,
    ciphertext BLOB NOT NULL, problem TEXT
);
"""
CONNECTIONS = """
CREATE TABLE connections (
    user TEXT PRIMARY KEY, username TEXT NOT NULL, state TEXT NOT NULL, blocked INTEGER NOT NULL,
    blocked_by INTEGER NOT NULL, note BLOB NOT NULL, version INTEGER NOT NULL, changed_by TEXT, changed_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX connections_by_name ON connections (username);
CREATE TABLE changes (
    position INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, user TEXT, username TEXT, base_version INTEGER NOT NULL,
    note BLOB
);
"""
# What waits to be sent was written before there was encryption, in the clear, and is not kept.
EPOCHS = """
CREATE TABLE epochs (
    room TEXT, epoch INTEGER, creator TEXT NOT NULL, device TEXT NOT NULL, payload BLOB NOT NULL, signature BLOB NOT NULL,
    wrap_version INTEGER, wrap BLOB, key BLOB, outdated INTEGER NOT NULL, roster TEXT, change TEXT, PRIMARY KEY (room, epoch)
) WITHOUT ROWID;
CREATE TABLE room_peers (room TEXT PRIMARY KEY, peer TEXT) WITHOUT ROWID;
CREATE TABLE shares (room TEXT, user TEXT, due_at INTEGER NOT NULL, PRIMARY KEY (room, user)) WITHOUT ROWID;
DELETE FROM drafts;
"""
KEYS = """
CREATE TABLE user_keys (user TEXT PRIMARY KEY, document TEXT NOT NULL, verified BLOB) WITHOUT ROWID;
CREATE TABLE older_keys (user TEXT, seq INTEGER, document TEXT, ended INTEGER, PRIMARY KEY (user, seq, document)) WITHOUT ROWID;
"""
LACKING = """
ALTER TABLE shares ADD COLUMN others_until INTEGER;
"""
# Of what waits since before this was noted, nobody knows.
SENT = """
ALTER TABLE drafts ADD COLUMN was_sent INTEGER NOT NULL DEFAULT 1;
"""
# What each version of the file adds to the one before.
STEPS = (SCHEMA, CONNECTIONS, EPOCHS, KEYS, LACKING, SENT)
VERSION = len(STEPS)


class Database:
    """A connection with the schema in place. Statements outside `transaction` commit by themselves."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if self.path != ":memory:":
            # SQLite gives its -wal file the mode of the database, so this decides for both.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            Path(self.path).chmod(0o600)
        self._sqlite = sqlite3.connect(self.path, isolation_level=None, timeout=0.5)
        self._inside = False
        try:
            # Exclusive: two clients of one device would send and acknowledge behind each other's back.
            self._sqlite.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._sqlite.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing. Losing the power may cost the last commits; the inbox notices that
            # (`Inbox.welcomed`) and fetches them again.
            self._sqlite.execute("PRAGMA synchronous = NORMAL")
            # What is deleted is overwritten: keys must not be found in free pages.
            self._sqlite.execute("PRAGMA secure_delete = ON")
            with self.transaction():
                self._prepare()
        except sqlite3.OperationalError as error:
            self._sqlite.close()
            if "locked" in str(error):
                raise StoreInUse(self.path) from error
            raise

    def _prepare(self) -> None:
        (version,) = self.one("PRAGMA user_version") or (0,)
        if version > VERSION:
            raise LetterlockError(f"{self.path} was written by a newer version")
        for step in STEPS[version:]:
            for statement in step.split(";\n"):
                self._sqlite.execute(statement)
        if version < VERSION:
            self._sqlite.execute(f"PRAGMA user_version = {VERSION}")

    @contextmanager
    def transaction(self, *, to_the_disk: bool = False) -> Iterator[None]:
        """All or nothing; inside another one, part of it. `to_the_disk` survives a loss of power, and costs an fsync."""
        if self._inside:
            yield
            return
        if to_the_disk:
            self._sqlite.execute("PRAGMA synchronous = FULL")
        self._sqlite.execute("BEGIN IMMEDIATE")
        self._inside = True
        try:
            yield
            self._sqlite.execute("COMMIT")
        except BaseException:
            self._sqlite.execute("ROLLBACK")
            raise
        finally:
            self._inside = False
            if to_the_disk:
                self._sqlite.execute("PRAGMA synchronous = NORMAL")

    def run(self, sql: str, *values: Any) -> int:
        """Run one statement; the number of rows that it changed."""
        return self._sqlite.execute(sql, values).rowcount

    def run_each(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Run one statement for each row."""
        self._sqlite.executemany(sql, rows)

    def one(self, sql: str, *values: Any) -> Any:
        """The first row, or None."""
        return self._sqlite.execute(sql, values).fetchone()

    def all(self, sql: str, *values: Any) -> list[Any]:
        """Every row."""
        return self._sqlite.execute(sql, values).fetchall()

    def fact(self, name: str) -> Any:
        """A value that is kept by its name; None without."""
        row = self.one("SELECT value FROM facts WHERE name = ?", name)
        return row[0] if row else None

    def put(self, **facts: object) -> None:
        """Keep values by their names."""
        self.run_each("INSERT OR REPLACE INTO facts VALUES (?, ?)", list(facts.items()))

    def close(self) -> None:
        """Close the file."""
        self._sqlite.close()
