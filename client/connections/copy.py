"""The device's copy of the user's connections: whatever the server says goes in here, by version (client/protocol/book.py).

Each method that stores is one transaction, or part of the caller's; `tell` comes after the commit.
"""

from collections.abc import Callable

from client.events import ConnectionsSynced, Hub
from client.protocol.book import Run, changes_a_block
from client.protocol.changes import Change, Conflict, rebased
from client.protocol.entries import ConnectionEntry
from client.protocol.ids import DeviceId
from client.protocol.relations import Relation, RelationsPage
from client.store import Store


class Copy:
    """What this device knows of the user's connections. `on_news(a_block)` is called when some of it is new and committed."""

    def __init__(self, store: Store, hub: Hub, on_news: Callable[[bool], None]) -> None:
        self._store = store.connections
        self._transaction = store.database.transaction
        self._hub = hub
        self._on_news = on_news
        self._news: bool | None = None  # whether a block is among what is to be told; None: nothing is

    def _keep(self, said: Relation) -> bool:
        a_block = changes_a_block(said, self._store.get(said.user))
        if not self._store.apply(said):
            return False
        self._news = bool(self._news) or a_block
        return True

    def tell(self) -> None:
        """What was stored is committed: others may go by it."""
        if self._news is not None:
            a_block, self._news = self._news, None
            self._on_news(a_block)

    def arrived(self, entry: ConnectionEntry) -> None:
        """An entry of the mailbox."""
        if entry.connection is not None:
            self._keep(entry.connection)
        if entry.settings is not None:
            self._store.apply_settings(entry.settings, entry.version)
        self._stored(entry.version)

    def _stored(self, version: int) -> None:
        before = self._store.progress()
        if (progress := before.stored(version)) != before:
            self._store.advance(progress)
            self._news = bool(self._news)

    def paged(self, run: Run, since: int, page: RelationsPage) -> Run | None:
        """A page of `GET /connections?since=`; what to read next. A page out of its turn completes nothing."""
        with self._transaction():
            new = tuple(relation for relation in page.relations if self._keep(relation))
            self._store.apply_settings(page.settings, page.version)
            self._store.learn(consistency=page.consistency)
            if not run.expects(since, page):
                return run
            behind = run.after(page)
            before = self._store.progress()
            after = before.completed(page.version) if behind is None else before.heard_of(page.version)
            if after != before:
                self._store.advance(after)
                self._news = bool(self._news)
        if new or (behind is None and after.version > before.version):
            self._hub.tell(ConnectionsSynced(after.version, new))
        self.tell()
        return behind

    def made(self, change: Change, relation: Relation, version: int, me: DeviceId) -> None:
        """The server has made a change of this device, or found it made."""
        with self._transaction():
            self._store.settle(change)
            if self._keep(relation):
                self._stored(relation.version)
            self._heard_of(version)
            for later in self._store.changes():
                if (fresh := rebased(later, change, relation, me)) != later:
                    self._store.rebase(later, fresh.base_version)
            self._news = bool(self._news)
        self.tell()

    def conflicted(self, conflict: Conflict) -> None:
        """The server has refused a change, and said how things are."""
        with self._transaction():
            if self._keep(conflict.connection):
                self._stored(conflict.connection.version)
            self._heard_of(conflict.version)
        self.tell()

    def dropped(self, change: Change) -> None:
        """A change is given up."""
        self._store.settle(change)
        # A block that waited closed the room.
        self._on_news(False)

    def _heard_of(self, version: int) -> None:
        before = self._store.progress()
        if (progress := before.heard_of(version)) != before:
            self._store.advance(progress)
            self._news = bool(self._news)
