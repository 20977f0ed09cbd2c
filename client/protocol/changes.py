"""Changes of connections (protocol §5.1, §5.3): what the user pressed, what the server may ask back, and who may not be written to."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from client.errors import MalformedFrame
from client.protocol.ids import DeviceId, UserId
from client.protocol.opaque import to_text
from client.protocol.problems import Problem
from client.protocol.relations import Relation, Side, decode_relation

Action = Literal["add", "accept", "decline", "remove", "block", "unblock", "note"]
NOTE_BYTES = 1_024


@dataclass(frozen=True, slots=True)
class Change:
    """A button that the user pressed. `base_version`: what this device had stored then, or what the user has confirmed since."""

    position: int
    action: Action
    user: UserId | None
    username: str | None
    base_version: int
    note: bytes | None = field(default=None, repr=False)

    def is_about(self, relation: Relation) -> bool:
        """Whether this is the one whom the change is about."""
        return self.user == relation.user if self.user is not None else self.username == relation.username

    @property
    def target(self) -> str:
        """Whom it is about, as far as it is known: changes about the same one go one behind the other."""
        return self.user or self.username or ""


@dataclass(frozen=True, slots=True)
class Conflict:
    """The connection has changed since the user pressed the button: `connection` is how it is now, `changed_by` who did it."""

    change: Change
    connection: Relation
    version: int
    changed_by: DeviceId | None
    changed_at: int


@dataclass(frozen=True, slots=True)
class LaggingDevice:
    """A device of the user that has not stored the block yet."""

    id: DeviceId
    name: str
    last_seen_at: int | None


@dataclass(frozen=True, slots=True)
class Lag:
    """The block cannot be lifted before these devices have stored it."""

    change: Change
    devices: tuple[LaggingDevice, ...]


def change_fields(change: Change) -> dict[str, Any]:
    """A change as `POST /connections` takes it."""
    who = {"user": change.user} if change.user is not None else {"username": change.username}
    note = {"note": to_text(change.note or b"")} if change.action == "note" else {}
    return {"action": change.action, **who, "base_version": change.base_version, **note}


def decode_changed(fields: object) -> tuple[Relation, int]:
    """The answer to a change: the connection afterwards, and the version of all."""
    match fields:
        case {"connection": connection, "version": int(version)}:
            return decode_relation(connection), version
        case _:
            raise MalformedFrame("an answer to a change of an unknown shape")


def conflict_of(change: Change, problem: Problem) -> Conflict:
    """What the server says with `connection_changed`."""
    match problem.more:
        case {
            "connection": connection, "version": int(version), "changed_by": str() | None as changed_by,
            "changed_at": int(changed_at),
        }:  # fmt: skip
            device = None if changed_by is None else DeviceId(changed_by)
            return Conflict(change, decode_relation(connection), version, device, changed_at)
        case _:
            raise MalformedFrame("a conflict of an unknown shape")


def lag_of(change: Change, problem: Problem) -> Lag:
    """What the server says with `devices_lag`."""
    match problem.more:
        case {"devices": list(devices)}:
            return Lag(change, tuple(map(_lagging_device, devices)))
        case _:
            raise MalformedFrame("lagging devices of an unknown shape")


def _lagging_device(fields: object) -> LaggingDevice:
    match fields:
        case {"id": str(id_), "name": str(name), "last_seen_at": int() | None as last_seen_at}:
            return LaggingDevice(DeviceId(id_), name, last_seen_at)
        case _:
            raise MalformedFrame("a lagging device of an unknown shape")


def rebased(change: Change, made: Change, relation: Relation, me: DeviceId) -> Change:
    """A later change, after an earlier one of this device about the same user was made.

    Its user knew of the earlier one, so that alone must not make it outdated. But where another device's change lay between (the
    user confirmed the earlier one on a newer version, or found it made by another device), the later one keeps its version,
    and the server asks again.
    """
    follows = change.position > made.position and change.is_about(relation) and relation.changed_by == me
    if follows and made.base_version <= change.base_version < relation.version:
        return replace(change, base_version=relation.version)
    return change


def who_blocks(relation: Relation | None, pressed: Iterable[Change]) -> Side | None:
    """Who keeps the user from writing to another: oneself, the other, or nobody.

    A block counts from the press of the button, lifting it only from the server's answer.
    """
    last = next((c.action for c in reversed(list(pressed)) if c.action in {"block", "unblock"}), None)
    if last == "block" or (relation is not None and relation.blocked):
        return "you"
    return "peer" if relation is not None and relation.blocked_by else None


def blocked_problem(by: Side) -> Problem:
    """The refusal of protocol §2, as the server would word it."""
    return Problem("blocked", 403, "One of you blocks the other.", "you block this user" if by == "you" else
                   "this user blocks you", more={"by": by})  # fmt: skip
