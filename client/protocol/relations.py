"""What a user has with others (protocol §5), as the server says it. The protocol's *connection* is a `Relation` here."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from client.errors import MalformedFrame
from client.protocol.ids import DeviceId, UserId
from client.protocol.opaque import Ciphertext, from_text, to_text

Side = Literal["you", "peer"]
RelationState = Literal["none", "requested", "incoming", "contact"]
STATES: tuple[RelationState, ...] = ("none", "requested", "incoming", "contact")


@dataclass(frozen=True, slots=True)
class Relation:
    """What the user has with another one, as of `version`. `changed_by`: the user's device that did it; None: the other."""

    user: UserId
    username: str
    state: RelationState
    blocked: bool
    blocked_by: bool
    note: Ciphertext
    version: int
    changed_by: DeviceId | None
    changed_at: int

    @property
    def blocks(self) -> tuple[bool, bool]:
        """What keeps the two from writing to each other."""
        return self.blocked, self.blocked_by


@dataclass(frozen=True, slots=True)
class Settings:
    """Who may reach the user: `anyone` or `contacts`; and where strangers' first messages go: `mailbox` or `requests`."""

    who_may_open: str
    who_may_add: str
    strangers: str


@dataclass(frozen=True, slots=True)
class RelationsPage:
    """A page of what changed after a version. `next`: the `since` of the page behind it, None at the end."""

    relations: tuple[Relation, ...]
    settings: Settings
    version: int
    consistency: str
    next: int | None


def decode_relation(fields: object) -> Relation:
    """*connection* of protocol §5.1."""
    match fields:
        case {
            "user": str(user), "username": str(username), "state": ("none" | "requested" | "incoming" | "contact") as state,
            "blocked": bool(blocked), "blocked_by": bool(blocked_by), "note": str(note), "version": int(version),
            "changed_by": str() | None as changed_by, "changed_at": int(changed_at),
        }:  # fmt: skip
            return Relation(
                UserId(user), username, state, blocked, blocked_by, Ciphertext(from_text(note)), version,
                None if changed_by is None else DeviceId(changed_by), changed_at,
            )  # fmt: skip
        case _:
            raise MalformedFrame("a connection of an unknown shape")


def relation_fields(relation: Relation) -> dict[str, Any]:
    """The same again, for the store."""
    return asdict(relation) | {"note": to_text(relation.note)}


def decode_settings(fields: object) -> Settings:
    """The answer of `/connections/settings`, and part of a page."""
    match fields:
        case {"who_may_open": str(who_may_open), "who_may_add": str(who_may_add), "strangers": str(strangers)}:
            return Settings(who_may_open, who_may_add, strangers)
        case _:
            raise MalformedFrame("settings of an unknown shape")


def decode_relations_page(fields: object) -> RelationsPage:
    """The answer of `GET /connections?since=`."""
    match fields:
        case {
            "connections": list(connections), "settings": settings, "version": int(version),
            "consistency": str(consistency), "next": int() | None as next_,
        }:  # fmt: skip
            relations = tuple(map(decode_relation, connections))
            return RelationsPage(relations, decode_settings(settings), version, consistency, next_)
        case _:
            raise MalformedFrame("a page of connections of an unknown shape")
