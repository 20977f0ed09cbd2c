"""The local store: one SQLite file per device, readable by its owner only.

    database     the file, its schema, transactions
    identity     who this device is, its tokens, its last timestamp
    mailbox      entries, messages, late marks, refusals
    rooms        rooms, read positions, receipts
    drafts       the persistent outbox
    epochs       epochs of rooms: records, wraps, keys, rosters
    keys         this device's own keys, and others' documents
    connections  the copy of contacts and blocks, and changes that wait to be sent

A write costs tens of microseconds (WAL, one transaction per frame), so it is done in place, on the event loop:
nothing can then happen between the decision and the commit.
"""

from dataclasses import replace
from pathlib import Path

from client.protocol.answers import Room
from client.protocol.ids import UserId
from client.store.connections import Connections
from client.store.database import Database
from client.store.drafts import Drafts
from client.store.epochs import Epochs
from client.store.identity import Identity
from client.store.keys import Keys
from client.store.mailbox import Mailbox
from client.store.rooms import Rooms


class Store:
    """One device's store. Raises StoreInUse when another client has the file open."""

    def __init__(self, path: str | Path) -> None:
        self.database = Database(path)
        self.identity = Identity(self.database)
        self.mailbox = Mailbox(self.database)
        self.rooms = Rooms(self.database)
        self.drafts = Drafts(self.database)
        self.connections = Connections(self.database)
        self.epochs = Epochs(self.database)
        self.keys = Keys(self.database)

    def keep_room(self, room: Room, me: UserId) -> None:
        """Keep a room as the server tells it now. Whether it is a direct one, with whom, and for whom its history is, counts as
        it was told first."""
        peer = room.peer_of(me)
        if room.kind != "direct" or peer is not None:
            self.epochs.pin_peer(room.id, peer)
        # Apart from the room, which goes when the user leaves it.
        told, known = self.database.fact(f"history:{room.id}"), self.rooms.find(room.id)
        if told is None:
            told = room.history if known is None else known[0].history
            self.database.put(**{f"history:{room.id}": told})
        self.rooms.put(replace(room, history=str(told)))

    def close(self) -> None:
        """Close the file; what was written stays."""
        self.database.close()


__all__ = ["Store"]
