"""What has arrived: entries by seq, messages, the marks of the late rule, refusals."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from client.protocol.entries import (
    ConnectionEntry,
    Entry,
    EpochEntry,
    HiddenEntry,
    KeysEntry,
    MessageEntry,
    OtherEntry,
    RejectionEntry,
    RoomEntry,
    decode_entry,
)
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.inbox import Arrival
from client.protocol.late import Mark, Marks
from client.protocol.opaque import Ciphertext
from client.protocol.relations import relation_fields
from client.store.database import Database

COLUMNS = "m.seq, m.id, m.room, m.sender, m.device, m.recipient, m.sent_at, m.accepted_at, m.alg, m.epoch, m.ciphertext"
# Refused as late by this user, or as blocked to this user: then the rejection may have come before the message.
REFUSED = "m.refused, (SELECT r.reason FROM rejections r WHERE r.message = m.id AND r.reason = 'blocked' LIMIT 1)"


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message entry, and whether it was refused: by this user as `late`, or to this user as `blocked`."""

    entry: MessageEntry
    refused: bool
    reason: str | None = None


Stored = (
    StoredMessage | RejectionEntry | RoomEntry | ConnectionEntry | EpochEntry | KeysEntry | HiddenEntry | OtherEntry
)


class Mailbox:
    """The entries 1, 2, 3, … that this device holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stored(self) -> int:
        """Every entry up to this seq is here."""
        (seq,) = self._database.one("SELECT coalesce(max(seq), 0) FROM entries")
        return int(seq)

    def marks(self) -> Marks:
        """What the late rule has to remember."""
        rows = self._database.all("SELECT room, device, sent_at, message FROM marks")
        return {(RoomId(r), DeviceId(d)): Mark(sent_at, MessageId(m)) for r, d, sent_at, m in rows}

    def append(self, arrival: Arrival) -> None:
        """Store what arrived, with the refusals that are to be told; part of the caller's transaction, if any."""
        with self._database.transaction():
            rows, messages = [], []
            for entry in arrival.entries:
                rows.append(_row(entry))
                if isinstance(entry, MessageEntry):
                    messages.append(_message_row(entry, refused=entry.id in arrival.late))
            self._database.run_each("INSERT INTO entries VALUES (?, ?, ?, ?, ?)", rows)
            self._database.run_each("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", messages)
            self._database.run_each(
                "INSERT INTO marks VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
                " SET sent_at = excluded.sent_at, message = excluded.message WHERE excluded.sent_at > marks.sent_at",
                [(message[2], message[4], message[6], message[0]) for message in messages],
            )
            self._database.run_each("INSERT OR IGNORE INTO refusals VALUES (?, ?)", list(arrival.late.items()))
            for entry in arrival.entries:
                if isinstance(entry, RejectionEntry):
                    self._reject(entry)

    def _reject(self, entry: RejectionEntry) -> None:
        self._database.run("INSERT OR IGNORE INTO rejections VALUES (?, ?, ?)", entry.message, entry.by, entry.reason)
        # Refused by another device of this user: then it counts as refused here, too.
        self._database.run(
            "UPDATE messages SET refused = 1 WHERE id = ? AND ? = (SELECT value FROM facts WHERE name = 'user')",
            entry.message, entry.by,
        )  # fmt: skip

    def refusals(self) -> list[tuple[MessageId, MessageId]]:
        """(late message, later message) that the server has not been told, or has not confirmed."""
        return self._database.all("SELECT message, later FROM refusals")

    def refusal_told(self, message: MessageId) -> None:
        """The server has answered the refusal."""
        self._database.run("DELETE FROM refusals WHERE message = ?", message)

    def rejected_by(self, message: MessageId) -> dict[UserId, str]:
        """Who refused a message, and why."""
        return dict(self._database.all("SELECT by, reason FROM rejections WHERE message = ?", message))

    def read_after(self, seq: int, limit: int) -> list[Stored]:
        """At most `limit` entries after `seq`, in order."""
        rows = self._database.all(
            f"SELECT e.kind, e.body, {REFUSED}, {COLUMNS}, e.seq FROM entries e LEFT JOIN messages m ON m.seq = e.seq"
            " WHERE e.seq > ? ORDER BY e.seq LIMIT ?",
            seq, limit,
        )  # fmt: skip
        return [_stored(*row) for row in rows]

    def messages_of(self, room: RoomId, before: int, limit: int) -> list[StoredMessage]:
        """At most `limit` messages of a room before a seq, newest first."""
        rows = self._database.all(
            f"SELECT {REFUSED}, {COLUMNS} FROM messages m WHERE m.room = ? AND m.seq < ? ORDER BY m.seq DESC LIMIT ?",
            room, before, limit,
        )  # fmt: skip
        return [_stored_message(*row) for row in rows]

    def changes_of(self, room: RoomId, after: int, before: int, limit: int, kind: str = "room") -> list[Stored]:
        """At most `limit` changes of a room's members (or entries of another kind) between two seqs, newest first."""
        rows = self._database.all(
            "SELECT kind, body, 0, NULL, seq FROM entries WHERE kind = ? AND room = ? AND seq > ? AND seq < ?"
            " ORDER BY seq DESC LIMIT ?",
            kind, room, after, before, limit,
        )  # fmt: skip
        return [_stored(*row) for row in rows]

    def gone_from(self, room: RoomId) -> set[UserId]:
        """Who has left a room, or was removed, and is not back as far as the entries here tell."""
        rows = self._database.all(
            "SELECT user.value, e.body ->> 'change' FROM entries e, json_each(e.body, '$.users') user"
            " WHERE e.kind = 'room' AND e.room = ? AND e.body ->> 'change' IN ('created', 'added', 'removed', 'left')"
            " ORDER BY e.seq",
            room,
        )
        return {UserId(user) for user, change in dict(rows).items() if change in {"removed", "left"}}

    def find(self, message: MessageId) -> StoredMessage | None:
        """A message by its id."""
        row = self._database.one(f"SELECT {REFUSED}, {COLUMNS} FROM messages m WHERE m.id = ?", message)
        return _stored_message(*row) if row else None

    def known(self, messages: Iterable[MessageId]) -> set[MessageId]:
        """Those of the messages that are here."""
        rows = self._database.all(
            "SELECT id FROM messages WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(messages))
        )
        return {MessageId(id_) for (id_,) in rows}

    def count_under(self, room: RoomId, epoch: int) -> int:
        """How many messages of a room here were sealed under an epoch."""
        (count,) = self._database.one("SELECT count(*) FROM messages WHERE room = ? AND epoch = ?", room, epoch)
        return int(count)

    def peer_in(self, room: RoomId, me: UserId) -> UserId | None:
        """The other one of a direct room, as far as the messages here tell."""
        row = self._database.one(
            "SELECT sender, recipient FROM messages WHERE room = ? AND recipient IS NOT NULL LIMIT 1", room
        )
        return next((UserId(user) for user in row or () if user != me), None)


def _row(entry: Entry) -> tuple[Any, ...]:
    match entry:
        case MessageEntry():
            return entry.seq, "message", entry.room, entry.id, None
        case RejectionEntry():
            return entry.seq, "rejection", entry.room, entry.message, json.dumps(asdict(entry))
        case RoomEntry():
            return entry.seq, "room", entry.room, None, json.dumps(asdict(entry))
        case ConnectionEntry():
            return entry.seq, "connection", None, None, json.dumps(_connection_fields(entry))
        case EpochEntry():
            fields = asdict(entry) | {"digest": entry.digest.hex()}
            return entry.seq, "epoch", entry.room, None, json.dumps(fields)
        case KeysEntry():
            return entry.seq, "keys", None, None, json.dumps(asdict(entry))
        case HiddenEntry():
            return entry.seq, "hidden", None, None, None
        case OtherEntry():
            return entry.seq, entry.kind, None, None, None


def _connection_fields(entry: ConnectionEntry) -> dict[str, Any]:
    what = {"connection": relation_fields(entry.connection)} if entry.connection else {}
    return asdict(entry) | {"kind": "connection"} | what


def _message_row(entry: MessageEntry, *, refused: bool) -> tuple[Any, ...]:
    return (
        entry.id, entry.seq, entry.room, entry.sender, entry.device, entry.recipient, entry.sent_at, entry.accepted_at,
        entry.alg, entry.epoch, bytes(entry.ciphertext), refused,
    )  # fmt: skip


def _message(columns: Sequence[Any]) -> MessageEntry:
    seq, id_, room, sender, device, recipient, sent_at, accepted_at, alg, epoch, ciphertext = columns[:11]
    return MessageEntry(
        seq, id_, room, sender, device, recipient, sent_at, accepted_at, alg, epoch, Ciphertext(ciphertext)
    )


def _stored_message(refused: int, blocked: str | None, *columns: Any) -> StoredMessage:
    return StoredMessage(_message(columns), bool(refused or blocked), "late" if refused else blocked)


def _stored(kind: str, body: str | None, refused: int, blocked: str | None, *columns: Any) -> Stored:
    seq: int = columns[-1]
    match kind:
        case "message":
            return _stored_message(refused, blocked, *columns)
        case "rejection":
            return RejectionEntry(**json.loads(body or ""))
        case "room":
            fields = json.loads(body or "")
            return RoomEntry(**fields | {"users": tuple(fields["users"])})
        case "connection" if body is not None:  # without one it was stored by a version that did not know the kind
            connection = decode_entry(json.loads(body))
            assert isinstance(connection, ConnectionEntry)
            return connection
        case "epoch" if body is not None:
            fields = json.loads(body)
            return EpochEntry(**fields | {"digest": bytes.fromhex(fields["digest"])})
        case "keys" if body is not None:
            return KeysEntry(**json.loads(body))
        case "hidden":
            return HiddenEntry(seq)
        case _:
            return OtherEntry(seq, kind)
