"""Who may not be written to: decided from the store alone, so offline too (protocol §5.5)."""

from client.protocol.changes import who_blocks
from client.protocol.ids import RoomId, UserId
from client.protocol.relations import Side
from client.store import Store


class Gate:
    """The local check before anything is sent. Without `enforce` it lets everything pass, as a hostile client would."""

    def __init__(self, store: Store, *, enforce: bool) -> None:
        self._store = store
        self._enforce = enforce

    def closed_by(self, room: RoomId) -> Side | None:
        """Who keeps this user from writing in a direct room; nobody does in a group."""
        peer = self._peer(room) if self._enforce else None
        if peer is None:
            return None
        return who_blocks(self._store.connections.get(peer), self._store.connections.changes_about(peer))

    def _peer(self, room: RoomId) -> UserId | None:
        me = self._store.identity.owner()
        if me is None:
            return None
        known = self._store.rooms.find(room)
        return known[0].peer_of(me) if known else self._store.mailbox.peer_in(room, me)
