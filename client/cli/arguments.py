"""What the command line may say."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter, _SubParsersAction
from typing import Final

from client import __version__

TIMEOUT_S: Final = 20.0
DESCRIPTION = """\
Letterlock in the terminal. Without a command: the screen, where everything can be done (F1 there is its help).
"""
EPILOG = """\
USER is an exact user name. ROOM is a user name (the direct conversation), or # and the end of a room's id as `rooms` prints it.

exit status: 0 done, 1 not done, 2 wrong use, 3 signed out, 4 the server cannot be reached (what is to be sent is kept),
5 another device of yours disagrees, 6 the profile is in use, 7 the keys are locked
"""


def parser() -> ArgumentParser:
    """The parser of the whole command line."""
    whole = ArgumentParser(
        "letterlock",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"letterlock {__version__}")
    whole.add_argument("--profile", help="which of your devices on this machine (default: default; LETTERLOCK_PROFILE)")
    whole.add_argument("--store", metavar="FILE", help="the device's file, instead of a profile")
    whole.add_argument(
        "--passphrase-file", metavar="FILE", help="the passphrase of this device's keys; - for standard input"
    )
    whole.add_argument("--url", help="the server (default: the last one, or http://127.0.0.1:8000; LETTERLOCK_URL)")
    whole.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="S", help="wait so long for the server (default: 20)"
    )
    whole.add_argument("--json", action="store_true", help="one JSON object per line")
    whole.add_argument("--log", metavar="FILE", help="keep a log, without any text of messages")
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    _messages(commands)
    _people(commands)
    _account(commands)
    return whole


Commands = _SubParsersAction  # its name is argparse's own, and so is the underscore


def _command(commands: "Commands[ArgumentParser]", name: str, help: str) -> ArgumentParser:
    made: ArgumentParser = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
    made.add_argument("--json", action="store_true", default=SUPPRESS, help="one JSON object per line")
    return made


def _messages(commands: "Commands[ArgumentParser]") -> None:
    send = _command(commands, "send", "send a message; from standard input without TEXT, or with -")
    send.add_argument("to", metavar="USER|ROOM")
    send.add_argument("text", nargs="?", metavar="TEXT")
    send.add_argument("--later", action="store_true", help="do not connect: keep it for the next time")
    read = _command(commands, "read", "print what is unread, and mark it as read")
    read.add_argument("room", nargs="?", metavar="ROOM")
    read.add_argument("--follow", action="store_true", help="go on with what comes")
    read.add_argument("--last", type=int, metavar="N", help="print the last N of each conversation, read or not")
    read.add_argument("--peek", action="store_true", help="do not mark it as read")
    _command(commands, "rooms", "list the conversations, and how much is unread")


def _people(commands: "Commands[ArgumentParser]") -> None:
    contacts = _command(commands, "contacts", "list contacts, requests and blocks, or change one")
    deeds = contacts.add_subparsers(dest="deed", metavar="DEED")
    for name, help in (
        ("add", "ask somebody to be a contact"), ("accept", "accept a request"), ("decline", "decline a request"),
        ("remove", "take a contact or a request away"), ("block", "block somebody"), ("unblock", "lift a block"),
    ):  # fmt: skip
        deed = _command(deeds, name, help)
        deed.add_argument("user", metavar="USER")
        deed.add_argument("--yes", action="store_true", help="do it even if another device of yours disagrees")
    group = _command(commands, "group", "make and change groups")
    deeds = group.add_subparsers(dest="deed", metavar="DEED", required=True)
    create = _command(deeds, "create", "begin a group")
    create.add_argument("users", nargs="+", metavar="USER")
    for name, help in (("members", "list the members"), ("add", "bring people in"), ("remove", "put somebody out"),
                       ("role", "make somebody an admin or a plain member"), ("owner", "hand the group over"), ("leave", "leave")):  # fmt: skip
        deed = _command(deeds, name, help)
        deed.add_argument("room", metavar="ROOM")
        if name == "add":
            deed.add_argument("users", nargs="+", metavar="USER")
        elif name in {"remove", "role", "owner"}:
            deed.add_argument("user", metavar="USER")
        if name == "role":
            deed.add_argument("role", choices=["admin", "member"])


def _account(commands: "Commands[ArgumentParser]") -> None:
    from_file = "the password's file; - for standard input"
    for name, help in (("sign-up", "make an account"), ("sign-in", "make this a device of an account")):
        enter = _entering(commands, name, help)
        enter.add_argument("--password-file", metavar="FILE", help=from_file)
        if name == "sign-up":
            enter.add_argument(
                "--recovery-key-file", metavar="FILE", help="write the recovery key there, not to the output"
            )
    recover = _entering(commands, "recover", "make this a device of an account by its recovery key")
    recover.add_argument("--recovery-key-file", metavar="FILE", help="the recovery key's file; - for standard input")
    recover.add_argument("--new-password-file", metavar="FILE", help="have another password from now on")
    _command(commands, "sign-out", "have this device revoked")
    _command(commands, "status", "who this is, and what waits; asks nobody")
    devices = _command(commands, "devices", "list, rename or revoke your devices")
    deeds = devices.add_subparsers(dest="deed", metavar="DEED")
    rename = _command(deeds, "rename", "give a device another name")
    rename.add_argument("device", metavar="DEVICE", help="its id, the end of it, or its name")
    rename.add_argument("name", metavar="NAME")
    revoke = _command(deeds, "revoke", "sign another device out for good, and make new keys")
    revoke.add_argument("device", metavar="DEVICE", help="its id, the end of it, or its name")
    revoke.add_argument("--password-file", metavar="FILE", help=from_file)
    number = _command(commands, "safety-number", "the number to compare with somebody, and whether it was compared")
    number.add_argument("user", metavar="USER")
    marks = number.add_mutually_exclusive_group()
    marks.add_argument("--verified", action="store_true", help="it was compared, and is the same")
    marks.add_argument("--not-verified", action="store_true", help="take that back")
    unlock = _command(commands, "unlock", "open this device's keys with the password")
    unlock.add_argument("--password-file", metavar="FILE", help=from_file)
    password = _command(commands, "password", "change the password")
    password.add_argument("--password-file", metavar="FILE", help="the present one's file; - for standard input")
    password.add_argument(
        "--new-password-file", metavar="FILE", help="the new one's file; - for standard input, after the present one"
    )
    recovery = _command(commands, "recovery-key", "make a new recovery key")
    recovery.add_argument("--password-file", metavar="FILE", help=from_file)
    recovery.add_argument("--recovery-key-file", metavar="FILE", help="write the recovery key there, not to the output")
    passphrase = _command(commands, "passphrase", "have this device's keys rest under a passphrase")
    passphrase.add_argument("--new-passphrase-file", metavar="FILE", help="the passphrase's file; - for standard input")
    passphrase.add_argument("--none", action="store_true", help="under none")


def _entering(commands: "Commands[ArgumentParser]", name: str, help: str) -> ArgumentParser:
    enter = _command(commands, name, help)
    enter.add_argument("user", metavar="USER")
    enter.add_argument("--device-name", metavar="NAME", help="what to call this device (default: the host's name)")
    return enter
