"""The device at work: what its client tells becomes what a screen shows. Knows no screen; `on_news` says what has changed.

What the user does is in `client.cli.deeds`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from enum import Flag, auto
from typing import Any

from client import (
    ChangeFailed,
    ChangeMade,
    Client,
    ConnectionChanged,
    ConnectionsSynced,
    EpochChanged,
    Event,
    IdentityChanged,
    KeysLocked,
    KeysUnlocked,
    LetterlockError,
    Message,
    MessageAccepted,
    MessageFailed,
    MessageRejected,
    MessageRenewed,
    ReadElsewhere,
    ReceiptReceived,
    Refused,
    Relation,
    Room,
    RoomChanged,
    RoomId,
    SomebodyTypes,
    State,
    StateChanged,
    UserId,
    VaultOpened,
)
from client.cli import banners, words
from client.cli.model import RoomLine, Row, conversation, typing_words
from client.cli.names import Names
from client.cli.overview import Overview
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
    """One signed-in client. `on_news(what)` is called on the event loop, often."""

    def __init__(
        self, client: Client, *, kept_names: Mapping[str, str] | None = None, now_ms: Callable[[], int] = words.now_ms
    ) -> None:
        self.client = client
        self._me = client.me.user
        self.names = Names(client.me, kept_names)
        self.window: Window | None = None
        self.on_news: Callable[[News], None] = lambda _: None
        self.alerts: list[str] = []  # what must not be missed, until the user puts it away
        self.names.on_disputed = lambda user: self._alert(banners.other_name(self.names[user]))
        self.is_looked_at = False  # the end of the open room is in sight of the user
        self.reason = ""  # why the device is not connected
        self._now_ms = now_ms
        self._typing: dict[RoomId, dict[UserId, float]] = {}
        self._overview = Overview(client, self.names, self._me, lambda room: bool(self._typing.get(room)))
        self._overview.held = frozenset(client.keys.held())
        self.names.learn(relations=client.connections.list())
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked_for_rooms = False
        self.other_identities: set[UserId] = set()  # came while nobody had verified the one before

    async def __aenter__(self) -> "Desk":
        self._begin(self._listen())
        self.client.connect()
        if self.client.state is State.LIVE:
            self._state(State.LIVE, "")  # nobody will say so again
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

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # The rooms.

    def put(self, room: Room) -> None:
        """A room as the server has just said it."""
        self._overview.put(room)

    def forget(self, room: RoomId) -> None:
        """The user is not in a room any more."""
        self._overview.forget(room)
        self.on_news(EVERYTHING)

    def lines(self) -> list[RoomLine]:
        """The room list, the newest first."""
        return self._overview.lines(self._now_ms())

    @property
    def rooms(self) -> list[Room]:
        """Every room of the user, in the order of the list."""
        return [room for line in self.lines() if (room := self._overview.get(line.id)) is not None]

    @property
    def open_room(self) -> Room | None:
        """The room that is open, if the user is still in it."""
        return self._overview.get(self.window.room) if self.window is not None else None

    # The open room.

    def open(self, room: RoomId) -> None:
        """Look at a room from now on."""
        self.window = Window(self.client, room, self.names)
        self.on_news(EVERYTHING)

    def close(self) -> None:
        """Look at none."""
        self.window = None
        self.on_news(EVERYTHING)

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

    # What happens.

    def _changed(self, room: RoomId, news: News = News.ROOMS, *, reopen: bool = False) -> None:
        self._overview.changed(room, reopen=reopen)
        self.on_news(news | News.ROOMS)

    @property
    def held(self) -> frozenset[UserId]:
        """Users to whom nothing is sent, because their keys are not those that were verified."""
        return self._overview.held

    def _all_changed(self, *, reopen: bool = False) -> None:
        self._overview.all_changed(reopen=reopen)
        if reopen and self.window is not None:
            self.window.reload()
        self.on_news(EVERYTHING)

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
            case MessageFailed() | MessageRenewed():
                self.outbox_changed()
            case MessageRejected(room=room):
                if self.window is not None and self.window.room == room:
                    self.window.reload()
                self._changed(room, News.ROWS, reopen=True)
            case RoomChanged(room=room):
                self._begin(self._read_room(room))
            case EpochChanged(room=room):
                self._changed(room, News.ROWS)
            case ReceiptReceived(receipt):
                self._changed(receipt.room, News.ROWS)
            case ReadElsewhere(room):
                self._changed(room)
            case SomebodyTypes(room, user) if user != self.me:
                self._typing.setdefault(room, {})[user] = time.monotonic() + TYPING_S
                self._changed(room, News.TYPING)
            case StateChanged(state, reason):
                self._state(state, reason)
            case ConnectionChanged(connection=Relation() as relation) | ChangeMade(connection=relation):
                self.names.learn(relations=[relation])
                self._all_changed()
            case ConnectionsSynced(connections=relations):
                self.names.learn(relations=relations)
                self._all_changed()
            case ChangeFailed():
                self._all_changed()
            case IdentityChanged(user, was_verified):
                self._identity_changed(user, was_verified=was_verified)
            case KeysLocked() | KeysUnlocked():
                self._all_changed(reopen=True)
            case VaultOpened():
                self._alert(banners.VAULT_OPENED)
            case _:
                pass

    def _alert(self, sentence: str) -> None:
        if sentence not in self.alerts:
            self.alerts.append(sentence)
        self.on_news(News.BANNER)

    def put_alert_away(self) -> bool:
        """The user has read the oldest alert. False when there is none."""
        if not self.alerts:
            return False
        self.alerts.pop(0)
        self.on_news(News.BANNER)
        return True

    def _identity_changed(self, user: UserId, *, was_verified: bool) -> None:
        if not was_verified:
            self.other_identities.add(user)
        self._overview.held = frozenset(self.client.keys.held())
        self._alert(banners.other_identity(self.names[user], was_verified=was_verified))
        self._all_changed()

    def keys_changed(self, user: UserId | None = None) -> None:
        """The user has verified somebody, unlocked, or confirmed something."""
        if user is not None:
            self.other_identities.discard(user)
            self._overview.held = frozenset(self.client.keys.held())
        self._all_changed(reopen=user is None)

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
        self._overview.arrived(message)
        self._typing.get(message.room, {}).pop(message.sender, None)
        if self.window is not None and self.window.room == message.room:
            self.window.arrived(message, looked_at=self.is_looked_at)
        if self._overview.get(message.room) is None:
            self._begin(self._read_room(message.room))
        self.on_news(News.ROOMS | News.ROWS | News.TYPING)

    def _state(self, state: State, reason: str) -> None:
        self.reason = reason
        if state is State.LIVE and not self._asked_for_rooms:
            self._asked_for_rooms = True
            self._begin(self._read_rooms())
        self.on_news(News.STATE)

    async def _read_rooms(self) -> None:
        try:
            for room in await self.client.rooms():
                self.put(room)
        except LetterlockError as error:
            self._asked_for_rooms = False
            logger.info("rooms were not read: %s", error)
        self.on_news(EVERYTHING)

    async def _read_room(self, room: RoomId) -> None:
        try:
            self.put(await self.client.room(room))
        except Refused:
            self.forget(room)  # not a member any more
        except LetterlockError as error:
            logger.info("a room was not read: %s", error)
        self.on_news(EVERYTHING)
