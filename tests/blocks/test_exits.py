"""Every way in which something of one user may come to another: listed here, and each held against a block.

Alice is blocked by Bob. An exit that is not on the list fails the first tests; one that is on it as guarded must have a
story below, which shows on the running system that nothing passes, and that it would pass to Carol, who is not blocked.
"""

import asyncio
import re

import orjson
import pytest
from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver

from delivery import frames
from messages.kinds import Kind
from tests.cast import ok
from tests.epochs.maker import Room
from tests.keys.keyring import Keyring, entries_of, seen_by
from tests.push_service import PushService

OWN = "about the asker's own account, devices and mailbox"
PUBLIC = "the same for everybody"
STAFF = "for staff and operators"
GROUP = "members of a group see that it changes, whoever blocks whom"

# method and path, or `frame name`, or `entry kind` → why nothing passes, or the story that shows it.
EXITS = {
    "GET ": PUBLIC,
    "GET favicon.ico": PUBLIC,
    "GET sw.js": PUBLIC,
    "GET healthz": PUBLIC,
    "GET readyz": PUBLIC,
    "GET metrics": STAFF,
    "ANY admin/": STAFF,
    "GET api/v1/schema": PUBLIC,
    "GET api/v1/docs": PUBLIC,
    "GET api/v1/limits": PUBLIC,
    "POST api/v1/accounts/register": PUBLIC,
    "POST api/v1/accounts/sign-in": OWN,
    "POST api/v1/accounts/refresh": OWN,
    "POST api/v1/accounts/sign-out": OWN,
    "GET api/v1/accounts/kdf": PUBLIC,
    "GET api/v1/account": OWN,
    "PATCH api/v1/account": OWN,
    "POST api/v1/account/password": OWN,
    "GET api/v1/devices": OWN,
    "PATCH api/v1/devices/<uuid:device_id>": OWN,
    "DELETE api/v1/devices/<uuid:device_id>": OWN,
    "GET api/v1/users/<str:username>": "profile",
    "GET api/v1/rooms": "rooms",
    "POST api/v1/rooms": "opening",
    "GET api/v1/rooms/<uuid:room_id>": GROUP,
    "POST api/v1/rooms/<uuid:room_id>/members": "adding",
    "DELETE api/v1/rooms/<uuid:room_id>/members/<uuid:user_id>": GROUP,
    "PATCH api/v1/rooms/<uuid:room_id>/members/<uuid:user_id>": GROUP,
    "POST api/v1/rooms/<uuid:room_id>/leave": GROUP,
    "POST api/v1/rooms/<uuid:room_id>/owner": GROUP,
    "PUT api/v1/rooms/<uuid:room_id>/mute": OWN,
    "DELETE api/v1/rooms/<uuid:room_id>/mute": OWN,
    "GET api/v1/push/key": PUBLIC,
    "PUT api/v1/push/subscription": "pushing",
    "DELETE api/v1/push/subscription": OWN,
    "GET api/v1/hosts/assignment": OWN,
    "GET api/v1/hosts/users/<uuid:user_id>": STAFF,
    "GET api/v1/hosts/rooms/<uuid:room_id>": STAFF,
    "POST api/v1/messages": "sending",
    "GET api/v1/messages/<uuid:message_id>": "reading",
    "POST api/v1/messages/<uuid:message_id>/reject": "rejecting",
    "GET api/v1/rooms/<uuid:room_id>/messages": "reading",
    "POST api/v1/rooms/<uuid:room_id>/read": "receipts",
    "GET api/v1/rooms/<uuid:room_id>/receipts": "receipts",
    "GET api/v1/mailbox": "reading",
    "GET api/v1/mailbox/undelivered": "reading",
    "POST api/v1/mailbox/ack": "receipts",
    "GET api/v1/connections": "connections",
    "POST api/v1/connections": "connections",
    "GET api/v1/connections/<uuid:user_id>": "connections",
    "POST api/v1/connections/synced": OWN,
    "GET api/v1/connections/settings": OWN,
    "PATCH api/v1/connections/settings": OWN,
    "PUT api/v1/e2ee/setup": "key_changes",
    "PUT api/v1/e2ee/userkeys": "key_changes",
    "POST api/v1/e2ee/reset": "key_changes",
    "GET api/v1/rooms/<uuid:room_id>/e2ee": GROUP,
    "GET api/v1/rooms/<uuid:room_id>/epochs": "epochs",
    "POST api/v1/rooms/<uuid:room_id>/epochs": "epochs",
    "GET api/v1/rooms/<uuid:room_id>/epochs/<int:epoch>/roster": "epochs",
    "POST api/v1/rooms/<uuid:room_id>/epochs/wraps": GROUP,
    "GET api/v1/e2ee/epoch-keys": "epochs",
    "GET api/v1/e2ee/vault": OWN,
    "PUT api/v1/e2ee/vault": OWN,
    "GET api/v1/e2ee/vault/archive/<int:page>": OWN,
    "GET api/v1/e2ee/box": OWN,
    "POST api/v1/e2ee/users/query": "key_documents",
    "GET api/v1/e2ee/users/<uuid:user_id>/userkeys/<int:seq>": "key_documents",
    "frame hello": OWN,
    "frame send": "sending",
    "frame ack": "receipts",
    "frame read": "receipts",
    "frame reject": "rejecting",
    "frame typing": "typing",
    "frame ping": OWN,
    "entry message": "sending",
    "entry rejection": "rejecting",
    "entry room": GROUP,
    "entry connection": "connections",
    "entry epoch": "epochs",
    "entry keys": "key_changes",
}
GUARDED = {name for name in EXITS.values() if name not in (OWN, PUBLIC, STAFF, GROUP)}


def endpoints(patterns=None, prefix=""):
    """`METHOD path` of every URL; the admin as a whole, and not the catch-all that answers 404."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(pattern.pattern)
        if path.startswith("admin/"):
            yield "ANY admin/"
        elif isinstance(pattern, URLResolver):
            yield from endpoints(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and path != "^api/":
            view = getattr(pattern.callback, "view_class", None) or getattr(pattern.callback, "cls", None)
            methods = [name.upper() for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)]
            yield from (f"{method} {path}" for method in methods or ["GET"])


def frames_of_clients():
    page = (settings.BASE_DIR / "docs" / "protocol.md").read_text()
    return {
        f"frame {orjson.loads(text)['type']}" for text in re.findall(r"```frame client\n(.*?)\n```", page, re.DOTALL)
    }


def test_every_endpoint_is_on_the_list():
    assert set(endpoints()) == {name for name in EXITS if not name.startswith(("frame", "entry"))}


def test_every_frame_is_on_the_list():
    assert frames_of_clients() == {name for name in EXITS if name.startswith("frame")}
    assert {name.removeprefix("frame ") for name in frames_of_clients()} == set(frames.FIELDS)


def test_every_kind_of_entry_is_on_the_list():
    assert {f"entry {kind.name.lower()}" for kind in Kind} == {name for name in EXITS if name.startswith("entry")}


def test_every_guarded_exit_has_its_story():
    assert GUARDED == {name.removeprefix("test_exit_") for name in globals() if name.startswith("test_exit_")}


# --- the stories -------------------------------------------------------------------------------------------------------


class World:
    """Alice, whom Bob blocks; Carol, whom nobody blocks. A direct room of each with Bob, and a group of the three."""

    def __init__(self, cast, alice, bob, carol):
        self.cast, self.alice, self.bob, self.carol = cast, alice, bob, carol

    async def prepare(self):
        self.to_alice = await self.bob.direct_room(self.alice)
        self.to_carol = await self.bob.direct_room(self.carol)
        self.circle = await self.cast.group(self.carol, self.alice, self.bob)
        self.before = (await self.alice.sends(self.to_alice, b"before"))["id"]
        await self.bob_has(self.before)

    async def bob_has(self, id):
        """Wait until the message is in Bob's mailbox; acknowledge everything."""
        while True:
            page = await self.bob.phone.gets("mailbox", limit=500)
            if id in [entry.get("id") for entry in page["entries"]]:
                await self.bob.phone.posts("mailbox/ack", {"seq": page["last_seq"]})
                return
            await asyncio.sleep(0.02)

    async def block(self):
        version = (await self.bob.phone.gets("connections"))["version"]
        change = {"action": "block", "user": self.alice.id, "base_version": version}
        await self.bob.phone.posts("connections", change)

    async def settled(self):
        """Everything sent so far has been drained: Carol's mark in the circle has come to all three."""
        mark = (await self.carol.sends(self.circle, b"mark"))["id"]
        await self.bob_has(mark)
        for who in (self.alice, self.carol):
            while mark not in str(await who.phone.gets("mailbox", limit=500)):
                await asyncio.sleep(0.02)


@pytest.fixture
async def world(cast):
    made = World(cast, *await cast.people("alice", "bob", "carol"))
    await made.prepare()
    return made


def ids(entries):
    return [entry.get("id") for entry in entries]


async def test_exit_sending(world):
    await world.block()
    async with world.bob.phone.socket() as bob, world.alice.phone.socket() as alice:
        kept = [
            (await world.alice.sends(world.to_alice, b"by REST"))["id"],
            (await alice.sends(world.alice.phone.message(world.to_alice, b"by socket")))[0]["id"],
            (await world.alice.sends(world.circle, b"in the circle"))["id"],
        ]
        came = (await world.carol.sends(world.to_carol, b"from carol"))["id"]
        await bob.entry("message", id=came)
        await world.settled()
        entries = ids(bob.entries)
    everything = str(await world.bob.phone.gets("mailbox", limit=500))
    assert came in entries
    assert not set(kept) & set(entries)
    assert not [id for id in kept if id in everything]
    assert kept[2] in str(await world.carol.phone.gets("mailbox", limit=500))


async def test_exit_reading(world):
    async with world.bob.phone.socket(acks=False) as bob:
        # Numbered, and seen by no device that says so, when the block comes.
        unseen = (await world.alice.sends(world.to_alice, b"unseen"))["id"]
        theirs = (await world.carol.sends(world.to_carol, b"unseen"))["id"]
        await bob.entry("message", id=unseen)
        await bob.entry("message", id=theirs)
    await world.block()

    laptop = await world.bob.new_device()
    async with laptop.socket() as caught_up:
        seen = ids(caught_up.entries)
    pages = [
        await world.bob.phone.gets("mailbox", limit=500),
        await world.bob.phone.gets("mailbox/undelivered", limit=500),
        await world.bob.phone.gets("mailbox", limit=500, direction="received"),
        await world.bob.phone.gets(f"rooms/{world.to_alice}/messages", limit=500),
    ]
    assert theirs in seen and world.before in seen and unseen not in seen
    assert unseen not in str(pages) and theirs in str(pages[1]) and world.before in str(pages[3])
    ok(await world.bob.phone.http.get(f"messages/{unseen}"), 404)
    ok(await world.bob.phone.http.get(f"messages/{theirs}"), 200)


async def test_exit_receipts(world):
    async with world.alice.phone.socket() as alice, world.carol.phone.socket() as carol:
        alices, sent = [
            (await who.sends(room, b"read me"))["id"]
            for who, room in ((world.alice, world.to_alice), (world.carol, world.to_carol))
        ]
        async with world.bob.phone.socket(acks=False) as bob:
            last = (await bob.entry("message", id=sent))["seq"]
            await bob.entry("message", id=alices)
            await world.block()
            before = await world.alice.phone.gets(f"rooms/{world.to_alice}/receipts")
            # All three ways to say so.
            await bob.send("ack", seq=last)
            await bob.send("read", room=world.to_alice, seq=last)
            await bob.send("read", room=world.to_carol, seq=last)
            await world.bob.phone.posts("mailbox/ack", {"seq": last})
            await world.bob.phone.posts(f"rooms/{world.to_alice}/read", {"seq": last})
            while (await carol.expect("receipts"))["receipts"][0].get("read") != sent:
                pass
        assert [frame for frame in alice.frames if frame["type"] == "receipts" and alices in str(frame)] == []
    assert await world.alice.phone.gets(f"rooms/{world.to_alice}/receipts") == before
    state = await world.alice.phone.gets(f"messages/{alices}")
    assert [(each["delivered"], each["read"]) for each in state["deliveries"]] == [(False, False)]
    state = await world.carol.phone.gets(f"messages/{sent}")
    assert [(each["delivered"], each["read"]) for each in state["deliveries"]] == [(True, True)]


async def test_exit_typing(world):
    await world.block()
    async with (
        world.alice.phone.socket() as alice,
        world.bob.phone.socket() as bob,
        world.carol.phone.socket() as carol,
    ):
        await alice.send("typing", room=world.to_alice)
        await alice.send("typing", room=world.circle)
        await carol.expect("typing")
        await bob.send("typing", room=world.to_alice)
        await bob.send("typing", room=world.circle)
        await carol.expect("typing")
        await carol.send("typing", room=world.circle)
        assert (await bob.expect("typing"))["user"] == world.carol.id
        assert (await alice.expect("typing"))["user"] == world.carol.id
        assert [frame for frame in (*alice.frames, *bob.frames) if frame["type"] == "typing"] == []


async def test_exit_pushing(world):
    """Bob's browser is closed. What a block stops and what it hides does not ring there; what Carol writes does."""
    witnesses = await world.cast.people("dave", "erin")
    with PushService() as service:

        async def subscribes(who):
            browser = service.browser()
            ok(await who.phone.http.put("push/subscription", json=browser.subscription), 204)
            return browser

        bobs, *others = [await subscribes(who) for who in (world.bob, *witnesses)]
        # In his mailbox when the block comes, and looked at only after it.
        hidden = (await world.alice.sends(world.to_alice, b"before the block"))["id"]
        while hidden not in str(await world.bob.phone.gets("mailbox", limit=500)):
            await asyncio.sleep(0.01)
        await world.block()
        await world.alice.sends(world.to_alice, b"direct")
        await world.alice.sends(world.circle, b"in the circle")
        # Devices are told in the order in which they are due, round by round: behind the second witness all of that is settled.
        for witness, browser in zip(witnesses, others, strict=True):
            await world.alice.sends(await world.alice.direct_room(witness), b"ring")
            await browser.push()
        assert bobs.tries == 0
        await world.carol.sends(world.to_carol, b"hello")
        await bobs.push()


async def test_exit_rejecting(world):
    """A late message that Bob refuses after the block: Alice learns nothing of it."""
    phone = world.alice.phone
    now = phone.message(world.to_alice, b"")["sent_at"]
    later = (await world.alice.sends(world.to_alice, b"later", sent_at=now + 1_000))["id"]
    older = (await world.alice.sends(world.to_alice, b"older", sent_at=now))["id"]
    await world.bob_has(older)
    await world.block()
    await world.bob.phone.posts(f"messages/{older}/reject", {"later": later})
    await world.settled()

    kinds = {entry["kind"] for entry in (await world.bob.phone.gets("mailbox", limit=500))["entries"]}
    assert "rejection" in kinds
    kinds = {entry["kind"] for entry in (await world.alice.phone.gets("mailbox", limit=500))["entries"]}
    assert "rejection" not in kinds


async def test_exit_opening(world):
    """Rooms that are there stay; none is made, in either direction."""
    mallory, dave = await world.cast.people("mallory", "dave")
    world.alice, alice = mallory, world.alice
    await world.block()
    for asker, peer, by in ((mallory, world.bob, "peer"), (world.bob, mallory, "you")):
        refused = ok(await asker.phone.http.post("rooms", json={"kind": "direct", "peer": peer.id}), 403)
        assert (refused["code"], refused["by"]) == ("blocked", by)
        refused = ok(await asker.phone.http.post("rooms", json={"kind": "group", "members": [dave.id, peer.id]}), 403)
        assert (refused["code"], refused["by"]) == ("blocked", by)
    world.alice = alice
    await world.block()
    ok(await world.alice.phone.http.post("rooms", json={"kind": "direct", "peer": world.bob.id}), 200)


async def test_exit_adding(world):
    alices = await world.cast.group(world.alice, world.carol)
    bobs = await world.cast.group(world.bob, world.carol)
    carols = await world.cast.group(world.carol, world.alice)
    await world.block()

    ok(await world.alice.phone.http.post(f"rooms/{alices}/members", json={"users": [world.bob.id]}), 403)
    ok(await world.bob.phone.http.post(f"rooms/{bobs}/members", json={"users": [world.alice.id]}), 403)
    ok(await world.carol.phone.http.post(f"rooms/{carols}/members", json={"users": [world.bob.id]}), 200)
    await world.settled()
    assert alices not in str(await world.bob.phone.gets("mailbox", limit=500))


async def test_exit_profile(world):
    await world.block()

    ok(await world.alice.phone.http.get(f"users/{world.bob.username}"), 404)
    ok(await world.carol.phone.http.get(f"users/{world.bob.username}"), 200)
    ok(await world.bob.phone.http.get(f"users/{world.alice.username}"), 200)


async def test_exit_rooms(world):
    """The rooms that both are in are still there for both: what was said before is theirs."""
    await world.block()

    for who in (world.alice, world.bob):
        listed = {room["id"] for room in (await who.phone.gets("rooms"))["rooms"]}
        assert {world.to_alice, world.circle} <= listed


async def test_exit_connections(world):
    await world.block()
    version = (await world.alice.phone.gets("connections"))["version"]
    before = await world.bob.phone.gets("connections")

    refused = ok(
        await world.alice.phone.http.post(
            "connections", json={"action": "add", "user": world.bob.id, "base_version": version}
        ),
        403,
    )
    await world.settled()

    assert refused["code"] == "blocked"
    assert await world.bob.phone.gets("connections") == before
    assert (await world.alice.phone.gets(f"connections/{world.bob.id}"))["blocked_by"] is True


async def test_exit_key_changes(world):
    """Setting up, another key, beginning again: Bob's peers hear of it, in either direction of the block nobody does."""
    await world.block()
    for who in (world.alice, world.bob):
        keys = Keyring(who)
        await keys.sets_up()
        await keys.rotates()
        again = Keyring(who, kdf=keys.kdf)
        body = {"userkeys": again.envelope(again.document()), "vault": again.vault(), "auth": who.password}
        await who.phone.posts("e2ee/reset", body)
    await world.settled()

    async def heard_by(who):
        return [(entry["user"], entry["change"]) for entry in await entries_of(who.phone)]

    changes = ["encryption", "encryption", "identity"]
    assert await heard_by(world.carol) == [(world.bob.id, change) for change in changes]
    for who in (world.alice, world.bob):
        assert await heard_by(who) == [(who.id, change) for change in changes]


async def test_exit_key_documents(world):
    """Across a block there is what there was before it. In the circle all can seal to all; then they see each other's."""
    keys = Keyring(world.bob)
    await keys.sets_up()
    before = await seen_by(world.alice.phone, world.bob)
    await world.carol.phone.http.delete(f"rooms/{world.circle}/members/{world.bob.id}")
    await world.block()
    await keys.rotates()

    assert before[world.bob.id]
    assert await seen_by(world.alice.phone, world.bob) == before
    assert await seen_by(world.carol.phone, world.bob) != before
    ok(await world.alice.phone.http.get(f"e2ee/users/{world.bob.id}/userkeys/2"), 404)
    ok(await world.carol.phone.http.get(f"e2ee/users/{world.bob.id}/userkeys/2"), 200)


async def test_exit_epochs(world):
    """Of an epoch in their direct room Bob hears from Carol and not from Alice; in the circle he hears from both."""
    keys = {who: Keyring(who) for who in (world.alice, world.bob, world.carol)}
    for keyring in keys.values():
        await keyring.sets_up()
    await world.block()
    direct = [
        Room(room, keys[world.bob], keys[peer])
        for room, peer in ((world.to_alice, world.alice), (world.to_carol, world.carol))
    ]
    circle = Room(world.circle, *keys.values())
    for room, by in zip(direct, (world.alice, world.carol), strict=True):
        await room.begins(keys[by])
    async with world.bob.phone.socket() as socket:
        await circle.begins(keys[world.alice])
        # Behind the others: one mailbox is filled in order.
        await socket.entry("epoch", room=world.circle)

    heard = [(entry["room"], entry["creator"]) for entry in await entries_of(world.bob.phone, "epoch")]
    assert heard == [(world.to_carol, world.carol.id), (world.circle, world.alice.id)]
    phone = world.bob.phone
    restored = {epoch["room"] for epoch in (await phone.gets("e2ee/epoch-keys"))["epochs"]}
    for room, is_seen in ((world.to_alice, False), (world.to_carol, True), (world.circle, True)):
        assert bool((await phone.gets(f"rooms/{room}/epochs"))["epochs"]) == is_seen
        assert (await phone.http.get(f"rooms/{room}/epochs/1/roster")).is_success == is_seen
        assert (room in restored) == is_seen
