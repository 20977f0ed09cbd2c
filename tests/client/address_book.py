"""A server's connections in a few lines, for the tests of the client's pure parts; it follows docs/protocol.md §5."""

from dataclasses import dataclass, field, replace

from client.protocol.entries import ConnectionEntry
from client.protocol.ids import DeviceId, UserId
from client.protocol.opaque import Ciphertext
from client.protocol.relations import Relation, RelationsPage, Settings, relation_fields
from tests.client.shapes import ALICE, PHONE

MALLORY = UserId("mallory")
OPEN, CLOSED = Settings("anyone", "anyone", "mailbox"), Settings("contacts", "contacts", "requests")


def relation(user: UserId = ALICE, version: int = 1, *, by: DeviceId | None = PHONE, **members) -> Relation:
    return replace(Relation(user, str(user), "none", False, False, Ciphertext(b""), version, by, version), **members)


def wire(said: Relation) -> dict:
    return relation_fields(said)


@dataclass
class AddressBook:
    """Bob's connections, as his devices see them. Every version is kept, to look back."""

    relations: dict[UserId, Relation] = field(default_factory=dict)
    settings: Settings = OPEN
    version: int = 0
    entries: list[ConnectionEntry] = field(default_factory=list)
    past: list[dict[UserId, Relation]] = field(default_factory=lambda: [{}])
    rule: str = "confirm"

    def change(self, user: UserId, *, by: DeviceId | None = PHONE, **members) -> Relation:
        self.version += 1
        old = self.relations.get(user) or relation(user)
        self.relations[user] = replace(old, version=self.version, changed_by=by, **members)
        self.entries.append(ConnectionEntry(self.version, self.version, connection=self.relations[user]))
        self.past.append(dict(self.relations))
        return self.relations[user]

    def set(self, settings: Settings) -> None:
        self.version += 1
        self.settings = settings
        self.entries.append(ConnectionEntry(self.version, self.version, settings=settings))
        self.past.append(dict(self.relations))

    def page(self, since: int, limit: int, *, as_of: int | None = None) -> RelationsPage:
        """`as_of`: the version that was read before the rows were."""
        found = sorted((r for r in self.relations.values() if r.version > since), key=lambda r: r.version)
        shown = tuple(found[:limit])
        version = self.version if as_of is None else as_of
        return RelationsPage(
            shown, self.settings, version, self.rule, shown[-1].version if len(found) > limit else None
        )
