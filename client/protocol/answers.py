"""What REST answers (protocol §3), as values."""

from dataclasses import dataclass, field

from client.errors import MalformedFrame
from client.protocol.entries import Entry, decode_entry
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.problems import Problem, decode_problem


@dataclass(frozen=True, slots=True)
class Tokens:
    """An access token and the refresh token that replaces it; expiries in milliseconds since 1970."""

    access: str = field(repr=False)
    access_expires_at: int
    refresh: str = field(repr=False)
    refresh_expires_at: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """*session* of protocol §3: who this device is, and its tokens."""

    user: UserId
    username: str
    device: DeviceId
    device_name: str
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a room; `role` is `owner`, `admin` or `member`."""

    user: UserId
    username: str
    role: str


@dataclass(frozen=True, slots=True)
class Room:
    """A room as it was at `members_version`; `kind` is `direct` or `group`.

    `history`: what who comes later can read, `joined` (from then on) or `all`.
    """

    id: RoomId
    kind: str
    members_version: int
    epoch: int
    members: tuple[Member, ...]
    history: str = "joined"

    def peer_of(self, user: UserId) -> UserId | None:
        """The other one in a direct room; None in a group."""
        others = [member.user for member in self.members if member.user != user]
        return others[0] if self.kind == "direct" and len(others) == 1 else None


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the user; times in milliseconds since 1970."""

    id: DeviceId
    name: str
    created_at: int
    last_seen_at: int | None
    this_device: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server has committed this message; whatever happens now, it reaches every recipient."""

    id: MessageId
    room: RoomId
    sender: UserId
    recipient: UserId | None
    accepted_at: int


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a mailbox. `next` is what to pass as `after` (or `before`), None at the end."""

    entries: tuple[Entry, ...]
    last_seq: int
    next: int | None
    acknowledged: int | None = None


def decode_tokens(fields: object) -> Tokens:
    """The answer of `refresh`, and part of *session*."""
    match fields:
        case {
            "access": str(access), "access_expires_at": int(access_expires_at),
            "refresh": str(refresh), "refresh_expires_at": int(refresh_expires_at),
        }:  # fmt: skip
            return Tokens(access, access_expires_at, refresh, refresh_expires_at)
        case _:
            raise MalformedFrame("tokens of an unknown shape")


def decode_signed_in(fields: object) -> SignedIn:
    """The answer of `register` and `sign-in`."""
    match fields:
        case {
            "user": {"id": str(user), "username": str(username)}, "device": {"id": str(device), "name": str(name)},
        }:  # fmt: skip
            return SignedIn(UserId(user), username, DeviceId(device), name, decode_tokens(fields))
        case _:
            raise MalformedFrame("a session of an unknown shape")


def decode_room(fields: object) -> Room:
    """*room* of protocol §3."""
    match fields:
        case {
            "id": str(id_), "kind": str(kind), "members_version": int(members_version), "epoch": int(epoch),
            "members": list(members), **more,
        }:  # fmt: skip
            history = "all" if more.get("history") == "all" else "joined"
            return Room(RoomId(id_), kind, members_version, epoch, tuple(map(_decode_member, members)), history)
        case _:
            raise MalformedFrame("a room of an unknown shape")


def _decode_member(fields: object) -> Member:
    match fields:
        case {"user": str(user), "username": str(username), "role": str(role)}:
            return Member(UserId(user), username, role)
        case _:
            raise MalformedFrame("a member of an unknown shape")


def decode_device(fields: object) -> Device:
    """One of `GET /devices`."""
    match fields:
        case {
            "id": str(id_), "name": str(name), "created_at": int(created_at), "this_device": bool(this_device),
            "last_seen_at": int() | None as last_seen_at,
        }:  # fmt: skip
            return Device(DeviceId(id_), name, created_at, last_seen_at, this_device)
        case _:
            raise MalformedFrame("a device of an unknown shape")


def decode_accepted(fields: object) -> Accepted:
    """*accepted* of protocol §3.1."""
    match fields:
        case {
            "id": str(id_), "room": str(room), "sender": str(sender), "accepted_at": int(accepted_at),
            "recipient": str() | None as recipient,
        }:  # fmt: skip
            return Accepted(
                MessageId(id_), RoomId(room), UserId(sender), None if recipient is None else UserId(recipient),
                accepted_at,
            )  # fmt: skip
        case _:
            raise MalformedFrame("an answer to a send of an unknown shape")


def decode_results(fields: object) -> list[tuple[MessageId, Accepted | Problem]]:
    """The answer to a POST of several messages: per message what was accepted, or why it was refused."""
    match fields:
        case {"results": list(results)}:
            return [_decode_result(result) for result in results]
        case _:
            raise MalformedFrame("results of an unknown shape")


def _decode_result(fields: object) -> tuple[MessageId, Accepted | Problem]:
    match fields:
        case {"id": str(id_), "message": dict(message)}:
            return MessageId(id_), decode_accepted(message)
        case {"id": str(id_), "status": int(status), "error": dict(error)}:
            return MessageId(id_), decode_problem(error, status=status)
        case _:
            raise MalformedFrame("a result of an unknown shape")


def decode_page(fields: object) -> Page:
    """A page of entries; a room's history has no `last_seq`."""
    match fields:
        case {"entries": list(entries), **more}:
            last_seq, next_, acknowledged = more.get("last_seq"), more.get("next"), more.get("acknowledged")
            return Page(
                tuple(map(decode_entry, entries)),
                last_seq if isinstance(last_seq, int) else 0,
                next_ if isinstance(next_, int) else None,
                acknowledged if isinstance(acknowledged, int) else None,
            )
        case _:
            raise MalformedFrame("a page of an unknown shape")
