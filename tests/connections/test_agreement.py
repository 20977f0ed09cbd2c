"""However devices go offline and come back, they and the server agree in the end, on what the user decided last.

The server's own code and database; the devices are models of a client that follows docs/protocol.md §5.3: each stores what
it is told, keeps what its user pressed while offline, and asks its user again when it is refused.
"""

from dataclasses import dataclass, field
from uuid import UUID

import orjson
import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import devices as accounts_devices
from connections import book, changes
from connections.changes import ConnectionChanged, DevicesLag, Request
from connections.models import Connection
from connections.rules import Action
from tests.delivery.depot import person, query

pytestmark = pytest.mark.usefixtures("depot")


@dataclass
class Pressed:
    """A decision of the user's, and what the device showed when the button was pressed."""

    action: Action
    base_version: int
    showed: dict | None


@dataclass
class Phone:
    """One device: what it has stored, and what waits to be sent."""

    id: UUID
    online: bool = True
    version: int = 0
    reported: int = 0
    connection: dict | None = None
    outbox: list[Pressed] = field(default_factory=list)

    def stores(self, connection, version):
        if connection["version"] > (self.connection["version"] if self.connection else 0):
            self.connection = connection
        # With one other person in the story, this is everything up to the version.
        self.version = max(self.version, version)


class Story:
    """A user with three devices, one other person, and the server."""

    def __init__(self, rule, answers):
        self.rule, self.answers = rule, answers
        user, peer = person("alice", devices=3), person("mallory")
        self.user, self.peer, self.peers_device = UUID(user.id), UUID(peer.id), UUID(peer.devices[0])
        self.phones = [Phone(UUID(device)) for device in user.devices]
        self.taken: list[Action] = []

    def does(self, step, number):
        phone = self.phones[number]
        match step:
            case "block" | "unblock" | "note":
                phone.outbox.append(Pressed(Action(step), phone.version, phone.connection))
            case "goes offline":
                phone.online = False
            case "comes back":
                phone.online = True
            case "syncs" if phone.online:
                self.syncs(phone)
            case "is revoked" if sum(each.online for each in self.phones) > 1 and len(self.phones) > 2:
                accounts_devices.revoke(phone.id)
                self.phones.remove(phone)
                return
            case "mallory blocks" | "mallory unblocks":
                request = Request(Action(step.split()[1][:-1]), book.get(self.peer).version, user=self.user)
                # One device, always up to date: never refused, under neither rule.
                changes.change(self.peer, self.peers_device, request)
        if phone.online:
            self.sends(phone)

    def sends(self, phone):
        while phone.outbox:
            pressed = phone.outbox.pop(0)
            note = bytes([len(self.taken)]) if pressed.action is Action.NOTE else b""
            request = Request(pressed.action, pressed.base_version, user=self.peer, note=note)
            before = self.row()
            try:
                answer = changes.change(self.user, phone.id, request)
            except ConnectionChanged as refusal:
                assert (self.rule, pressed.action) != ("restrict", Action.BLOCK)
                phone.stores(refusal.fields["connection"], refusal.fields["version"])
                if next(self.answers, False):
                    # The user has seen how it is, and confirms.
                    phone.outbox.insert(0, Pressed(pressed.action, refusal.fields["version"], phone.connection))
                continue
            except DevicesLag as refusal:
                assert (self.rule, pressed.action) == ("restrict", Action.UNBLOCK)
                behind = {each.id for each in self.phones if each.reported < before.blocked_version} - {phone.id}
                mine = {phone.id} if pressed.base_version < before.blocked_version else set()
                assert {UUID(each["id"]) for each in refusal.fields["devices"]} == behind | mine != set()
                continue
            if pressed.action is Action.UNBLOCK and before and before.blocked:
                self.check_unblock(phone, pressed, before)
            if pressed.action is not Action.NOTE:
                self.taken.append(pressed.action)
            phone.stores(answer.connection, answer.version)

    def check_unblock(self, phone, pressed, before):
        """A block that was just lifted: whoever lifted it was looking at that very block, and not at an older one."""
        assert pressed.showed is not None
        assert pressed.showed["blocked"]
        assert pressed.showed["version"] >= before.blocked_version
        if self.rule == "restrict":
            others = [each for each in self.phones if each is not phone]
            assert all(each.reported >= before.blocked_version for each in others)

    def syncs(self, phone):
        after = phone.version
        while after is not None:
            page = book.changed_since(self.user, after, limit=1)
            for connection in page.connections:
                phone.stores(connection, 0)
            after = page.next
        phone.version = page.version
        phone.reported = changes.synced(self.user, phone.id, phone.version)

    def row(self):
        return Connection.objects.filter(owner_id=self.user, peer_id=self.peer).first()

    def ends(self):
        """All devices come back, send what they have kept, and sync."""
        for phone in self.phones:
            phone.online = True
            self.sends(phone)
        for phone in self.phones:
            self.syncs(phone)


story_steps = st.lists(
    st.tuples(
        st.sampled_from(
            ["block", "unblock", "block", "unblock", "syncs", "goes offline", "comes back", "note", "is revoked",
             "mallory blocks", "mallory unblocks"]
        ),
        st.integers(0, 2),
    ),
    min_size=4,
    max_size=24,
)  # fmt: skip


@pytest.mark.parametrize("rule", ["confirm", "restrict"])
@pytest.mark.timeout(300)
@given(steps=story_steps, answers=st.lists(st.booleans(), max_size=12), disclose=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_all_devices_and_the_server_end_in_the_user_s_last_decision(rule, steps, answers, disclose):
    with override_settings(CONNECTION_CONSISTENCY=rule, DISCLOSE_BLOCKS=disclose):
        story = Story(rule, iter(answers))
        for step, number in steps:
            story.does(step, number % len(story.phones))
        story.ends()

        row = story.row()
        decided = bool(story.taken) and story.taken[-1] is Action.BLOCK
        assert (row.blocked if row else False) == decided
        for phone in story.phones:
            assert phone.connection == (book.one(story.user, story.peer) if row else None)
            assert phone.version == phone.reported == book.get(story.user).version
        check_entries(story)
        check_copy(story)


def check_entries(story):
    """Every version of each side has come as one entry, in order; and nothing else has."""
    for user in (story.user, story.peer):
        told = query(
            "SELECT payload FROM delivery_pending WHERE recipients = ARRAY[%s]::uuid[] AND kind = 4 ORDER BY id", user
        )
        versions = [orjson.loads("{" + payload + "}")["version"] for (payload,) in told]
        assert versions == list(range(1, book.get(user).version + 1))


def check_copy(story):
    """Delivery's copy says what the rows say, in both directions."""
    rows = {row.owner_id: row for row in Connection.objects.filter(owner_id__in=(story.user, story.peer))}
    for recipient, sender in ((story.user, story.peer), (story.peer, story.user)):
        blocks = bool(rows.get(recipient) and rows[recipient].blocked)
        blocked = bool(rows.get(sender) and rows[sender].blocked)
        copy = query(
            "SELECT everywhere, direct FROM delivery_blockcopy WHERE recipient_id = %s AND sender_id = %s",
            recipient, sender,
        )  # fmt: skip
        assert copy == ([(blocks, True)] if blocks or blocked else [])
