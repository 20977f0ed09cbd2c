"""Who is who, and which room is meant: user names for ids, titles for rooms, and what people type for either."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from client import Relation, Room, RoomId, SignedIn, UserId
from client.cli.text import one_line

MARK = "#"  # before a room's short id; no user name has it
GROUP = "Group: "
SHORT = 8
NAME_CELLS = 32
_ROOM_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Names(Mapping[UserId, str]):
    """User names by id, as far as rooms and connections tell them; somebody unknown has the end of the id.

    They are the server's word, and one that lies could show somebody as somebody else. Nobody is ever renamed, so the first
    name of each stays; who has had two, or one that somebody else has, is shown with the end of the id.
    """

    def __init__(self, me: SignedIn, kept: Mapping[str, str] | None = None) -> None:
        self.on_disputed: Callable[[UserId], None] = lambda _: None  # the server tells another name than before
        self.first: dict[UserId, str] = {}
        self._bearers: defaultdict[str, set[UserId]] = defaultdict(set)
        self._disputed: set[UserId] = set()
        self._learn(me.user, me.username)
        for user, name in (kept or {}).items():
            self._learn(UserId(user), name)

    def learn(self, rooms: Iterable[Room] = (), relations: Iterable[Relation] = ()) -> None:
        """Take names from what the client knows."""
        for room in rooms:
            for member in room.members:
                self._learn(member.user, member.username)
        for relation in relations:
            self._learn(relation.user, relation.username)

    def _learn(self, user: UserId, name: str) -> None:
        name = safe_name(name)
        first = self.first.setdefault(user, name)
        self._bearers[first].add(user)
        if name != first and user not in self._disputed:
            self._disputed.add(user)
            self.on_disputed(user)

    def __getitem__(self, user: UserId) -> str:
        first = self.first.get(user)
        if first is None:
            return f"user {user[-4:]}"
        is_plain = len(self._bearers[first]) == 1 and user not in self._disputed
        return first if is_plain else f"{first}{MARK}{user[-SHORT:]}"

    def __iter__(self) -> Iterator[UserId]:
        return iter(self.first)

    def __len__(self) -> int:
        return len(self.first)

    def user(self, name: str) -> UserId | None:
        """Who is shown under this name, or was the first to have it, as far as is known."""
        wanted = folded(name)
        shown = next((user for user, known in self.items() if known == wanted), None)
        return shown or next((user for user, known in self.first.items() if known == wanted), None)


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


def room_title(others: Sequence[str], width: int = 1_000, *, direct: bool) -> str:
    """The same in a list, where a group of two must not be taken for the direct conversation. No user name has the colon."""
    return title(others, width) if direct else GROUP + title(others, max(width - len(GROUP), 1))


def room_meant(text: str, rooms: Sequence[Room], names: Names, me: UserId) -> Room | None:
    """The room that somebody means: by id, by the short id with its #, or by the other one's user name."""
    text = text.strip()
    if text.startswith(MARK) and len(text) > 1:
        end = text[1:].lower()
        found = [room for room in rooms if room.id.replace("-", "").endswith(end)]
        return found[0] if len(found) == 1 else None
    if _ROOM_ID.fullmatch(text.lower()):
        return next((room for room in rooms if room.id == text.lower()), None)
    user = names.user(text)
    return None if user is None else next((room for room in rooms if room.peer_of(me) == user), None)


def is_room_name(text: str) -> bool:
    """Whether this cannot be a user name."""
    return text.strip().startswith(MARK) or _ROOM_ID.fullmatch(text.strip().lower()) is not None
