"""Contacts: asking, answering, ending, notes; the same on all devices of both users."""

import pytest

from tests.cast import b64
from tests.connections.address_book import change, changes_told, stands, told, whole


async def test_a_request_and_its_answer_reach_all_devices_of_both(cast):
    alice, bob = await cast.people("alice", "bob")
    tablet, laptop = await alice.new_device("tablet"), await bob.new_device()
    async with alice.phone.socket() as a1, tablet.socket() as a2, bob.phone.socket() as b1, laptop.socket() as b2:
        asked = await change(alice.phone, "add", bob)
        for socket in (b1, b2):
            entry = await told(socket, 1)
            assert (entry["connection"]["state"], entry["connection"]["changed_by"]) == ("incoming", None)
            assert entry["connection"]["user"] == alice.id
        accepted = await change(laptop, "accept", alice)
        for socket in (a1, a2):
            await told(socket, 2)
            assert [each["state"] for each in changes_told(socket)] == ["requested", "contact"]
        for socket in (b1, b2):
            await told(socket, 2)

    assert asked["version"] == asked["connection"]["version"] == 1
    assert asked["connection"] == {
        "user": bob.id, "username": bob.username, "state": "requested", "blocked": False, "blocked_by": False,
        "note": "", "version": 1, "changed_by": alice.phone.id, "changed_at": asked["connection"]["changed_at"],
    }  # fmt: skip
    assert accepted["connection"]["changed_by"] == laptop.id
    assert await stands(tablet, bob) == await stands(bob.phone, alice) == ("contact", False, False)


async def test_the_entries_stand_in_order_with_the_messages(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as socket:
        await alice.sends(room, b"before")
        await change(alice.phone, "add", bob)
        await alice.sends(room, b"after")
        await socket.messages(2)
        kinds = [entry["kind"] for entry in socket.entries]
        assert kinds[-3:] == ["message", "connection", "message"]
        assert [entry["seq"] for entry in socket.entries] == list(range(1, len(kinds) + 1))


async def test_who_asks_somebody_that_has_asked_is_a_contact_at_once(cast):
    alice, bob = await cast.people("alice", "bob")
    await change(alice.phone, "add", bob)

    assert (await change(bob.phone, "add", alice))["connection"]["state"] == "contact"
    assert await stands(alice.phone, bob) == ("contact", False, False)


async def test_adding_goes_by_the_exact_name_too(cast):
    alice, bob = await cast.people("alice", "bob")
    form = {"action": "add", "username": bob.username.upper(), "base_version": 0}

    assert (await alice.phone.posts("connections", form))["connection"]["user"] == bob.id
    await alice.phone.posts("connections", form | {"username": bob.username[:-1], "base_version": 1}, status=404)


@pytest.mark.parametrize(
    ("steps", "alices", "bobs"),
    [
        (["add", "remove"], "none", "none"),
        (["add", "bob accept", "remove"], "none", "none"),
        (["add", "bob accept", "bob remove"], "none", "none"),
        (["add", "bob decline"], "none", "none"),
        (["add", "bob decline", "add"], "requested", "incoming"),
        (["add", "bob block"], "none", "none"),
        (["bob add", "bob block", "bob unblock"], "none", "none"),
        (["add", "bob accept", "block", "unblock"], "contact", "contact"),
        (["add", "bob accept", "block", "bob block", "unblock", "bob unblock"], "contact", "contact"),
    ],
)
async def test_what_becomes_of_both_sides(cast, steps, alices, bobs):
    alice, bob = await cast.people("alice", "bob")
    for step in steps:
        who, peer = (bob, alice) if step.startswith("bob ") else (alice, bob)
        await change(who.phone, step.removeprefix("bob "), peer)

    assert (await stands(alice.phone, bob))[0] == alices
    assert (await stands(bob.phone, alice))[0] == bobs


async def test_what_is_so_already_changes_nothing_whatever_it_is_based_on(cast):
    alice, bob = await cast.people("alice", "bob")
    await change(alice.phone, "add", bob)
    first = await change(bob.phone, "accept", alice)
    for who, peer, action in [(bob, alice, "accept"), (alice, bob, "add"), (alice, bob, "unblock")]:
        again = await change(who.phone, action, peer, base_version=0)
        assert again["version"] == 2
    assert (await whole(bob.phone))["connections"][alice.id] == first["connection"]


async def test_nothing_was_ever_there_and_nothing_is_made(cast):
    alice, bob = await cast.people("alice", "bob")
    for action in ("unblock", "remove"):
        answer = await change(alice.phone, action, bob)
        assert (answer["version"], answer["connection"]["state"], answer["connection"]["version"]) == (0, "none", 0)
    assert (await whole(alice.phone))["connections"] == {}
    await alice.phone.gets(f"connections/{bob.id}", status=404)


async def test_requests_that_are_not_there_cannot_be_answered(cast):
    alice, bob = await cast.people("alice", "bob")
    refused = await change(alice.phone, "accept", bob, status=409)
    assert refused["code"] == "conflict"
    await change(alice.phone, "add", bob)
    for action in ("accept", "decline"):
        assert (await change(alice.phone, action, bob, status=409))["code"] == "conflict"


async def test_a_note_is_the_owner_s_alone(cast):
    alice, bob = await cast.people("alice", "bob")
    note = b64(b"sealed by Alice's clients")
    answer = await change(alice.phone, "note", bob, note=note)

    assert answer["connection"]["note"] == note
    assert (await whole(bob.phone))["version"] == 0
    assert (await change(alice.phone, "note", bob, note=""))["connection"]["note"] == ""
    await change(alice.phone, "note", bob, note=b64(bytes(1024)))
    assert (await change(alice.phone, "note", bob, note=b64(bytes(1025)), status=413))["field"] == "note"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"action": "befriend"}, "action"),
        ({"base_version": -1}, "base_version"),
        ({"base_version": 7}, "base_version"),
        ({"note": "YQ"}, "note"),
        ({"action": "note"}, "note"),
        ({"action": "note", "note": "YR"}, "note"),
        ({"username": "bob"}, "user"),
        ({"user": "Bob"}, "user"),
        ({"why": "because"}, "why"),
    ],
)
async def test_forms_that_are_refused(cast, fields, field):
    alice, bob = await cast.people("alice", "bob")
    form = {"action": "add", "user": bob.id, "base_version": 0} | fields
    assert (await alice.phone.posts("connections", form, status=400))["field"] == field


async def test_nobody_is_their_own_contact_and_strangers_without_account_are_not_there(cast):
    alice = await cast.person("alice")
    form = {"action": "add", "user": alice.id, "base_version": 0}
    await alice.phone.posts("connections", form, status=400)
    await alice.phone.posts("connections", form | {"user": alice.phone.id}, status=404)
