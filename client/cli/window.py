"""The part of a room's history that is being looked at: from some message on to the newest, and what is not sent yet."""

from collections.abc import Mapping, Sequence

from client import Client, DeviceId, Message, MessageId, Room, RoomId, UserId
from client.cli.model import Page, Receipts, Unsent

STEP = 60  # messages that scrolling back brings at once
CHANGES = 500
MOST = 1_000  # messages that are kept at hand while new ones come
MARKS = 3_000  # receipts of others that are looked up for one picture; each costs a query


class Window:
    """What is shown of one room. Reads the client's store only; `news` methods say what has come since."""

    def __init__(self, client: Client, room: RoomId, names: Mapping[UserId, str]) -> None:
        self.room = room
        self._client = client
        self._names = names
        self._messages: list[Message] = []  # oldest first
        self._between: dict[MessageId, Unsent] = {}  # committed, and not back through the mailbox yet
        self._unsent: dict[MessageId, Unsent] = {}
        self.is_whole = False  # nothing older is in the store
        self.more(max(STEP, min(client.unread(room) + 10, 1_000)))
        # The seqs between which what is new lies: unread when the room was opened, or come while nobody was looking.
        self.new: tuple[int, int] | None = (client.read_position(room), self.newest) if client.unread(room) else None
        self.outbox_changed()

    @property
    def newest(self) -> int:
        """The seq of the newest message; 0 without one."""
        return self._messages[-1].seq if self._messages else 0

    def more(self, count: int = STEP) -> bool:
        """Take older messages in. False when there are none."""
        before = self._messages[0].seq if self._messages else 2**62
        older = self._client.messages(self.room, before=before, limit=count)
        self.is_whole = len(older) < count
        self._messages[:0] = reversed(older)
        return bool(older)

    def reload(self) -> None:
        """Open everything again: keys have come, or a message was refused on another device."""
        count = max(len(self._messages), STEP)
        self._messages = list(reversed(self._client.messages(self.room, limit=count)))
        self.outbox_changed()

    def arrived(self, message: Message, *, looked_at: bool) -> None:
        """A message of this room."""
        self._between.pop(message.id, None)
        if message.seq > self.newest:
            if not looked_at and message.sender != self._client.me.user:
                self.new = (self._client.read_position(self.room), message.seq)
            self._messages.append(message)
            if looked_at and len(self._messages) > 2 * MOST:
                del self._messages[:MOST]  # scrolling back brings them again
                self.is_whole = False

    def accepted(self, message: MessageId) -> None:
        """The server has committed one of this device's messages."""
        if (unsent := self._unsent.pop(message, None)) is not None and not self._has(message):
            self._between[message] = Unsent(message, unsent.body, committed=True)

    def outbox_changed(self) -> None:
        """Something was queued, refused for good, or given up."""
        waiting = {id_: Unsent(id_, body) for id_, room, body, _ in self._client.waiting() if room == self.room}
        failed = {
            id_: Unsent(id_, body, problem) for id_, room, body, problem in self._client.failed() if room == self.room
        }
        self._unsent = waiting | failed

    def _has(self, message: MessageId) -> bool:
        return any(known.id == message for known in reversed(self._messages))

    def read_all(self) -> None:
        """The user has seen everything: there is nothing new any more."""
        self.new = None

    def failed(self) -> list[Unsent]:
        """What was refused for good here, oldest first."""
        return [unsent for _, unsent in sorted(self._unsent.items()) if unsent.problem is not None]

    def waiting(self) -> list[Unsent]:
        """What is still to be sent here, oldest first."""
        return [unsent for _, unsent in sorted(self._unsent.items()) if unsent.problem is None]

    def rejected(self) -> list[Message]:
        """The user's own messages that others refused as late, oldest first."""
        me = self._client.me.user
        return [m for m in self._messages if m.sender == me and "late" in self._client.rejections(m.id).values()]

    def newest_own(self) -> Message | None:
        """The newest message of the user that the server has."""
        me = self._client.me.user
        return next((message for message in reversed(self._messages) if message.sender == me), None)

    def page(self, room: Room | None) -> Page:
        """What `client.cli.model` makes rows of. `room`: as last seen; None if the user is not in it any more."""
        me = self._client.me.user
        own = [message for message in self._messages if message.sender == me]
        others = frozenset(member.user for member in room.members if member.user != me) if room else frozenset()
        first = self._messages[0].seq if self._messages and not self.is_whole else 0
        return Page(
            me=me, names=self._names, direct=room is None or room.kind == "direct", messages=self._messages,
            changes=[
                *self._client.room_changes(self.room, after=first, limit=CHANGES),
                *self._client.reader_changes(self.room, after=first, limit=CHANGES),
            ],
            unsent=[*self._between.values(), *self._unsent.values()],
            others=others,
            receipts=self._receipts(own, others),
            rejections={message.id: found for message in own if (found := self._client.rejections(message.id))},
            new=self.new,
        )  # fmt: skip

    def _receipts(self, own: Sequence[Message], others: frozenset[UserId]) -> dict[MessageId, Receipts]:
        """Who has the user's messages. Who has one has all before it of the same device, so not every one is looked up."""
        left = max(3, MARKS // max(len(others), 1))
        found: dict[MessageId, Receipts] = {}
        newest: dict[DeviceId, Receipts] = {}
        for message in reversed(own):
            later = newest.get(message.device)
            is_read = later is not None and all(later.get(user) == "read" for user in others)
            if later is None or (left > 0 and not is_read):
                later, left = self._client.receipts(message.id), left - 1
                newest[message.device] = later
            found[message.id] = later
        return found
