"""The command line: which client, which way in, and how it ends."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from client import ChangeConflict, Client, Conflict, DevicesLag, Lag, LetterlockError, PassphraseNeeded, WrongSecret
from client.cli import accounts, arguments, questions, scripted, secrets, social, words
from client.cli.output import Exit, complain, exit_of
from client.cli.place import Place, WrongPlace, find
from client.cli.questions import Asker

COMMANDS: Final[dict[str, Callable[[Client, Namespace], Awaitable[Exit]]]] = {
    "send": scripted.send, "read": scripted.read, "rooms": scripted.rooms, "group": social.group, "contacts": social.contacts,
}  # fmt: skip
PASSPHRASES: Final = 3  # how often a passphrase may be mistyped


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    options = arguments.parser().parse_args(argv)
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has had enough is no error
    try:
        place = find(os.environ, profile=options.profile, store=options.store, url=options.url)
        place.prepare()
        _log_to(options.log)
        return int(asyncio.run(run(place, options)))
    except WrongPlace as wrong:
        complain(str(wrong))
        return Exit.WRONG_USE
    except LetterlockError as error:
        complain(words.without_commands(words.of_error(error)))
        return exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


def _log_to(path: str | None) -> None:
    """The client's log goes to a file or nowhere: on the screen it would be in the way."""
    logger = logging.getLogger("letterlock")
    logger.propagate = False
    if path is None:
        logger.addHandler(logging.NullHandler())
        return
    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise WrongPlace(f"{path}: {error.strerror}") from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


async def run(place: Place, options: Namespace) -> int:
    """One command, or the screen, with a client of its own."""
    asker = Asker()
    patience = min(options.timeout, 30.0)
    async with opened(place, options, asker, patience) as client:
        status = await (_screen if options.command is None else _command)(client, place, asker, options)
        if status == Exit.DONE and client.was_answered:
            place.keep()
        return status


def opened(place: Place, options: Namespace, asker: Asker, patience: float) -> Client:
    """The device. Where its keys rest under a passphrase, that is asked for. Raises WrongSecret, StoreInUse."""

    def client(passphrase: str | None) -> Client:
        return Client(
            place.url, place.store, patience=patience, passphrase=passphrase, on_conflict=asker.on_conflict,
            on_lag=asker.on_lag,
        )  # fmt: skip

    if options.passphrase_file is not None:
        return client(secrets.read("passphrase", options.passphrase_file))
    try:
        return client(None)
    except PassphraseNeeded:
        pass
    for _ in range(PASSPHRASES - 1):
        try:
            return client(secrets.read("passphrase of this device", None))
        except WrongSecret as wrong:
            complain(words.of_error(wrong))
    return client(secrets.read("passphrase of this device", None))


async def _command(client: Client, place: Place, asker: Asker, options: Namespace) -> int:
    asker.conflict = asker.lag = _decides(options)
    options.place = place
    try:
        if options.command in accounts.COMMANDS:
            return await accounts.COMMANDS[options.command](client, place, options)
        _ = client.me
        waiting = client.unsent()
        status = await COMMANDS[options.command](client, options)
    except (ChangeConflict, DevicesLag) as error:
        complain(await _question(client, place, error))
        return Exit.ASKS
    if status is not Exit.UNREACHABLE:
        await scripted.settle(client, waiting, options.timeout)
    return status


async def _screen(client: Client, place: Place, asker: Asker, options: Namespace) -> int:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise WrongPlace("there is no terminal: name a command, such as `letterlock read` (--help lists them)")
    # Not before it is needed: a script has no use for widgets, and they take their time.
    from client.cli.tui.app import Letterlock

    return await Letterlock(client, place, asker).run_async() or Exit.DONE


def _decides(options: Namespace) -> Callable[[Conflict | Lag], Awaitable[bool]]:
    """Decides about the change of this command alone, by `--yes`. Others wait until somebody sits at the screen."""
    options.mine, options.asked = set[int](), asyncio.Event()

    async def decide(question: Conflict | Lag) -> bool:
        if question.change.position not in options.mine:
            options.asked.set()
            await asyncio.Event().wait()  # ended with the client, which asks again the next time
        return bool(getattr(options, "yes", False))

    return decide


async def _question(client: Client, place: Place, error: ChangeConflict | DevicesLag) -> str:
    """What would be asked if somebody were there, and how to answer."""
    names = scripted.names_of(client, place)
    if isinstance(error, ChangeConflict):
        devices = {}
        with contextlib.suppress(LetterlockError):
            devices = {device.id: device.name for device in await client.devices()}
        question = questions.of_conflict(error.conflict, names[error.conflict.connection.user], devices, words.now_ms())
    else:
        change = error.lag.change
        who = names[change.user] if change.user is not None else change.username or "somebody"
        question = questions.of_lag(error.lag, who, words.now_ms())
    return f"{question.title}\n{question.body}\nThe same again does it on what is now; --yes never asks."
