"""The persistent outbox: a message is here from before it is first sent until it is accepted or given up."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from client.protocol.frames import Outgoing
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.opaque import Ciphertext
from client.protocol.problems import Problem, decode_problem
from client.store.database import Database

COLUMNS = "position, id, room, sender, recipient, sent_at, alg, epoch, ciphertext, body, was_sent"


@dataclass(frozen=True, slots=True)
class Draft:
    """A message that is not accepted yet: its place in the order, its sealed form if it has one, and its body as it is kept.

    Bodies rest as `Sealer.keep` makes them: the file has none in the clear. `was_sent`: it may have been on its way under its
    id, so the server may have it.
    """

    position: int
    message: Outgoing
    kept: bytes = field(repr=False)
    was_sent: bool = False


class Drafts:
    """What this device has still to send, in the order in which the user sent it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, message: Outgoing, kept: bytes, *, was_sent: bool = False) -> int:
        """Keep a message; its position in the order."""
        self._database.run(
            "INSERT INTO drafts (id, room, sender, recipient, sent_at, alg, epoch, body, ciphertext, was_sent)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            message.id, message.room, message.sender, message.recipient, message.sent_at, message.alg, message.epoch,
            kept, bytes(message.ciphertext), was_sent,
        )  # fmt: skip
        (position,) = self._database.one("SELECT last_insert_rowid()")
        return int(position)

    def waiting(self) -> list[Draft]:
        """Everything that is to be sent, in order."""
        rows = self._database.all(f"SELECT {COLUMNS} FROM drafts WHERE problem IS NULL ORDER BY position")
        return [_draft(*row) for row in rows]

    def sealed_for(self, device: DeviceId) -> bool:
        """Note by which device is sealed from now on. False if it was another one until now."""
        before = self._database.fact("drafts_device")
        if before != device:
            self._database.put(drafts_device=device)
        return before in (None, device)

    def rooms(self) -> list[RoomId]:
        """The rooms in which something is to be sent."""
        rows = self._database.all("SELECT DISTINCT room FROM drafts WHERE problem IS NULL")
        return [RoomId(room) for (room,) in rows]

    def get(self, message: MessageId) -> Draft:
        """One that is certainly there."""
        return _draft(*self._database.one(f"SELECT {COLUMNS} FROM drafts WHERE id = ?", message))

    def reseal(self, messages: Iterable[Outgoing]) -> None:
        """Keep the new sealed forms, or that there are none, under the same ids."""
        self._database.run_each(
            "UPDATE drafts SET epoch = ?, alg = ?, ciphertext = ? WHERE id = ?",
            [(message.epoch, message.alg, bytes(message.ciphertext), message.id) for message in messages],
        )

    def leave(self, *messages: MessageId) -> None:
        """These may be on their way from now on."""
        self._database.run_each(
            "UPDATE drafts SET was_sent = 1 WHERE id = ? AND was_sent = 0", [(message,) for message in messages]
        )

    def remove(self, *messages: MessageId) -> None:
        """Accepted, or given up."""
        self._database.run_each("DELETE FROM drafts WHERE id = ?", [(message,) for message in messages])

    def fail(self, message: MessageId, problem: Problem) -> None:
        """Refused for good; it stays until the user discards it."""
        fields = {**problem.more, "code": problem.code, "status": problem.status, "detail": problem.detail}
        self._database.run("UPDATE drafts SET problem = ? WHERE id = ?", json.dumps(fields), message)

    def forget_failed(self, message: MessageId) -> bool:
        """One that counted as refused was accepted after all. False when there is none."""
        return bool(self._database.run("DELETE FROM drafts WHERE id = ? AND problem IS NOT NULL", message))

    def failed(self) -> list[tuple[Draft, Problem]]:
        """What was refused for good, in order."""
        rows = self._database.all(f"SELECT {COLUMNS}, problem FROM drafts WHERE problem IS NOT NULL ORDER BY position")
        return [(_draft(*row[:-1]), decode_problem(json.loads(row[-1]))) for row in rows]


def _draft(
    position: int, id_: MessageId, room: RoomId, sender: UserId, recipient: UserId | None, sent_at: int, alg: str, epoch: int,
    ciphertext: bytes, kept: bytes, was_sent: int,
) -> Draft:  # fmt: skip
    message = Outgoing(id_, room, sender, recipient, sent_at, alg, epoch, Ciphertext(ciphertext))
    return Draft(position, message, kept, bool(was_sent))
