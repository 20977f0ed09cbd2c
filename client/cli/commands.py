"""What is typed after a slash: the table, reading a line, and completing it. A line that begins with two slashes is text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Where = Literal["anywhere", "room", "direct", "group"]
Kind = Literal["user", "member", "contact", "incoming", "blocked", "room", "role", "on-off", "text"]


@dataclass(frozen=True, slots=True)
class Command:
    """A slash command. `needs`: how many arguments at least; `takes`: what each is, the last one for all that follow.

    `asks`: it opens a dialog, perhaps for a password.
    """

    name: str
    shape: str
    help: str
    where: Where = "anywhere"
    needs: int = 0
    takes: tuple[Kind, ...] = ()
    asks: bool = False


COMMANDS: Final[tuple[Command, ...]] = (
    Command("help", "", "every command and key", asks=True),
    Command("chat", "USER", "open the conversation with somebody, by exact user name", needs=1, takes=("user",)),
    Command("go", "ROOM", "go to a conversation: a name, or # and the end of its id", needs=1, takes=("room",)),
    Command("group", "USER…", "begin a group", needs=1, takes=("user",)),
    Command("members", "", "who is in this conversation, and what they may do", "room", asks=True),
    Command("add", "USER…", "bring people into this group", "group", 1, ("user",)),
    Command("remove", "USER", "put somebody out of this group", "group", 1, ("member",)),
    Command(
        "role", "USER admin|member", "make somebody an admin, or a plain member again", "group", 2, ("member", "role")
    ),
    Command("owner", "USER", "hand this group over", "group", 1, ("member",), asks=True),
    Command("leave", "", "leave this group", "group", asks=True),
    Command("again", "", "send the newest message that failed once more", "room"),
    Command("discard", "", "give the newest message that failed or waits up", "room"),
    Command("info", "", "who has, and who has read, your newest message here", "room"),
    Command("contacts", "", "contacts, requests and blocks", asks=True),
    Command("request", "[USER]", "ask somebody to be a contact", takes=("user",)),
    Command("accept", "[USER]", "accept a request; what was held comes now", takes=("incoming",)),
    Command("decline", "[USER]", "decline a request", takes=("incoming",)),
    Command("forget", "[USER]", "take somebody off your contacts", takes=("contact",)),
    Command("block", "[USER]", "block somebody: nothing of theirs gets through", takes=("user",), asks=True),
    Command("unblock", "[USER]", "lift a block", takes=("blocked",)),
    Command(
        "verify", "[USER]", "the safety number: compare it, and mark the other as verified", takes=("user",), asks=True
    ),
    Command("devices", "", "your devices: rename, revoke", asks=True),
    Command("settings", "", "read receipts, and who may reach you", asks=True),
    Command("password", "", "change your password", asks=True),
    Command("recovery", "", "make a new recovery key", asks=True),
    Command("unlock", "", "open your keys with your password, so that messages can be read", asks=True),
    Command("passphrase", "", "have this device's keys rest under a passphrase", asks=True),
    Command("reset", "", "give up all keys and begin again: when nothing opens them any more", asks=True),
    Command("connect", "", "try to connect now"),
    Command("sign-out", "", "have this device revoked, and leave", asks=True),
    Command("quit", "", "leave; what waits is sent the next time"),
)
BY_NAME: Final = {command.name: command for command in COMMANDS}


@dataclass(frozen=True, slots=True)
class Spoken:
    """A command with its arguments."""

    command: Command
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mistyped:
    """A line that begins with a slash and is no command; `advice` says what would be."""

    advice: str


def read(line: str, where: Where) -> Spoken | Mistyped | str:
    """A typed line: a command, what is wrong with it, or the text to send. `where`: the kind of the open room, if any."""
    if not line.startswith("/"):
        return line
    if line.startswith("//"):
        return line[1:]
    name, *arguments = line[1:].split() or [""]
    command = BY_NAME.get(name.lower()) or _only(name.lower())
    if command is None:
        near = ", ".join(f"/{known}" for known in _beginning(name.lower()))
        return Mistyped(f"/{name} is {'more than one: ' + near if near else 'no command: /help lists them'}")
    if (wrong := _misplaced(command, where)) is not None:
        return Mistyped(wrong)
    if len(arguments) < command.needs:
        return Mistyped(f"/{command.name} {command.shape}: {command.help}")
    return Spoken(command, tuple(argument.removeprefix("@") for argument in arguments))


def asks(line: str) -> bool:
    """Whether this line, once it is entered, may open a dialog; or was meant to, and is mistyped."""
    if not line.startswith("/") or line.startswith("//"):
        return False
    name = line[1:].split()[:1]
    command = (BY_NAME.get(name[0].lower()) or _only(name[0].lower())) if name else None
    return command is None or command.asks


def _misplaced(command: Command, where: Where) -> str | None:
    match command.where:
        case "group" if where != "group":
            return f"/{command.name} is for groups"
        case "room" if where == "anywhere":
            return f"/{command.name} is for a conversation: open one first (/chat USER)"
        case _:
            return None


def _beginning(start: str) -> list[str]:
    return [command.name for command in COMMANDS if start and command.name.startswith(start)]


def _only(start: str) -> Command | None:
    found = _beginning(start)
    return BY_NAME[found[0]] if len(found) == 1 else None


def completions(line: str, words: Mapping[Kind, Sequence[str]], where: Where) -> list[str]:
    """Whole lines that this one may become, for a line whose end is being typed. `words`: what each kind may be."""
    if not line.startswith("/") or line.startswith("//") or "\n" in line:
        return []
    name, *arguments = line[1:].split(" ")
    if not arguments:
        return [f"/{c.name}{' ' if c.shape else ''}" for c in COMMANDS if c.name.startswith(name) and _fits(c, where)]
    command = BY_NAME.get(name)
    if command is None or not command.takes:
        return []
    kind = command.takes[min(len(arguments), len(command.takes)) - 1]
    if len(arguments) > len(command.takes) and "…" not in command.shape:
        return []
    start = arguments[-1].removeprefix("@").lower()
    taken = set(arguments[:-1])
    before = line[: len(line) - len(arguments[-1])]
    return [before + word for word in _unique(words.get(kind, ())) if word.startswith(start) and word not in taken]


def _fits(command: Command, where: Where) -> bool:
    return _misplaced(command, where) is None


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def hint(line: str, where: Where) -> str:
    """What may be said about the line that is being typed; nothing about text."""
    if not line.startswith("/") or line.startswith("//"):
        return ""
    name = line[1:].split(" ", maxsplit=1)[0]
    command = BY_NAME.get(name)
    if command is not None:
        return f"/{command.name} {command.shape}".rstrip() + f": {command.help}"
    found = [f"/{c.name}" for c in COMMANDS if c.name.startswith(name) and _fits(c, where)]
    return "  ".join(found) or "no such command: /help lists them; // sends a slash"
