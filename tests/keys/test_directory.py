"""Whose keys somebody may see; across a block only what there was before it."""

import asyncio
from uuid import uuid4

import pytest

from tests.cast import new_id, ok
from tests.keys.keyring import Keyring, entries_of, seen_by


async def blocks(who, peer, action="block"):
    version = (await who.phone.gets("connections"))["version"]
    await who.phone.posts("connections", {"action": action, "user": peer.id, "base_version": version})


@pytest.fixture
async def both(alice, bob):
    """Alice's keys and Bob's."""
    found = Keyring(alice), Keyring(bob)
    for keys in found:
        await keys.sets_up()
    return found


async def test_the_newest_document_or_that_it_is_known(alice, bob, keys):
    first = (await seen_by(bob.phone, alice))[alice.id]
    assert await seen_by(bob.phone, alice, alice=1) == {alice.id: {"unchanged": True}}
    await keys.adds()
    newest = (await seen_by(bob.phone, alice, alice=1))[alice.id]
    assert newest != first and newest == (await seen_by(bob.phone, alice))[alice.id]
    # More than there is: the server must have lost some. Whoever asks shall see that.
    assert await seen_by(bob.phone, alice, alice=9) == {alice.id: newest}
    assert await bob.phone.gets(f"e2ee/users/{alice.id}/userkeys/1") == first
    assert await bob.phone.gets(f"e2ee/users/{alice.id}/userkeys/2") == newest
    for seq in (0, 3, 10**30):
        ok(await bob.phone.http.get(f"e2ee/users/{alice.id}/userkeys/{seq}"), 404)


async def test_who_has_no_keys_or_does_not_exist_is_left_out(alice, bob, keys):
    nobody = new_id()
    answer = await bob.phone.posts("e2ee/users/query", {"known": {alice.id: 0, bob.id: 0, nobody: 0}})
    assert answer.keys() == {alice.id}
    for user in (bob.id, nobody):
        ok(await bob.phone.http.get(f"e2ee/users/{user}/userkeys/1"), 404)


async def test_a_query_has_its_form(bob):
    for known in (
        None,
        [],
        {"x": 0},
        {new_id().upper(): 0},
        {new_id(): -1},
        {new_id(): "1"},
        {new_id(): True},
        {new_id(): 2**31},
        {str(uuid4()): 0 for _ in range(201)},
    ):
        assert ok(await bob.phone.http.post("e2ee/users/query", json={"known": known}), 400)["field"] == "known"
    known = {str(uuid4()): 0 for _ in range(200)}
    assert await bob.phone.posts("e2ee/users/query", {"known": known}) == {}
    assert await bob.phone.posts("e2ee/users/query", {"known": {}}) == {}
    assert ok(await bob.phone.http.post("e2ee/users/query", json={}), 400)["field"] == "known"
    assert ok(await bob.phone.http.post("e2ee/users/query", json={"known": {}, "x": 1}), 400)["field"] == "x"


async def test_one_query_answers_about_many(cast, alice, keys):
    everybody = await cast.people(*[f"bob{number}" for number in range(20)])
    for person in everybody:
        await Keyring(person).sets_up()
    assert (await seen_by(alice.phone, *everybody)).keys() == {person.id for person in everybody}


@pytest.mark.parametrize("blocker", ["alice", "bob"])
async def test_across_a_block_there_is_what_there_was_before_it(alice, bob, both, blocker):
    await alice.direct_room(bob)
    before = [(await seen_by(bob.phone, alice))[alice.id], (await seen_by(alice.phone, bob))[bob.id]]
    await blocks(*((alice, bob) if blocker == "alice" else (bob, alice)))
    for keys in both:
        await keys.rotates()

    for who, peer, old in ((bob, alice, before[0]), (alice, bob, before[1])):
        assert await seen_by(who.phone, peer) == {peer.id: old}
        assert await who.phone.gets(f"e2ee/users/{peer.id}/userkeys/1") == old
        ok(await who.phone.http.get(f"e2ee/users/{peer.id}/userkeys/2"), 404)
        assert await seen_by(who.phone, peer, **{peer.name: 1}) == {peer.id: {"unchanged": True}}
        # Whoever knows more (from a group that both were in) is not sent back.
        assert await seen_by(who.phone, peer, **{peer.name: 2}) == {peer.id: {"unchanged": True}}
        # Oneself one always sees.
        assert (await seen_by(who.phone, who, **{who.name: 2})) == {who.id: {"unchanged": True}}

    await blocks(*((alice, bob) if blocker == "alice" else (bob, alice)), action="unblock")
    for who, peer in ((bob, alice), (alice, bob)):
        assert await seen_by(who.phone, peer, **{peer.name: 2}) == {peer.id: {"unchanged": True}}
        ok(await who.phone.http.get(f"e2ee/users/{peer.id}/userkeys/2"), 200)


async def test_strangers_do_not_see_who_blocks_them(alice, bob, both):
    await blocks(bob, alice)
    assert await seen_by(alice.phone, bob) == {}
    ok(await alice.phone.http.get(f"e2ee/users/{bob.id}/userkeys/1"), 404)
    # Whose profile can be seen, of that one there is what there was.
    assert (await seen_by(bob.phone, alice)).keys() == {alice.id}


async def test_keys_first_made_behind_a_block_are_not_seen(alice, bob):
    await alice.direct_room(bob)
    await blocks(bob, alice)
    await Keyring(bob).sets_up()
    assert await seen_by(alice.phone, bob) == {}


async def test_in_a_group_everybody_can_seal_to_everybody(cast, alice, bob, both):
    carol = await cast.person("carol")
    await cast.group(carol, alice, bob)
    await blocks(bob, alice)
    for keys in both:
        await keys.rotates()
    for who, peer in ((bob, alice), (alice, bob)):
        assert await seen_by(who.phone, peer, **{peer.name: 2}) == {peer.id: {"unchanged": True}}
        assert await who.phone.gets(f"e2ee/users/{peer.id}/userkeys/2")


async def test_behind_a_block_nobody_hears_of_new_keys(cast, alice, bob, both):
    carol = await cast.person("carol")
    for peer in (bob, carol):
        await alice.direct_room(peer)
    for who, peer, action in ((alice, bob, "add"), (bob, alice, "accept")):
        await blocks(who, peer, action)
    await blocks(bob, alice)
    for keys in both:
        await keys.rotates()

    while len(await entries_of(carol.phone)) < 1:
        await asyncio.sleep(0.02)
    for who in (alice, bob):
        while len(own := [entry for entry in await entries_of(who.phone) if entry["user"] == who.id]) < 2:
            await asyncio.sleep(0.02)
        assert [entry["document"] for entry in own] == [1, 2]
        assert [entry for entry in await entries_of(who.phone) if entry["user"] != who.id] == []
