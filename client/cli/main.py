"""The command line."""

from client import Client
from client.cli import place
from client.cli.questions import Asker


async def screen(where: place.Place) -> int:
    """The messenger on the screen."""
    # Not before it is needed: a script has no use for widgets.
    from client.cli.tui.app import Letterlock

    where.prepare()
    asker = Asker()
    async with Client(where.url, where.store, on_conflict=asker.on_conflict, on_lag=asker.on_lag) as client:
        return await Letterlock(client, where, asker).run_async() or 0
