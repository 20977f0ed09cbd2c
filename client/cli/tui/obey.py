"""Slash commands on the screen: each ends in a sentence, or in nothing where what it did can be seen."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from client import LetterlockError, MessageId
from client.cli import commands, words
from client.cli.commands import Spoken
from client.cli.model import Bubble
from client.cli.tui import keys, people
from client.cli.tui.dialogs import Choose, Show

if TYPE_CHECKING:
    from client.cli.tui.chat import Chat

HELP = """\
Enter           send
Ctrl+J          a new line (also Alt+Enter)
Tab             complete a command or a name
Up              look back: choose a message, Enter asks what to do with it
PgUp PgDn       scroll; Ctrl+End goes to the end
Ctrl+N Ctrl+P   the next conversation, the one before; Alt+1 to Alt+9
Ctrl+T          go to a conversation, or begin one
Ctrl+B          hide the list of conversations, or show it
F2 F3 F4        contacts, members, devices
Esc             back          Ctrl+Q   quit

…        waits on this device
✓        the server has it
✓✓       everybody has it
✓✓ read  everybody has read it
✗        did not get there; the reason stands below it

A command may be cut short as long as it is the only one.
A text that begins with a slash is sent with two of them.
"""


async def obey(chat: "Chat", spoken: Spoken) -> str | None:
    """Do what was said. Raises LetterlockError."""
    return await DEEDS[spoken.command.name](chat, spoken.arguments)


def help_text() -> str:
    """Keys, ticks and commands."""
    commands_ = [line for c in commands.COMMANDS for line in (f"/{c.name} {c.shape}".rstrip(), f"    {c.help}")]
    return HELP + "\n" + "\n".join(commands_)


async def _help(chat: "Chat", _: tuple[str, ...]) -> None:
    await chat.app.push_screen_wait(Show("Letterlock: keys and commands", help_text()))


async def _chat(chat: "Chat", arguments: tuple[str, ...]) -> None:
    await chat.deeds.chat(arguments[0])
    chat.went()


async def _go(chat: "Chat", arguments: tuple[str, ...]) -> None:
    chat.deeds.go(arguments[0])
    chat.went()


async def _group(chat: "Chat", arguments: tuple[str, ...]) -> None:
    await chat.deeds.group(arguments)
    chat.went()


async def _add(chat: "Chat", arguments: tuple[str, ...]) -> str:
    return await chat.deeds.add(arguments)


async def _remove(chat: "Chat", arguments: tuple[str, ...]) -> str:
    return await chat.deeds.remove(arguments[0])


async def _role(chat: "Chat", arguments: tuple[str, ...]) -> str:
    return await chat.deeds.role(arguments[0], arguments[1])


async def _owner(chat: "Chat", arguments: tuple[str, ...]) -> str | None:
    if not await sure(chat, f"Hand this group over to {arguments[0]}?", "You will be an admin.", "Hand it over"):
        return None
    return await chat.deeds.owner(arguments[0])


async def _leave(chat: "Chat", _: tuple[str, ...]) -> str | None:
    if not await sure(chat, "Leave this group?", "What was said stays on this device.", "Leave"):
        return None
    return await chat.deeds.leave()


async def _again(chat: "Chat", _: tuple[str, ...]) -> str:
    return chat.deeds.again()


async def _discard(chat: "Chat", _: tuple[str, ...]) -> str:
    return chat.deeds.discard()


async def _info(chat: "Chat", _: tuple[str, ...]) -> str:
    return "your newest message: " + ", ".join(f"{name} {how}" for name, how in chat.deeds.reached())


async def _connect(chat: "Chat", _: tuple[str, ...]) -> str:
    chat.desk.client.connect()
    chat.desk.client.hurry()
    return "trying to connect"


async def _sign_out(chat: "Chat", _: tuple[str, ...]) -> str | None:
    body = "This device is revoked. Its messages stay in its store, and only you can sign in there again."
    if not await sure(chat, "Sign this device out?", body, "Sign out"):
        return None
    await chat.desk.client.sign_out()
    chat.app.exit(0)
    return None


async def _quit(chat: "Chat", _: tuple[str, ...]) -> None:
    chat.app.exit(0)


def _change(command: str) -> "Deed":
    async def change(chat: "Chat", arguments: tuple[str, ...]) -> str | None:
        who = chat.deeds.whom(arguments)
        if command == "block":
            body = (
                "Nothing of theirs reaches you any more, and nothing of yours reaches them in your direct conversation."
            )
            if not await sure(chat, f"Block {who}?", body, "Block"):
                return None
        return await chat.deeds.change(command, who)

    return change


async def about_message(chat: "Chat", message: MessageId) -> None:
    """Ask what to do with a message that was chosen, and do it."""
    row = next((row for row in chat.desk.rows() if row.key == message), None)
    if not isinstance(row, Bubble):
        return
    choices = [("again", "Send it again")] if row.can_resend else []
    choices += [("discard", "Discard it")] if row.can_discard else []
    choices += [("reached", "Who has it")] if row.mine and row.seq is not None else []
    choices += [("copy", "Copy the text (to the terminal's clipboard)"), ("back", "Back")]
    choice = await chat.app.push_screen_wait(Choose("This message", row.text[:600], choices))
    try:
        match choice:
            case "again":
                chat.say(chat.deeds.again(message))
            case "discard":
                chat.say(chat.deeds.discard(message))
            case "reached":
                chat.say(", ".join(f"{name}: {how}" for name, how in chat.deeds.reached(message)))
            case "copy":
                chat.app.copy_to_clipboard(row.text)
    except LetterlockError as error:
        chat.say(words.of_error(error), wrong=True)
    chat.composer.focus()


async def sure(chat: "Chat", title: str, body: str, verb: str) -> bool:
    """Ask whether that is really meant."""
    return await chat.app.push_screen_wait(Choose(title, body, [("no", "Back"), ("yes", verb)])) == "yes"


Deed = Callable[["Chat", tuple[str, ...]], Awaitable[str | None]]
DEEDS: dict[str, Deed] = {
    "help": _help,
    "chat": _chat,
    "go": _go,
    "group": _group,
    "members": people.members,
    "add": _add,
    "remove": _remove,
    "role": _role,
    "owner": _owner,
    "leave": _leave,
    "again": _again,
    "discard": _discard,
    "info": _info,
    "contacts": people.contacts,
    **{name: _change(name) for name in ("request", "accept", "decline", "forget", "block", "unblock")},
    "verify": keys.verify,
    "devices": people.devices,
    "settings": people.settings,
    "password": keys.password,
    "recovery": keys.recovery,
    "unlock": keys.unlock,
    "passphrase": keys.passphrase,
    "reset": keys.reset,
    "connect": _connect,
    "sign-out": _sign_out,
    "quit": _quit,
}
