"""Contacts and blocks of the user (protocol §5), kept on the device. One life of the socket is `client.connection`.

gate     who may not be written to
copy     what the server says, by version
syncing  what is missing, what is reported, what the user pressed
"""

import asyncio
import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

from client.connections.syncing import Changes, Syncer
from client.errors import OfflineUnblock, Refused
from client.protocol.changes import NOTE_BYTES, Action, Change
from client.protocol.ids import UserId
from client.protocol.problems import Problem
from client.protocol.relations import Relation, RelationState, Settings, decode_settings
from client.session import Session
from client.store import Store

# No user name is as long.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Pressed:
    """A change that is queued. `await` it for the server's answer; ending the wait does not take the change back.

    Raises ChangeRefused, ChangeConflict, DevicesLag.
    """

    change: Change
    _ticket: asyncio.Future[Relation]

    def __await__(self) -> Generator[Any, None, Relation]:
        return asyncio.shield(self._ticket).__await__()


class Connections:
    """What the user has with others. Reading asks the store, never the server; changes are queued there, and sent when online."""

    def __init__(
        self, store: Store, session: Session, syncer: Syncer, changes: Changes, *, online: Callable[[], bool],
        on_press: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store = store.connections
        self._session = session
        self._syncer = syncer
        self._changes = changes
        self._online = online
        self._on_press = on_press

    # What is known.

    def get(self, user: UserId) -> Relation | None:
        """What there is with a user; None when there has never been anything."""
        return self._store.get(user)

    def list(self, *, state: RelationState | str | None = None, username: str = "") -> Sequence[Relation]:
        """Those in a state (or `blocked`) whose user names begin so, by name."""
        return self._store.all(state, username)

    @property
    def settings(self) -> Settings | None:
        """Who may reach the user; None before the first sync."""
        return self._store.settings()

    @property
    def version(self) -> int:
        """Everything up to this version is in the store."""
        return self._store.progress().version

    @property
    def consistency(self) -> str | None:
        """The server's rule for changes (protocol §5.3): `confirm` or `restrict`; None before the first sync."""
        return self._store.consistency

    @property
    def discloses_blocks(self) -> bool | None:
        """Whether the server tells who is blocked; None before the first sync."""
        return self._store.discloses_blocks

    @property
    def can_unblock(self) -> bool:
        """Whether lifting a block can be offered now: under `restrict`, with a connection only."""
        return self._online() or self.consistency == "confirm"

    def waiting(self) -> Sequence[Change]:
        """Changes that the server has not answered, in the order in which they were pressed."""
        return self._store.changes()

    # What the user does.

    def add(self, who: UserId | str) -> Pressed:
        """Ask a user, by id or exact user name, to be a contact."""
        return self._press("add", who)

    def accept(self, who: UserId | str) -> Pressed:
        """Accept a request; what was held comes now."""
        return self._press("accept", who)

    def decline(self, who: UserId | str) -> Pressed:
        """Decline a request; what was held is dropped."""
        return self._press("decline", who)

    def remove(self, who: UserId | str) -> Pressed:
        """Take a contact, or one's own request, away."""
        return self._press("remove", who)

    def block(self, who: UserId | str) -> Pressed:
        """Block a user. This device sends nothing to the user from now on, whatever the server says."""
        return self._press("block", who)

    def unblock(self, who: UserId | str) -> Pressed:
        """Lift a block. Raises OfflineUnblock when that cannot be offered now."""
        if not self.can_unblock:
            raise OfflineUnblock("under this server's rule a block is lifted only with a connection")
        return self._press("unblock", who)

    def note(self, who: UserId | str, note: bytes) -> Pressed:
        """Keep a note or an alias, which the caller has sealed; empty takes it away."""
        if len(note) > NOTE_BYTES:
            raise Refused(Problem("too_large", 413, detail=f"sealed, a note has at most {NOTE_BYTES} bytes"))
        return self._press("note", who, note)

    def _press(self, action: Action, who: str, note: bytes | None = None) -> Pressed:
        _ = self._session.signed_in
        user, username = _named(who)
        if username is not None and (known := self._store.named(username)) is not None:
            user, username = known.user, None
        change = self._store.press(action, user, username, note)
        pressed = Pressed(change, self._changes.ticket(change))
        self._on_press()
        return pressed

    async def change_settings(
        self, *, who_may_open: str | None = None, who_may_add: str | None = None, strangers: str | None = None
    ) -> Settings:
        """Say who may reach the user; asks the server. What is None stays as it is."""
        wanted = {"who_may_open": who_may_open, "who_may_add": who_may_add, "strangers": strangers}
        body = {name: value for name, value in wanted.items() if value is not None}
        settings = decode_settings(await self._session.request("PATCH", "connections/settings", body))
        self._syncer.want()
        return settings

    async def sync(self) -> int:
        """Over REST, with or without a socket: send what waits, read what is new, report it. Returns the version."""
        await self._changes.finish()
        await self._syncer.finish()
        return self.version


def _named(who: str) -> tuple[UserId | None, str | None]:
    """An id, or a user name as the server writes it."""
    return (UserId(who), None) if _ID.fullmatch(who) else (None, who.lower())
