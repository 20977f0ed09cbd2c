"""What the user does, from a screen or a script: each deed ends in a sentence for the user, or raises what `words` can explain."""

from collections.abc import Sequence
from typing import Literal, TypeVar

from client import Client, LetterlockError, Message, MessageId, Pressed, Refused, Room, RoomId, State, UserId
from client.cli import words
from client.cli.desk import Desk
from client.cli.model import Unsent
from client.cli.names import Names, folded, people, room_meant, safe_name, title

CHANGES = {
    "request": "add",
    "accept": "accept",
    "decline": "decline",
    "forget": "remove",
    "block": "block",
    "unblock": "unblock",
}

T = TypeVar("T", Unsent, Message)


class NotDone(LetterlockError):
    """The user asked for something that cannot be; the text says why."""


async def user_called(client: Client, names: Names, name: str) -> UserId:
    """The user of exactly this name. Raises NotDone when there is none, or the server names one who is known by another."""
    if (known := names.user(name)) is not None:
        return known
    try:
        found = await client.find_user(folded(name))
    except Refused as refusal:
        if refusal.code != "not_found":
            raise
        raise NotDone(f"there is nobody called {safe_name(name)}") from refusal
    if names.first.get(found, folded(name)) != folded(name):
        raise NotDone(f"the server calls {names[found]} {safe_name(name)} now, and nobody is ever renamed")
    return found


def press(client: Client, action: str, who: UserId | str) -> Pressed:
    """Queue a change of connections."""
    connections = client.connections
    buttons = {
        "add": connections.add, "accept": connections.accept, "decline": connections.decline,
        "remove": connections.remove, "block": connections.block, "unblock": connections.unblock,
    }  # fmt: skip
    return buttons[action](who)


class Deeds:
    """The deeds of the one who sits at a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._client = desk.client

    async def user(self, name: str) -> UserId:
        """The user of exactly this name. Raises NotDone."""
        return await user_called(self._client, self._desk.names, name)

    def _here(self) -> Room:
        room = self._desk.open_room
        if room is None:
            raise NotDone("no conversation is open: /chat USER begins one")
        return room

    # Conversations.

    async def chat(self, name: str) -> RoomId:
        """Open the direct room with somebody; known ones also offline."""
        known = room_meant(name, self._desk.rooms, self._desk.names, self._desk.me)
        if known is None:
            user = await self.user(name)
            if user == self._desk.me:
                raise NotDone("that is you")
            known = await self._client.direct_room(user)
            self._desk.put(known)
        self._desk.open(known.id)
        return known.id

    def go(self, name: str) -> RoomId:
        """Open a room by its name, its short id, or the beginning of its title. Raises NotDone."""
        rooms, names, me = self._desk.rooms, self._desk.names, self._desk.me
        found = room_meant(name, rooms, names, me)
        if found is None:
            wanted = folded(name)
            found = next((room for room in rooms if title(people(room, names, me)).startswith(wanted)), None)
        if found is None:
            raise NotDone(f"there is no conversation {safe_name(name)}: /chat USER begins one")
        self._desk.open(found.id)
        return found.id

    async def group(self, others: Sequence[str]) -> RoomId:
        """Begin a group with these users."""
        room = await self._client.create_group([await self.user(name) for name in dict.fromkeys(others)])
        self._desk.put(room)
        self._desk.open(room.id)
        return room.id

    async def add(self, others: Sequence[str]) -> str:
        """Bring users into the open group."""
        room = await self._client.add_members(self._here().id, [await self.user(name) for name in others])
        self._desk.put(room)
        return f"added {', '.join(safe_name(name) for name in others)}"

    async def remove(self, name: str) -> str:
        """Put a user out of the open group."""
        await self._client.remove_member(self._here().id, await self.user(name))
        return f"removed {safe_name(name)}"

    async def role(self, name: str, role: str) -> str:
        """Make a member an admin, or plain."""
        wanted: Literal["admin", "member"]
        match role:
            case "admin" | "member":
                wanted = role
            case _:
                raise NotDone("a role is admin or member")
        self._desk.put(await self._client.set_role(self._here().id, await self.user(name), wanted))
        return f"{safe_name(name)} is {'an admin' if wanted == 'admin' else 'a plain member'} now"

    async def owner(self, name: str) -> str:
        """Hand the open group over."""
        self._desk.put(await self._client.hand_over(self._here().id, await self.user(name)))
        return f"{safe_name(name)} owns this group now"

    async def leave(self) -> str:
        """Leave the open group."""
        room = self._here().id
        await self._client.leave_room(room)
        self._desk.forget(room)
        return "you have left the group"

    # Messages.

    def say(self, text: str) -> MessageId:
        """Put a message into the outbox of the open room. Raises Blocked, Refused."""
        (message,) = self._client.queue(self._here().id, text.encode("utf-8", "replace"))
        self._desk.queued()
        return message

    def _failed(self) -> list[Unsent]:
        return self._desk.window.failed() if self._desk.window is not None else []

    def again(self, message: MessageId | None = None) -> str:
        """Send a failed message of the open room once more: this one, or the newest. It is a new message."""
        chosen: Unsent | Message | None = _pick(self._failed(), message)
        if chosen is None and self._desk.window is not None:
            chosen = _pick(self._desk.window.rejected(), message)
        if chosen is None or chosen.body is None:
            raise NotDone("nothing has failed here")
        self._client.queue(self._here().id, chosen.body)
        if isinstance(chosen, Unsent):
            self._client.discard(chosen.id)
        self._desk.queued()
        return "sent again"

    def discard(self, message: MessageId | None = None) -> str:
        """Give a message of the open room up that failed or waits: this one, or the newest."""
        window = self._desk.window
        unsent = [*window.waiting(), *window.failed()] if window is not None else []
        chosen = _pick(unsent, message)
        if chosen is None:
            raise NotDone("nothing is waiting here")
        if not self._client.discard(chosen.id):
            raise NotDone("too late: it is on its way")
        self._desk.outbox_changed()
        return "discarded"

    def reached(self, message: MessageId | None = None) -> list[tuple[str, str]]:
        """Who has, and who has read, a message of the user's: (name, how far). The newest one unless named."""
        newest = self._desk.window.newest_own() if self._desk.window is not None else None
        chosen = message or (newest.id if newest is not None else None)
        if chosen is None:
            raise NotDone("you have said nothing here")
        receipts, refused = self._client.receipts(chosen), self._client.rejections(chosen)
        others = [member.user for member in self._here().members if member.user != self._desk.me]
        said = {"late": "refused it: it came too late", "blocked": "did not get it: blocked"}
        return [
            (self._desk.names[user], said.get(refused.get(user, ""), receipts.get(user, "not yet"))) for user in others
        ]

    # Connections.

    def whom(self, arguments: Sequence[str]) -> str:
        """The name that was given, or that of the other one in the open direct room."""
        if arguments:
            return folded(arguments[0])
        room = self._desk.open_room
        peer = room.peer_of(self._desk.me) if room is not None else None
        if peer is None:
            raise NotDone("whom? Say the user name")
        return self._desk.names[peer]

    async def change(self, command: str, name: str) -> str:
        """Press a button of connections and wait for the server's answer; without a connection it is kept for later."""
        action = CHANGES[command]
        pressed = press(self._client, action, self._desk.names.user(name) or name)
        self._desk.connections_changed()
        if self._client.state is not State.LIVE:
            return f"as soon as there is a connection: {words.to_do(action, safe_name(name))}"
        relation = await pressed
        return f"{words.done(action, safe_name(name))} ({words.of_relation(relation)})"


def _pick(found: Sequence[T], message: MessageId | None) -> T | None:
    if message is not None:
        return next((one for one in found if one.id == message), None)
    return max(found, key=lambda one: one.id, default=None)
