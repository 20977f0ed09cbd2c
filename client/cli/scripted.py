"""Commands about messages, for scripts, and for those who like it short: `send`, `read`, `rooms`.

Output goes to standard output, as text or as JSON; what went wrong goes to standard error. Text of others is always made harmless
first, also when the output is no terminal, because it may end in one.
"""

import asyncio
import sys
from argparse import Namespace
from collections.abc import Iterable
from typing import Any, Final

from client import (
    Client,
    LetterlockError,
    Message,
    MessageId,
    Refused,
    Room,
    SendRefused,
    State,
    StateChanged,
    Unreachable,
    UserId,
)
from client.cli import banners, deeds, words
from client.cli.deeds import NotDone
from client.cli.model import form_of, instead
from client.cli.names import Names, is_room_name, people, room_meant, room_title, short_id, title
from client.cli.output import Exit, Locked, as_json, complain, say
from client.cli.place import Place
from client.cli.text import clean, decoded, one_line

SETTLE_S: Final = 5.0
NOT_YET: Final = "not committed yet; kept on this device, it goes as soon as letterlock is connected"


async def caught_up(client: Client, timeout_s: float) -> None:
    """Connect and wait until everything is here. Raises SignedOut, Refused (`suspended`), Unreachable."""
    client.connect()
    try:
        async with asyncio.timeout(timeout_s):
            await client.caught_up()
    except TimeoutError as error:
        raise Unreachable("the server did not answer in time") from error


async def settle(client: Client, waiting: Iterable[MessageId], timeout_s: float) -> None:
    """Before a command that has connected ends: send what waited, and acknowledge what is here. What does not go is said."""
    if client.state is not State.LIVE:
        return
    try:
        async with asyncio.timeout(min(timeout_s, SETTLE_S)):
            for message in waiting:
                try:
                    await client.accepted(message)
                except SendRefused as refusal:
                    complain(f"what waited was not sent: {words.without_commands(words.of_error(refusal))}")
            await client.tell_stored()
    except TimeoutError:
        if client.unsent():
            complain(NOT_YET)
    except LetterlockError:
        pass  # it is acknowledged the next time


def names_of(client: Client, place: Place, rooms: Iterable[Room] | None = None) -> Names:
    """Who is who, as this device was told first; that is kept. Who is called otherwise now is complained of."""
    names = Names(client.me, place.kept_names())
    names.on_disputed = lambda user: complain(banners.other_name(names[user]))
    names.learn(client.known_rooms() if rooms is None else rooms, client.connections.list())
    place.keep_names(names.first)
    return names


async def room_called(client: Client, names: Names, text: str, *, offline: bool = False) -> Room:
    """The room that was meant; a direct room with a user is made if need be. Raises NotDone."""
    rooms = client.known_rooms() if offline else await client.rooms()
    names.learn(rooms)
    found = room_meant(text, rooms, names, client.me.user)
    if found is not None:
        return found
    if is_room_name(text) or offline:
        raise NotDone(f"there is no conversation {one_line(text, 60)} here")
    user = await deeds.user_called(client, names, text)
    if user == client.me.user:
        raise NotDone("that is you")
    return await client.direct_room(user)


# Messages.


async def send(client: Client, options: Namespace) -> Exit:
    """Send one message, and wait until the server has committed it."""
    text = options.text
    if text is None or text == "-":
        text = (await asyncio.to_thread(sys.stdin.read)).rstrip("\n")
    if not text:
        complain("there is nothing to send")
        return Exit.WRONG_USE
    body = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").encode()
    try:
        if options.later:
            raise Unreachable
        await caught_up(client, options.timeout)
        room = await room_called(client, names_of(client, options.place), options.to)
    except Unreachable:
        room = await room_called(client, names_of(client, options.place), options.to, offline=True)
        client.queue(room.id, body)
        complain("kept on this device; it goes as soon as letterlock is connected")
        return Exit.DONE if options.later else Exit.UNREACHABLE
    if client.keys.is_locked:
        raise Locked("this device lacks keys of yours: `letterlock unlock` gets them")
    (message,) = client.queue(room.id, body)
    try:
        async with asyncio.timeout(options.timeout):
            accepted = await client.accepted(message)
    except TimeoutError:
        complain(NOT_YET)
        return Exit.UNREACHABLE
    except SendRefused:
        client.discard(message)
        raise
    if options.json:
        say(as_json({"id": accepted.id, "room": accepted.room, "accepted_at": accepted.accepted_at}))
    return Exit.DONE


def message_fields(message: Message, names: Names, me: UserId, *, unread: bool) -> dict[str, Any]:
    """A message as JSON; `text` is null when it must not be shown, and `problem` says why."""
    form = form_of(message, mine=message.sender == me)
    shown = form.value == "text" and message.body is not None
    return {
        "seq": message.seq, "id": message.id, "room": message.room, "sender": message.sender,
        "username": names[message.sender], "mine": message.sender == me, "device": message.device,
        "sent_at": message.sent_at, "accepted_at": message.accepted_at, "unread": unread,
        "text": decoded(message.body) if shown and message.body is not None else None,
        "problem": None if shown else form.value.replace(" ", "_"), "refused": message.refused,
    }  # fmt: skip


def message_lines(message: Message, names: Names, me: UserId, *, room: str = "") -> str:
    """A message as text: time, room, author; further lines are indented."""
    mine = message.sender == me
    form = form_of(message, mine=mine)
    author = names[message.sender]
    if form.value == "text" and message.body is not None:
        text = clean(decoded(message.body)).replace("\n", "\n    ")
    else:
        text = f"[{instead(form, author)}]"
    where = f"{room} " if room else ""
    return f"{words.at(message.accepted_at):%Y-%m-%d %H:%M} {where}{'you' if mine else author}: {text}"


class Reader:
    """Prints messages of some rooms, and marks what it has printed as read."""

    def __init__(self, client: Client, rooms: Iterable[Room], names: Names, options: Namespace) -> None:
        self._client, self._options, self._names = client, options, names
        self._rooms = {room.id: room for room in rooms}
        self._one = len(self._rooms) == 1 and options.room is not None

    def _show(self, message: Message, *, unread: bool) -> None:
        me = self._client.me.user
        if self._options.json:
            say(as_json(message_fields(message, self._names, me, unread=unread)))
            return
        room = self._rooms.get(message.room)
        label = "" if self._one else short_id(message.room) if room is None or room.kind == "group" else ""
        if room is not None and not self._one and room.kind == "direct" and message.sender == me:
            label = f"(to {title(people(room, self._names, me))})"
        say(message_lines(message, self._names, me, room=label))

    def backlog(self) -> None:
        """What is unread, or the last ones that were asked for; in the mailbox's order."""
        found: list[tuple[Message, bool]] = []
        for room in self._rooms:
            position = self._client.read_position(room)
            wanted = self._options.last if self._options.last is not None else 10_000
            for message in self._client.messages(room, limit=wanted):
                unread = message.seq > position and message.sender != self._client.me.user
                if self._options.last is not None or unread:
                    found.append((message, unread))
                elif message.seq <= position:
                    break
        for message, unread in sorted(found, key=lambda one: one[0].seq):
            self._show(message, unread=unread)
            self._mark(message)

    def _mark(self, message: Message) -> None:
        if not self._options.peek:
            self._client.read(message.room, message.seq)

    async def follow(self, after: int) -> None:
        """Whatever comes, until interrupted. Raises SignedOut, Refused (`suspended`)."""
        events = self._client.events(after)
        if self._client.state is State.STOPPED:
            await self._client.caught_up()  # says why
        async for event in events:
            if isinstance(event, StateChanged) and event.state is State.STOPPED:
                await self._client.caught_up()
            if not isinstance(event, Message) or (self._options.room is not None and event.room not in self._rooms):
                continue
            if event.room not in self._rooms:
                try:
                    self._rooms[event.room] = await self._client.room(event.room)
                    self._names.learn([self._rooms[event.room]])
                except Refused:
                    pass  # not a member any more; what was said is shown all the same
            self._show(event, unread=event.sender != self._client.me.user)
            self._mark(event)


async def read(client: Client, options: Namespace) -> Exit:
    """Print what is unread and mark it as read; `--follow` goes on with what comes."""
    status = Exit.DONE
    try:
        await caught_up(client, options.timeout)
        rooms = await client.rooms()
    except Unreachable as error:
        complain(f"{words.of_error(error)}: this is what is on this device")
        rooms, status = client.known_rooms(), Exit.UNREACHABLE
    names = names_of(client, options.place)
    if options.room is not None:
        rooms = [await room_called(client, names, options.room, offline=client.state.name != "LIVE")]
    after = client.stored
    reader = Reader(client, rooms, names, options)
    reader.backlog()
    if client.keys.is_locked:
        complain("this device lacks keys of yours: `letterlock unlock` gets them")
    try:
        await client.tell_reads()
    except LetterlockError as error:
        complain(f"that it was read is told later: {words.of_error(error)}")
    if options.follow:
        await reader.follow(after)
    return Exit.LOCKED if status is Exit.DONE and client.keys.is_locked else status


async def rooms(client: Client, options: Namespace) -> Exit:
    """List the conversations."""
    status = Exit.DONE
    try:
        await caught_up(client, options.timeout)
        found = await client.rooms()
    except Unreachable as error:
        complain(f"{words.of_error(error)}: this is what is on this device")
        found, status = client.known_rooms(), Exit.UNREACHABLE
    names, me = names_of(client, options.place, found), client.me.user
    for room in found:
        unread = client.unread(room.id)
        if options.json:
            say(as_json({
                "room": room.id, "kind": room.kind, "unread": unread,
                "members": [{"user": m.user, "username": names[m.user], "role": m.role} for m in room.members],
            }))  # fmt: skip
        else:
            say(
                f"{short_id(room.id)}  {unread or '':>5}  {room_title(people(room, names, me), direct=room.kind == 'direct')}"
            )
    return status
