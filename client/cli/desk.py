"""The device at work: what its client tells becomes what a screen shows. Knows no screen; `on_news` says what has changed.

What the user does is in `client.cli.deeds`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from enum import Flag, auto

from client import (
    ChangeFailed,
    ChangeMade,
    Client,
    ConnectionChanged,
    ConnectionsSynced,
    Event,
    LetterlockError,
    Message,
    MessageAccepted,
    MessageFailed,
    MessageRejected,
    ReadElsewhere,
    ReceiptReceived,
    Refused,
    Room,
    RoomChanged,
    RoomId,
    SomebodyTypes,
    State,
    StateChanged,
    UserId,
)
from client.cli import words
from client.cli.commands import Kind
from client.cli.model import Page, RoomLine, Row, Unsent, conversation, last_words, made_at, typing_words
from client.cli.names import Names, people, safe_name, short_id
from client.cli.window import Window

logger = logging.getLogger("letterlock.cli")
TYPING_S = 6.0  # the server passes on at most one in 3 s


class News(Flag):
    """What has to be shown anew."""

    ROOMS = auto()
    ROWS = auto()
    TYPING = auto()
    STATE = auto()
    BANNER = auto()


EVERYTHING = News.ROOMS | News.ROWS | News.TYPING | News.STATE | News.BANNER


class Desk:
    """One signed-in client. `on_news(what)` and `on_alert(sentence)` are called on the event loop, often."""

    def __init__(self, client: Client, *, now_ms: Callable[[], int] = words.now_ms) -> None:
        self.client = client
        self._me = client.me.user
        self.names = Names(client.me)
        self.window: Window | None = None
        self.on_news: Callable[[News], None] = lambda _: None
        self.on_alert: Callable[[str], None] = lambda _: None
        self.is_looked_at = False  # the end of the open room is in sight of the user
        self.reason = ""  # why the device is not connected
        self._now_ms = now_ms
        self._rooms: dict[RoomId, Room] = {}
        self._newest: dict[RoomId, Message | None] = {}
        self._lines: dict[RoomId, RoomLine] = {}
        self._typing: dict[RoomId, dict[UserId, float]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_for_rooms = False

    async def __aenter__(self) -> "Desk":
        self._learn_stored()
        self._begin(self._listen())
        self.client.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def me(self) -> UserId:
        """Whose device this is."""
        return self._me

    def _begin(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            await work

        task = asyncio.create_task(done())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What is known.

    def _learn_stored(self) -> None:
        self.names.learn(relations=self.client.connections.list())
        for room in self.client.known_rooms():
            self.put(room)

    def put(self, room: Room) -> None:
        """A room as the server has just said it."""
        self._rooms[room.id] = room
        self.names.learn([room])
        self._lines.pop(room.id, None)

    def forget(self, room: RoomId) -> None:
        """The user is not in a room any more; what was said stays in the store."""
        self._rooms.pop(room, None)
        self._lines.pop(room, None)
        self._tell(EVERYTHING)

    def room(self, room: RoomId) -> Room | None:
        """A room as last seen; None if the user is not in it."""
        return self._rooms.get(room)

    @property
    def rooms(self) -> list[Room]:
        """Every room of the user, the one where something happened last first."""
        return [self._rooms[line.id] for line in self.lines()]

    @property
    def open_room(self) -> Room | None:
        """The room that is open, if the user is still in it."""
        return self._rooms.get(self.window.room) if self.window is not None else None

    def lines(self) -> list[RoomLine]:
        """The room list, the newest first."""
        lines = [self._line(room) for room in self._rooms.values()]
        return sorted(lines, key=lambda line: (-line.at_ms, line.people))

    def _line(self, room: Room) -> RoomLine:
        if room.id not in self._lines:
            self._lines[room.id] = self._made_line(room)
        return self._lines[room.id]

    def _made_line(self, room: Room) -> RoomLine:
        if room.id not in self._newest:
            newest = self.client.messages(room.id, limit=1)
            self._newest[room.id] = newest[0] if newest else None
        message, unsent = self._newest[room.id], self._unsent_of(room.id)
        others = frozenset(member.user for member in room.members if member.user != self.me)
        receipts = {message.id: self.client.receipts(message.id)} if message and message.sender == self.me else {}
        page = Page(self.me, self.names, others=others, receipts=receipts)
        direct = room.kind == "direct"
        at_ms = made_at(unsent.id) if unsent else message.accepted_at if message else 0
        return RoomLine(
            room.id, people(room, self.names, self.me), self.client.unread(room.id),
            last_words(message, unsent, page, direct=direct), at_ms,
            words.moment(at_ms, self._now_ms()) if at_ms else "", self._badge(room), bool(self._typing.get(room.id)),
        )  # fmt: skip

    def _unsent_of(self, room: RoomId) -> Unsent | None:
        waiting = [Unsent(id_, body) for id_, where, body, _ in self.client.waiting() if where == room]
        failed = [Unsent(id_, body, problem) for id_, where, body, problem in self.client.failed() if where == room]
        return max([*waiting, *failed], key=lambda unsent: unsent.id, default=None)

    def _badge(self, room: Room) -> str:
        peer = room.peer_of(self.me)
        relation = self.client.connections.get(peer) if peer is not None else None
        if relation is not None and any(relation.blocks):
            return "⊘"
        return "?" if relation is not None and relation.state == "incoming" else ""

    # The open room.

    def open(self, room: RoomId) -> None:
        """Look at a room from now on."""
        self.window = Window(self.client, room, self.names)
        self._tell(EVERYTHING)

    def close(self) -> None:
        """Look at none."""
        self.window = None
        self._tell(EVERYTHING)

    def rows(self) -> list[Row]:
        """What there is to show of the open room."""
        if self.window is None:
            return []
        return conversation(self.window.page(self.open_room), self._now_ms())

    def look(self, *, at_the_end: bool) -> None:
        """Whether the user sees the newest messages of the open room; what is seen is read."""
        self.is_looked_at = at_the_end
        if at_the_end and self.window is not None and self.client.unread(self.window.room):
            self.client.read(self.window.room, self.window.newest)
            self._changed(self.window.room)

    def typing(self) -> str:
        """Who is writing in the open room."""
        if self.window is None:
            return ""
        writing = self._typing.get(self.window.room, {})
        return typing_words([self.names[user] for user in sorted(writing)])

    def forget_typing(self) -> None:
        """Drop those who have not been writing for a while. Call it now and then."""
        now = time.monotonic()
        for room, writing in list(self._typing.items()):
            if stale := [user for user, until in writing.items() if until <= now]:
                for user in stale:
                    del writing[user]
                self._changed(room, News.TYPING)

    def state(self) -> str:
        """How the device stands to the server, in a few words."""
        waiting = len(self.client.unsent()) + len(self.client.connections.waiting())
        return words.of_state(self.client.state, waiting=waiting, reason=self.reason)

    def banner(self) -> str:
        """What the user should know before writing in the open room."""
        room = self.open_room
        if self.window is not None and room is None:
            return "You are not in this group any more."
        peer = room.peer_of(self.me) if room is not None else None
        relation = self.client.connections.get(peer) if peer is not None else None
        if relation is None or peer is None:
            return ""
        name = self.names[peer]
        if relation.blocked:
            return f"You block {name}: nothing is sent or received here. /unblock lifts it."
        if relation.blocked_by:
            return f"{name} blocks you: nothing is sent here."
        return f"{name} asks to be your contact: /accept or /decline" if relation.state == "incoming" else ""

    def standing(self) -> str:
        """What there is with the other one of the open direct room, in a few words."""
        room = self.open_room
        peer = room.peer_of(self.me) if room is not None else None
        relation = self.client.connections.get(peer) if peer is not None else None
        return (
            ""
            if relation is None or (relation.state == "none" and not any(relation.blocks))
            else words.of_relation(relation)
        )

    def words(self) -> dict[Kind, list[str]]:
        """What the arguments of commands may be here."""
        relations, room = self.client.connections.list(), self.open_room
        members = [self.names[member.user] for member in room.members if member.user != self.me] if room else []
        known = sorted(name for user, name in self.names.items() if user != self.me)
        titles = [", ".join(people(other, self.names, self.me)) for other in self.rooms if other.kind == "direct"]
        groups = [short_id(other.id) for other in self.rooms if other.kind == "group"]
        return {
            "user": known, "member": sorted(members), "room": [*titles, *groups], "role": ["admin", "member"],
            "contact": [safe_name(r.username) for r in relations if r.state in {"contact", "requested"}],
            "incoming": [safe_name(r.username) for r in relations if r.state == "incoming"],
            "blocked": [safe_name(r.username) for r in relations if r.blocked],
        }  # fmt: skip

    # What happens.

    def _tell(self, news: News) -> None:
        self.on_news(news)

    def _changed(self, room: RoomId, news: News = News.ROOMS) -> None:
        self._lines.pop(room, None)
        self._tell(news | News.ROOMS)

    def _all_changed(self) -> None:
        self._lines.clear()
        self._tell(EVERYTHING)

    async def _listen(self) -> None:
        async for event in self.client.events():
            try:
                self._heard(event)
            except LetterlockError:
                logger.exception("not shown: %s", type(event).__name__)

    def _heard(self, event: Event) -> None:
        match event:
            case Message():
                self._message(event)
            case MessageAccepted(accepted):
                if self.window is not None:
                    self.window.accepted(accepted.id)
                self._changed(accepted.room, News.ROWS | News.STATE)
            case MessageFailed():
                self.outbox_changed()
            case MessageRejected(room=room):
                if self.window is not None and self.window.room == room:
                    self.window.reload()
                self._newest.pop(room, None)
                self._changed(room, News.ROWS)
            case RoomChanged(room=room):
                self._begin(self._read_room(room))
            case ReceiptReceived(receipt):
                self._changed(receipt.room, News.ROWS)
            case ReadElsewhere(room):
                self._changed(room)
            case SomebodyTypes(room, user) if user != self.me:
                self._typing.setdefault(room, {})[user] = time.monotonic() + TYPING_S
                self._changed(room, News.TYPING)
            case StateChanged(state, reason):
                self._state(state, reason)
            case ConnectionChanged() | ConnectionsSynced() | ChangeMade():
                self.names.learn(relations=self.client.connections.list())
                self._all_changed()
            case ChangeFailed():
                self._all_changed()
            case _:
                pass

    def outbox_changed(self) -> None:
        """Something was queued, refused or given up."""
        if self.window is not None:
            self.window.outbox_changed()
        self._all_changed()

    def queued(self) -> None:
        """The user has said something: what was new is not new any more."""
        if self.window is not None:
            self.window.read_all()
        self.outbox_changed()

    def connections_changed(self) -> None:
        """The user has pressed a button of connections."""
        self._all_changed()

    def _message(self, message: Message) -> None:
        self._newest[message.room] = message
        self._typing.get(message.room, {}).pop(message.sender, None)
        if self.window is not None and self.window.room == message.room:
            self.window.arrived(message, looked_at=self.is_looked_at)
        if message.room not in self._rooms:
            self._begin(self._read_room(message.room))
        self._changed(message.room, News.ROWS | News.TYPING)

    def _state(self, state: State, reason: str) -> None:
        self.reason = reason
        if state is State.LIVE and not self._asked_for_rooms:
            self._asked_for_rooms = True
            self._begin(self._read_rooms())
        self._tell(News.STATE)

    async def _read_rooms(self) -> None:
        try:
            for room in await self.client.rooms():
                self.put(room)
        except LetterlockError as error:
            self._asked_for_rooms = False
            logger.info("rooms were not read: %s", error)
        self._tell(EVERYTHING)

    async def _read_room(self, room: RoomId) -> None:
        try:
            self.put(await self.client.room(room))
        except Refused:
            self.forget(room)  # not a member any more
        except LetterlockError as error:
            logger.info("a room was not read: %s", error)
        self._tell(EVERYTHING)
