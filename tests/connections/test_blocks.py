"""What a block does on the running system: to rooms, groups, profiles, messages; told and untold."""

import asyncio

import pytest

from tests.connections.address_book import change, changes_told, query, stands, synced, told, whole


async def opens(who, peer):
    return await who.phone.http.post("rooms", json={"kind": "direct", "peer": peer.id})


async def rooms_of(who):
    return {room["id"] for room in (await who.phone.gets("rooms"))["rooms"]}


class TestDisclosed:
    async def test_all_devices_of_both_learn_of_it(self, cast):
        alice, mallory = await cast.people("alice", "mallory")
        tablet, laptop = await alice.new_device("tablet"), await mallory.new_device()
        async with (
            alice.phone.socket() as a1,
            tablet.socket() as a2,
            mallory.phone.socket() as m1,
            laptop.socket() as m2,
        ):
            await change(alice.phone, "block", mallory)
            for socket in (a1, a2):
                entry = (await told(socket, 1))["connection"]
                assert (entry["blocked"], entry["blocked_by"], entry["changed_by"]) == (True, False, alice.phone.id)
            for socket in (m1, m2):
                entry = (await told(socket, 1))["connection"]
                assert (entry["blocked"], entry["blocked_by"], entry["changed_by"]) == (False, True, None)
            await change(tablet, "unblock", mallory)
            for socket in (a1, a2, m1, m2):
                await told(socket, 2)

    async def test_nothing_reaches_the_blocker_and_both_of_the_sender_s_devices_are_told(self, cast):
        alice, mallory, carol = await cast.people("alice", "mallory", "carol")
        laptop = await mallory.new_device()
        room, circle = await alice.direct_room(mallory), await cast.group(carol, alice, mallory)
        async with alice.phone.socket() as a1, mallory.phone.socket() as m1, laptop.socket() as m2:
            await mallory.sends(room, b"before")
            await a1.messages(1)
            await change(alice.phone, "block", mallory)
            refused = await mallory.sends(room, b"to her alone")
            await mallory.sends(circle, b"to all")
            for socket in (m1, m2):
                entry = await socket.entry("rejection", message=refused["id"])
                assert (entry["reason"], entry["status"], entry["by"]) == ("blocked", 403, alice.id)
            await change(alice.phone, "unblock", mallory)
            again = await mallory.sends(room, b"after")
            assert [each["id"] for each in await a1.messages(2)][1] == again["id"]
            assert len(await m1.messages(4)) == 4

    async def test_neither_opens_a_room_with_the_other(self, cast):
        alice, mallory = await cast.people("alice", "mallory")
        await change(alice.phone, "block", mallory)
        for who, peer, by in [(alice, mallory, "you"), (mallory, alice, "peer")]:
            refused = await opens(who, peer)
            assert (refused.status_code, refused.json()["code"], refused.json()["by"]) == (403, "blocked", by)
            refused = await change(who.phone, "add", peer, status=403)
            assert (refused["code"], refused["by"]) == ("blocked", by)
        assert await rooms_of(alice) == await rooms_of(mallory) == set()

    async def test_a_room_that_is_there_is_answered_to_its_members(self, cast):
        alice, mallory = await cast.people("alice", "mallory")
        room = await alice.direct_room(mallory)
        await change(alice.phone, "block", mallory)
        for who, peer in [(alice, mallory), (mallory, alice)]:
            answer = await opens(who, peer)
            assert (answer.status_code, answer.json()["id"]) == (200, room)

    async def test_neither_adds_the_other_to_a_group_but_a_third_adds_both(self, cast):
        alice, mallory, carol = await cast.people("alice", "mallory", "carol")
        await change(alice.phone, "block", mallory)
        for who, peer, by in [(alice, mallory, "you"), (mallory, alice, "peer")]:
            group = await cast.group(who, carol)
            for path, form in [
                ("rooms", {"kind": "group", "members": [carol.id, peer.id]}),
                (f"rooms/{group}/members", {"users": [peer.id]}),
            ]:
                refused = await who.phone.posts(path, form, status=403)
                assert (refused["code"], refused["by"]) == ("blocked", by)
        both = await cast.group(carol, alice, mallory)
        assert both in await rooms_of(alice)
        assert both in await rooms_of(mallory)

    async def test_the_blocker_s_profile_is_not_there_for_the_blocked_one(self, cast):
        alice, mallory, bob = await cast.people("alice", "mallory", "bob")
        await change(alice.phone, "block", mallory)
        await mallory.phone.gets(f"users/{alice.username}", status=404)
        await alice.phone.gets(f"users/{mallory.username}")
        await bob.phone.gets(f"users/{alice.username}")
        # By name all the same: whoever is blocked may block.
        form = {"action": "block", "username": alice.username, "base_version": 1}
        assert (await mallory.phone.posts("connections", form))["connection"]["blocked"] is True
        await change(alice.phone, "unblock", mallory)
        await mallory.phone.gets(f"users/{alice.username}")

    async def test_delivery_knows_which_versions_tell_of_it(self, cast, system):
        alice, mallory, bob = await cast.people("alice", "mallory", "bob")
        await change(mallory.phone, "block", bob)
        await change(alice.phone, "block", mallory)
        copy = (
            "SELECT everywhere, direct, held, known_version FROM delivery_blockcopy"
            " WHERE recipient_id = %s AND sender_id = %s"
        )
        assert query(system, copy, alice.id, mallory.id) == [(True, True, False, 2)]
        assert query(system, copy, mallory.id, alice.id) == [(False, True, False, 1)]
        await change(mallory.phone, "block", alice)
        # Both versions of Mallory's say so; the older one is enough to know.
        assert query(system, copy, alice.id, mallory.id) == [(True, True, False, 2)]
        assert query(system, copy, mallory.id, alice.id) == [(True, True, False, 1)]
        await change(alice.phone, "unblock", mallory)
        assert query(system, copy, alice.id, mallory.id) == [(False, True, False, 3)]
        assert query(system, copy, mallory.id, alice.id) == [(True, True, False, 2)]
        await change(mallory.phone, "unblock", alice)
        assert query(system, copy, alice.id, mallory.id) == query(system, copy, mallory.id, alice.id) == []

    async def test_two_who_block_each_other_at_once_both_do(self, cast, system):
        for _ in range(5):
            alice, bob = await cast.people("alice", "bob")
            doors = [cast.http(alice.phone.access, system.urls[0]), cast.http(bob.phone.access, system.urls[1])]
            forms = [{"action": "block", "user": peer.id, "base_version": 0} for peer in (bob, alice)]
            answers = await asyncio.gather(
                *(door.post("connections", json=form) for door, form in zip(doors, forms, strict=True))
            )
            assert [answer.status_code for answer in answers] == [200, 200]
            assert await stands(alice.phone, bob) == await stands(bob.phone, alice) == ("none", True, True)

    async def test_many_who_block_and_unblock_each_other_hold_nobody_up(self, cast, system):
        people = await cast.people("alice", "bob", "carol", "mallory")
        room = await cast.group(*people)

        async def quarrels(who, door):
            for peer in [each for each in people if each is not who] * 3:
                for action in ("block", "unblock"):
                    form = {"action": action, "user": peer.id, "base_version": 0}
                    while (answer := await door.post("connections", json=form)).status_code == 409:
                        form["base_version"] = answer.json()["version"]
                    assert answer.status_code == 200, answer.text
                await who.sends(room, b"and so on")

        await asyncio.gather(
            *(quarrels(who, cast.http(who.phone.access, system.urls[n % 2])) for n, who in enumerate(people))
        )

        ids = ",".join(f"'{who.id}'" for who in people)
        assert query(system, f"SELECT count(*) FROM delivery_blockcopy WHERE recipient_id IN ({ids})") == [(0,)]
        for who in people:
            state = await whole(who.phone)
            versions = sorted(each["version"] for each in state["connections"].values())
            assert versions[-1] == state["version"]
            assert not any(each["blocked"] or each["blocked_by"] for each in state["connections"].values())


class TestNotDisclosed:
    async def test_the_blocked_one_s_devices_are_told_nothing(self, strict):
        alice, mallory = await strict.people("alice", "mallory")
        room = await alice.direct_room(mallory)
        async with mallory.phone.socket() as socket, alice.phone.socket() as hers:
            await socket.entry("room")
            await change(alice.phone, "block", mallory)
            sent = await mallory.sends(room, b"hello?")
            assert (await socket.messages(1))[0]["id"] == sent["id"]
            await change(alice.phone, "unblock", mallory)
            last = await alice.sends(room, b"here I am")
            assert [each["id"] for each in await socket.messages(2)] == [sent["id"], last["id"]]
            assert [each["id"] for each in await hers.messages(1)] == [last["id"]]
            assert {entry["kind"] for entry in socket.entries} == {"room", "message"}
        assert (await whole(mallory.phone))["version"] == 0

    async def test_asking_looks_asked_and_the_blocker_hears_nothing(self, strict):
        alice, mallory = await strict.people("alice", "mallory")
        await change(alice.phone, "block", mallory)
        asked = await change(mallory.phone, "add", alice)
        assert asked["connection"]["state"] == "requested"
        assert (await whole(alice.phone))["version"] == 1
        assert await stands(alice.phone, mallory) == ("none", True, False)
        await mallory.phone.gets(f"users/{alice.username}")

    async def test_a_contact_stays_one_on_both_sides(self, strict):
        alice, mallory = await strict.people("alice", "mallory")
        await change(alice.phone, "add", mallory)
        await change(mallory.phone, "accept", alice)
        await change(alice.phone, "block", mallory)
        assert await stands(mallory.phone, alice) == ("contact", False, False)
        assert await stands(alice.phone, mallory) == ("contact", True, False)

    async def test_a_room_can_be_opened_and_the_blocker_does_not_see_it(self, strict):
        alice, mallory = await strict.people("alice", "mallory")
        await change(alice.phone, "block", mallory)
        async with alice.phone.socket() as hers, mallory.phone.socket() as his:
            room = await mallory.direct_room(alice)
            await mallory.sends(room, b"hello?")
            await his.messages(1)
            await his.entry("room", room=room, change="created")
            assert await rooms_of(mallory) == {room}
            assert await rooms_of(alice) == set()
            await change(alice.phone, "unblock", mallory)
            await told(hers, 2)
            assert [entry["kind"] for entry in hers.entries] == ["connection", "connection"]
        assert await rooms_of(alice) == {room}

    async def test_the_blocker_opens_no_room_and_adds_nobody(self, strict):
        alice, mallory, carol = await strict.people("alice", "mallory", "carol")
        await change(alice.phone, "block", mallory)
        refused = await opens(alice, mallory)
        assert (refused.status_code, refused.json()["by"]) == (403, "you")
        for who, peer, code in [(alice, mallory, "blocked"), (mallory, alice, "not_reachable")]:
            form = {"kind": "group", "members": [carol.id, peer.id]}
            assert (await who.phone.posts("rooms", form, status=403))["code"] == code


@pytest.mark.parametrize("action", ["block", "unblock"])
async def test_another_s_devices_see_nothing_of_it(cast, action):
    alice, mallory, carol = await cast.people("alice", "mallory", "carol")
    circle = await cast.group(carol, alice, mallory)
    async with carol.phone.socket() as socket:
        await change(alice.phone, "block", mallory)
        await change(alice.phone, action, mallory)
        await mallory.sends(circle, b"hello")
        await socket.messages(1)
        assert changes_told(socket) == []
    assert await synced(carol.phone) == 0
