"""Epochs of rooms: who can read, by which key, from when to when (protocol §6.4, §6.5). The rules are also those of docs/client.md.

ports      what this package needs of the keys
rules      what is decided without I/O
answers    what the server answers
keybook    keys out of the store, verified
fetching   what is missing in the store
making     the newest epoch, or the next one
sharing    keys of earlier epochs, given and taken
sealing    `Sealer`: bodies in and out
preparing  what goes on by itself
"""

import asyncio
from collections.abc import Callable

from client.connections.syncing import driven
from client.epochs.ports import OthersKeys, OwnKeys
from client.epochs.preparing import Preparer
from client.epochs.sealing import SealedEpochs
from client.epochs.sharing import Looks
from client.protocol.ids import RoomId, UserId
from client.sending import Sender
from client.session import Session
from client.store import Store


class Epochs:
    """What an application may ask. `sealer` is for `Client`. `on_found`: something that was closed can be opened now."""

    def __init__(self, store: Store, session: Session, own: OwnKeys, others: OthersKeys) -> None:
        self._store = store
        self.sealer = SealedEpochs(store, session, own, others)

    def newest(self, room: RoomId) -> int | None:
        """The number of a room's newest epoch, as far as this device knows."""
        row = self._store.epochs.newest(room)
        return None if row is None else row.epoch

    def readers(self, room: RoomId) -> tuple[UserId, ...] | None:
        """Who can read what is sent now: the signed list of the newest epoch; None if it is not here.

        This, and not the list of members that the server tells, is what to show as a room's readers.
        """
        row = self._store.epochs.newest(room)
        lines = None if row is None else self._store.epochs.roster(room, row.epoch)
        return None if lines is None else tuple(UserId(user) for user, _, _ in lines)

    def renew(self, room: RoomId) -> None:
        """Have what is sent next sealed under a new epoch: whoever holds the key of this one reads no further."""
        if (current := self._store.epochs.current(room)) is not None:
            self._store.epochs.outdate(room, current)


class Upkeep:
    """What goes on by itself while the device is online. `on_found`: keys have come for what could not be opened."""

    def __init__(self, store: Store, sender: Sender, epochs: Epochs, on_found: Callable[[], None]) -> None:
        sealer = epochs.sealer
        self._shares = sealer.shares
        self._looks = Looks(store, sealer.fetcher, on_found)
        self._preparer = Preparer(sender, sealer)

    async def run(self, online: asyncio.Event) -> None:
        """Until cancelled. Raises SignedOut."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._preparer.run(online))
            tasks.create_task(driven(self._shares.step, self._shares.awake, online))
            tasks.create_task(driven(self._looks.step, self._looks.awake, online))

    def arrived(self) -> None:
        """The device is online, or entries or keys have come on which something may have waited."""
        self._preparer.hurry()
        self._shares.awake.set()
        self._looks.again()
