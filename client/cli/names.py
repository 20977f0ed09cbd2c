"""Who is who, and which room is meant: user names for ids, titles for rooms, and what people type for either."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from client import Relation, Room, RoomId, SignedIn, UserId
from client.cli.text import one_line

MARK = "#"  # before a room's short id; no user name has it
SHORT = 8
NAME_CELLS = 32
_ROOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Names(Mapping[UserId, str]):
    """User names by id, as far as rooms and connections tell them; somebody unknown has the end of the id."""

    def __init__(self, me: SignedIn, kept: Mapping[str, str] | None = None) -> None:
        self._names = {UserId(user): safe_name(name) for user, name in (kept or {}).items()}
        self._names[me.user] = safe_name(me.username)

    def learn(self, rooms: Iterable[Room] = (), relations: Iterable[Relation] = ()) -> None:
        """Take names from what the client knows."""
        for room in rooms:
            self._names.update((member.user, safe_name(member.username)) for member in room.members)
        self._names.update((relation.user, safe_name(relation.username)) for relation in relations)

    def __getitem__(self, user: UserId) -> str:
        return self._names.get(user) or f"user {user[-4:]}"

    def __iter__(self) -> Iterator[UserId]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def user(self, name: str) -> UserId | None:
        """Who has this name, as far as it is known."""
        wanted = folded(name)
        return next((user for user, known in self._names.items() if known == wanted), None)


def safe_name(name: str) -> str:
    """A user's or a device's name, in one line that cannot speak to the terminal."""
    return one_line(name, NAME_CELLS) or "?"


def folded(name: str) -> str:
    """A user name as the server writes it; an @ before it is a habit of many."""
    return name.strip().removeprefix("@").lower()


def short_id(room: RoomId) -> str:
    """A room in a few characters: the end of its id, since ids made at the same time begin alike."""
    return MARK + room.replace("-", "")[-SHORT:]


def people(room: Room, names: Mapping[UserId, str], me: UserId) -> tuple[str, ...]:
    """The names of a room's other members, in the room's order."""
    return tuple(names[member.user] for member in room.members if member.user != me)


def title(others: Sequence[str], width: int = 1_000) -> str:
    """What a room is called: the other one's name, or the other members' names, as many as fit."""
    if not others:
        return "only you"
    for count in range(len(others), 0, -1):
        left = len(others) - count
        shown = ", ".join(others[:count]) + (f" +{left}" if left else "")
        if len(shown) <= width:
            return shown
    more = f" +{len(others) - 1}" if len(others) > 1 else ""
    return one_line(others[0], max(width - len(more), 1)) + more


def room_meant(text: str, rooms: Sequence[Room], names: Mapping[UserId, str], me: UserId) -> Room | None:
    """The room that somebody means: by id, by the short id with its #, or by the other one's user name."""
    text = text.strip()
    if text.startswith(MARK) and len(text) > 1:
        end = text[1:].lower()
        found = [room for room in rooms if room.id.replace("-", "").endswith(end)]
        return found[0] if len(found) == 1 else None
    if _ROOM_ID.fullmatch(text.lower()):
        return next((room for room in rooms if room.id == text.lower()), None)
    wanted = folded(text)
    return next((r for r in rooms if (peer := r.peer_of(me)) is not None and names[peer] == wanted), None)


def is_room_name(text: str) -> bool:
    """Whether this cannot be a user name."""
    return text.strip().startswith(MARK) or _ROOM_ID.fullmatch(text.strip().lower()) is not None
