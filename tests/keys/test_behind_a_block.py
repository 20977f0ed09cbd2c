"""Keys that change behind a block: the blocked one goes on as if nothing were, and the two agree again when it is lifted.

Bob blocks Alice, with whom he shares a direct room and (but for one story) nothing else.
"""

import asyncio

import pytest

from accounts.models import UserKeysHistory
from chat.models import Room as StoredRoom
from tests.cast import ok
from tests.epochs.conftest import with_keys
from tests.epochs.maker import Room
from tests.keys.keyring import Keyring, seen_by
from tests.keys.test_races import ChangesKeys
from tests.keys.test_resetting import new_keys, resets

SEALED = {"alg": "chat.e2ee.v1"}


@pytest.fixture
async def alice(cast):
    return await with_keys(cast, "alice")


@pytest.fixture
async def bob(cast):
    return await with_keys(cast, "bob")


@pytest.fixture
async def room(alice, bob):
    """Their direct room, in its first epoch."""
    made = Room(await alice.person.direct_room(bob.person), alice, bob)
    await made.begins(alice)
    return made


async def changes(who, action, peer):
    phone = who.person.phone
    version = (await phone.gets("connections"))["version"]
    await phone.posts("connections", {"action": action, "user": peer.person.id, "base_version": version})


async def reasons(who, room):
    return (await who.person.phone.gets(f"rooms/{room.id}/e2ee"))["reasons"]


async def sends(who, room):
    """Under the newest epoch; the code of the refusal, if it is one."""
    answer = await who.person.phone.tries(room.id, bytes(156), epoch=room.epoch, **SEALED)
    return answer.json().get("code", "")


def as_seen(keys):
    """The keys as they are now: somebody who sees no later ones makes epochs for these."""
    seen = Keyring.__new__(Keyring)
    seen.__dict__.update(keys.__dict__)
    return seen


async def test_another_key_of_the_blockers_is_nothing_to_the_blocked_one(alice, bob, room):
    before = as_seen(bob)
    await changes(bob, "block", alice)
    await bob.rotates()

    assert await reasons(alice, room) == []
    assert await sends(alice, room) == ""
    # Her own key outdates the epoch, as ever, and the next one is for Bob's key that she sees: no other.
    await alice.rotates()
    assert (await reasons(alice, room), await sends(alice, room)) == (["keys"], "epoch_stale")
    room.members = [alice, bob]
    assert (await room.tries(alice))[:2] == (409, "userkeys_changed")
    room.members = [alice, before]
    await room.begins(alice)
    assert await sends(alice, room) == ""


async def test_once_it_is_lifted_the_next_epoch_is_for_the_present_keys(alice, bob, room):
    await changes(bob, "block", alice)
    await bob.rotates()
    await changes(bob, "unblock", alice)

    assert await reasons(alice, room) == await reasons(bob, room) == ["keys"]
    assert await sends(alice, room) == "epoch_stale"
    await room.begins(alice)
    assert await sends(alice, room) == await sends(bob, room) == ""


@pytest.mark.parametrize("blocker", [0, 1])
async def test_a_block_behind_which_nothing_changed_outdates_nothing(alice, bob, room, blocker):
    one, other = ((alice, bob), (bob, alice))[blocker]
    await changes(one, "block", other)
    await changes(one, "unblock", other)

    assert await reasons(alice, room) == []
    assert await sends(alice, room) == ""


async def test_each_lifts_the_own_block_for_the_own_keys(alice, bob, room):
    for who, peer in ((bob, alice), (alice, bob)):
        await changes(who, "block", peer)
    await bob.rotates()
    await alice.rotates()
    assert await reasons(alice, room) == await reasons(bob, room) == []

    before = as_seen(alice)
    before.version = 1
    await changes(bob, "unblock", alice)
    assert await reasons(bob, room) == ["keys"]
    room.members = [before, bob]
    await room.begins(bob)
    assert await reasons(bob, room) == []
    await changes(alice, "unblock", bob)
    assert await reasons(bob, room) == ["keys"]
    room.members = [alice, bob]
    await room.begins(bob)


async def test_who_meets_the_blocker_in_a_group_sees_the_new_key_and_that_the_epoch_is_outdated(cast, alice, bob, room):
    carol = await with_keys(cast, "carol")
    circle = await cast.group(carol.person, alice.person, bob.person)
    before = as_seen(bob)
    await changes(bob, "block", alice)
    await bob.rotates()
    assert await reasons(alice, room) == ["keys"]
    await room.begins(alice)

    # She still knows it when they meet no more.
    known = as_seen(bob)
    seen = await seen_by(alice.person.phone, bob.person)
    ok(await alice.person.phone.http.post(f"rooms/{circle}/leave", json={}), 204)
    await bob.rotates()
    assert (await seen_by(alice.person.phone, bob.person), await reasons(alice, room)) == (seen, [])
    room.members = [alice, known]
    await room.begins(alice)
    for other in (before, bob):
        room.members = [alice, other]
        assert (await room.tries(alice))[:2] == (409, "userkeys_changed")


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_those_who_are_put_out_of_one_of_two_groups_still_meet(cast, alice, bob, room, who):
    carol = await with_keys(cast, "carol")
    circles = [await cast.group(carol.person, alice.person, bob.person) for _ in range(2)]
    await changes(bob, "block", alice)
    out = (alice, bob, carol)[who]
    for circle in circles[:1] if out is carol else circles:
        gone = alice if out is carol else out
        path = f"rooms/{circle}/members/{gone.person.id}"
        ok(await carol.person.phone.http.delete(path), 204)
        if circle == circles[0]:
            await bob.rotates()
            assert await seen_by(alice.person.phone, bob.person, bob=2) == {bob.person.id: {"unchanged": True}}
    await bob.rotates()

    newest = 3 if out is carol else 2
    ok(await alice.person.phone.http.get(f"e2ee/users/{bob.person.id}/userkeys/{newest}"), 200)
    ok(await alice.person.phone.http.get(f"e2ee/users/{bob.person.id}/userkeys/{newest + 1}"), 404)


async def test_first_keys_behind_a_block_are_not_noticed(cast, alice):
    bob = Keyring(await cast.person("bob"))
    room = Room(await alice.person.direct_room(bob.person), alice)
    await room.begins(alice)
    await changes(bob, "block", alice)
    await bob.sets_up()

    state = await alice.person.phone.gets(f"rooms/{room.id}/e2ee")
    assert (state["wanting"], state["reasons"]) == ([], [])
    await room.begins(alice)
    await changes(bob, "unblock", alice)
    state = await alice.person.phone.gets(f"rooms/{room.id}/e2ee")
    assert (state["wanting"], state["reasons"]) == ([bob.person.id], ["keys"])


async def test_the_blocker_makes_no_epoch_in_their_room(alice, bob, room):
    await changes(bob, "block", alice)
    status, code, said = await room.tries(bob)
    assert (status, code, said["by"]) == (403, "blocked", "you")

    await changes(bob, "unblock", alice)
    await room.begins(bob)


async def test_the_blocker_is_shown_no_epoch_that_the_blocked_one_made_since(alice, bob, room):
    await changes(bob, "block", alice)
    await room.begins(alice)

    async def shown(who):
        phone, path = who.person.phone, f"rooms/{room.id}"
        pages = [await phone.gets(f"{path}/epochs"), await phone.gets("e2ee/epoch-keys")]
        newest = (await phone.gets(f"{path}/e2ee"))["epoch"]
        is_there = (await phone.http.get(f"{path}/epochs/2/roster")).is_success
        return [[each["epoch"] for each in page["epochs"]] for page in pages], newest, is_there

    assert await shown(bob) == ([[1], [1]], 1, False)
    assert await shown(alice) == ([[1, 2], [1, 2]], 2, True)
    await changes(bob, "unblock", alice)
    assert await shown(bob) == await shown(alice)


async def test_a_new_identity_of_the_blockers_is_nothing_to_the_blocked_one(alice, bob, room):
    await bob.adds()
    phone, person = alice.person.phone, bob.person
    before, of_then = await seen_by(phone, person), as_seen(bob)
    await changes(bob, "block", alice)
    for _ in range(2):
        bob, body = new_keys(bob)
        await resets(bob, **body)
        await bob.rotates()
        assert await seen_by(phone, person) == await seen_by(phone, person, bob=1) == before
        assert await seen_by(phone, person, bob=2) == {person.id: {"unchanged": True}}
        assert await phone.gets(f"e2ee/users/{person.id}/userkeys/2") == before[person.id]
        ok(await phone.http.get(f"e2ee/users/{person.id}/userkeys/3"), 404)
    assert await reasons(alice, room) == []
    room.members = [alice, of_then]
    await room.begins(alice)

    await changes(bob, "unblock", alice)
    assert await reasons(alice, room) == ["keys"]
    now = await seen_by(phone, person, bob=2)
    assert now not in (before, {person.id: {"unchanged": True}})
    # What nobody sees any more goes with the next change.
    await bob.rotates()
    assert not await UserKeysHistory.objects.filter(user_id=person.id, is_former=True).aexists()


async def test_what_was_the_newest_when_the_block_came_is_kept_as_long_as_it_lasts(alice, bob, room):
    phone, person = alice.person.phone, bob.person
    await bob.rotates()
    before = await seen_by(phone, person)
    await changes(bob, "block", alice)
    for _ in range(104):
        await bob.puts(bob.document())

    assert await seen_by(phone, person) == before
    kept = [row.seq async for row in UserKeysHistory.objects.filter(user_id=person.id).order_by("seq")]
    assert kept[:3] == [2, 6, 7]
    await changes(bob, "unblock", alice)
    await bob.puts(bob.document())
    assert not await UserKeysHistory.objects.filter(user_id=person.id, seq=2).aexists()


async def test_a_block_is_lifted_in_the_middle_of_a_change_of_keys(alice, bob, room):
    """The lifting sees the old keys; the change, which comes behind it, outdates the epoch."""
    await changes(bob, "block", alice)
    async with ChangesKeys(bob):
        await changes(bob, "unblock", alice)
        assert await reasons(alice, room) == []

    assert (await StoredRoom.objects.aget(pk=room.id)).stale == StoredRoom.Stale.KEYS


@pytest.mark.parametrize("turn", range(6))
async def test_a_block_is_lifted_while_keys_change(alice, bob, room, turn):
    """Whoever comes first: nothing is taken any more under the epoch for the old key."""
    await changes(bob, "block", alice)
    both = [bob.rotates(), changes(bob, "unblock", alice)]
    await asyncio.gather(*(both if turn % 2 else both[::-1]))

    assert await reasons(alice, room) == ["keys"]
