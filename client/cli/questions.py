"""What the connection service asks back (docs/protocol.md §5.3), put to the user: both states, who changed what, what can be done."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Literal

from client import Conflict, DeviceId, Lag, Relation
from client.cli import words
from client.cli.names import safe_name


@dataclass(frozen=True, slots=True)
class Question:
    """Something only the user can decide: a title, a text, what to do it all the same is called, and what to leave it."""

    title: str
    body: str
    yes: str
    no: str


def of_conflict(
    conflict: Conflict, who: str, devices: Mapping[DeviceId, str], now_ms: int, zone: tzinfo | None = None
) -> Question:
    """Another device of the user has changed the connection since the user pressed the button."""
    who = safe_name(who)
    asked = words.to_do(conflict.change.action, who)
    when = words.moment(conflict.changed_at, now_ms, zone)
    by = devices.get(conflict.changed_by) if conflict.changed_by is not None else None
    changed = f"your device “{safe_name(by)}”" if by is not None else "another device of yours"
    wanted = words.of_relation(as_asked(conflict.connection, conflict.change.action))
    body = "\n".join((
        f"You asked to {asked}.",
        f"Meanwhile {changed} has changed this ({when}).",
        "",
        f"Now:           {words.of_relation(conflict.connection)}",
        f"As you asked:  {wanted}",
    ))  # fmt: skip
    return Question(
        f"{who}: which of the two?", body, f"{asked[0].upper()}{asked[1:]} all the same", "Leave it as it is now"
    )


def as_asked(relation: Relation, action: str) -> Relation:
    """What a change would make of a connection, on the user's side."""
    match action:
        case "add":
            return replace(relation, state="contact" if relation.state == "incoming" else "requested")
        case "accept":
            return replace(relation, state="contact")
        case "decline" | "remove":
            return replace(relation, state="none")
        case "block":
            return replace(relation, blocked=True)
        case "unblock":
            return replace(relation, blocked=False)
        case _:
            return relation


def of_lag(lag: Lag, who: str, now_ms: int) -> Question:
    """A block is to be lifted of which devices of the user have not heard yet."""
    lines = [f"  “{safe_name(device.name)}”, {_seen(device.last_seen_at, now_ms)}" for device in lag.devices]
    body = "\n".join((
        f"You asked to unblock {safe_name(who)}. These devices of yours have not heard of the block yet, and it is not",
        "lifted before they have:",
        *lines,
        "",
        "Open Letterlock there. A device that is lost can be revoked (/devices), then it does not count any more.",
    ))  # fmt: skip
    return Question(f"{safe_name(who)} stays blocked for now", body, "Wait for them, then unblock", "Leave the block")


def _seen(last_seen_at: int | None, now_ms: int) -> str:
    if last_seen_at is None:
        return "never seen"
    return f"last seen {words.in_words(max(now_ms - last_seen_at, 0) / 1000)} ago"


class Asker:
    """What a `Client` is given as `on_conflict` and `on_lag`. Nobody there to answer: the change is given up, and said so."""

    def __init__(self) -> None:
        self.conflict: Callable[[Conflict], Awaitable[bool]] | None = None
        self.lag: Callable[[Lag], Awaitable[bool]] | None = None

    async def on_conflict(self, conflict: Conflict) -> Literal["confirm", "drop"]:
        """Whether to do it all the same."""
        return "confirm" if self.conflict is not None and await self.conflict(conflict) else "drop"

    async def on_lag(self, lag: Lag) -> Literal["wait", "drop"]:
        """Whether to wait."""
        return "wait" if self.lag is not None and await self.lag(lag) else "drop"
