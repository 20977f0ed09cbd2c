"""The room list: every room of the user with the newest that was said, kept until something about a room changes."""

from collections.abc import Callable, Mapping

from client import Client, Message, Room, RoomId, UserId
from client.cli import words
from client.cli.model import Page, RoomLine, Unsent, last_words, made_at
from client.cli.names import Names, people


class Overview:
    """Rooms and their lines. Reads the client's store only. `is_writing`: whether somebody writes in a room.

    `held`: users to whom nothing is sent, because their keys are not those that were verified.
    """

    def __init__(self, client: Client, names: Names, me: UserId, is_writing: Callable[[RoomId], bool]) -> None:
        self._client, self._names, self._me = client, names, me
        self.held: frozenset[UserId] = frozenset()
        self._is_writing = is_writing
        self._rooms: dict[RoomId, Room] = {}
        self._newest: dict[RoomId, Message | None] = {}
        self._lines: dict[RoomId, RoomLine] = {}
        self._unsent: dict[RoomId, Unsent] | None = None
        for room in client.known_rooms():
            self.put(room)

    def put(self, room: Room) -> None:
        """A room as the server has just said it, or as it was last seen."""
        self._rooms[room.id] = room
        self._names.learn([room])
        self._lines.pop(room.id, None)

    def forget(self, room: RoomId) -> None:
        """The user is not in a room any more; what was said stays in the store."""
        self._rooms.pop(room, None)
        self._lines.pop(room, None)

    def get(self, room: RoomId) -> Room | None:
        """A room as last seen; None if the user is not in it."""
        return self._rooms.get(room)

    def arrived(self, message: Message) -> None:
        """The newest of its room."""
        self._newest[message.room] = message
        self.changed(message.room)

    def changed(self, room: RoomId, *, reopen: bool = False) -> None:
        """Something about a room is not as it was; `reopen`: perhaps what can be shown of its newest message."""
        self._lines.pop(room, None)
        self._unsent = None
        if reopen:
            self._newest.pop(room, None)

    def all_changed(self, *, reopen: bool = False) -> None:
        """The same for all of them."""
        self._lines.clear()
        self._unsent = None
        if reopen:
            self._newest.clear()

    def lines(self, now_ms: int) -> list[RoomLine]:
        """The list, the room first in which something was said last."""
        for room in self._rooms.values():
            if room.id not in self._lines:
                self._lines[room.id] = self._line(room, now_ms)
        return sorted((self._lines[room] for room in self._rooms), key=lambda line: (-line.at_ms, line.people))

    def _line(self, room: Room, now_ms: int) -> RoomLine:
        if room.id not in self._newest:
            newest = self._client.messages(room.id, limit=1)
            self._newest[room.id] = newest[0] if newest else None
        message, unsent = self._newest[room.id], self._newest_unsent().get(room.id)
        others = frozenset(member.user for member in room.members if member.user != self._me)
        receipts = {message.id: self._client.receipts(message.id)} if message and message.sender == self._me else {}
        page = Page(self._me, self._names, others=others, receipts=receipts)
        at_ms = made_at(unsent.id) if unsent else message.accepted_at if message else 0
        return RoomLine(
            room.id, people(room, self._names, self._me), self._client.unread(room.id),
            last_words(message, unsent, page, direct=room.kind == "direct"), at_ms,
            words.moment(at_ms, now_ms) if at_ms else "", self._badge(room), self._is_writing(room.id),
            room.kind == "direct",
        )  # fmt: skip

    def _newest_unsent(self) -> Mapping[RoomId, Unsent]:
        if self._unsent is None:
            waiting = [(room, Unsent(id_, body)) for id_, room, body, _ in self._client.waiting()]
            failed = [(room, Unsent(id_, body, problem)) for id_, room, body, problem in self._client.failed()]
            self._unsent = dict(sorted([*waiting, *failed], key=lambda one: one[1].id))
        return self._unsent

    def _badge(self, room: Room) -> str:
        if any(member.user in self.held for member in room.members):
            return "!"
        peer = room.peer_of(self._me)
        relation = self._client.connections.get(peer) if peer is not None else None
        if relation is not None and any(relation.blocks):
            return "⊘"
        return "?" if relation is not None and relation.state == "incoming" else ""
