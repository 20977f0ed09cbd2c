"""Who may reach somebody: settings, and the request box in which strangers wait."""

import pytest

from tests.connections.address_book import change, query, stands, told, whole


async def sets(who, **settings):
    answer = await who.phone.http.patch("connections/settings", json=settings)
    assert answer.status_code == 200, answer.text


async def befriend(one, other):
    await change(one.phone, "add", other)
    await change(other.phone, "accept", one)


async def test_only_contacts_open_a_room_where_the_user_wants_it_so(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    await sets(alice, who_may_open="contacts")
    await befriend(alice, bob)
    await change(mallory.phone, "add", alice)
    form = {"kind": "direct", "peer": alice.id}

    assert (await mallory.phone.posts("rooms", form, status=403))["code"] == "not_reachable"
    await bob.phone.posts("rooms", form, status=201)
    # The user's own choice binds others only.
    await alice.phone.posts("rooms", {"kind": "direct", "peer": mallory.id}, status=201)
    await mallory.phone.posts("rooms", form)


async def test_only_contacts_add_to_a_group_where_the_user_wants_it_so(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    await sets(alice, who_may_add="contacts")
    await befriend(alice, bob)

    form = {"kind": "group", "members": [bob.id, alice.id]}
    assert (await mallory.phone.posts("rooms", form, status=403))["code"] == "not_reachable"
    group = await cast.group(mallory, bob)
    assert (await mallory.phone.posts(f"rooms/{group}/members", {"users": [alice.id]}, status=403))["field"] == "users"
    await bob.phone.posts("rooms", {"kind": "group", "members": [alice.id]}, status=201)


class TestRequestBox:
    async def waiting(self, cast):
        """Bob, a stranger, has opened a room with Alice and written two messages."""
        alice, bob = await cast.people("alice", "bob")
        await sets(alice, strangers="requests")
        tablet = await alice.new_device("tablet")
        room = await bob.direct_room(alice)
        sent = [await bob.sends(room, body) for body in (b"one", b"two")]
        async with bob.phone.socket() as socket:
            assert len(await socket.messages(2)) == 2
        return alice, tablet, bob, room, [each["id"] for each in sent]

    async def test_a_stranger_s_messages_wait_and_come_in_order_when_accepted(self, cast):
        alice, tablet, bob, room, ids = await self.waiting(cast)
        assert await stands(alice.phone, bob) == ("incoming", False, False)
        assert await stands(bob.phone, alice) == ("requested", False, False)
        async with alice.phone.socket() as a1, tablet.socket() as a2:
            assert [entry["kind"] for entry in a1.entries] == ["connection", "connection"]
            await change(tablet, "accept", bob)
            third = await bob.sends(room, b"three")
            for socket in (a1, a2):
                assert [each["id"] for each in await socket.messages(3)] == [*ids, third["id"]]
                kinds = [entry["kind"] for entry in socket.entries]
                # The room first, then what was said in it. The answer to the request may come before or behind.
                assert [kind for kind in kinds if kind != "connection"] == ["room", "message", "message", "message"]

    async def test_adding_opens_the_conversation_too(self, cast):
        alice, _, bob, _, ids = await self.waiting(cast)
        async with alice.phone.socket() as socket:
            assert (await change(alice.phone, "add", bob))["connection"]["state"] == "contact"
            assert [each["id"] for each in await socket.messages(2)] == ids

    async def test_what_waits_is_dropped_when_declined_and_what_comes_then_waits_on(self, cast, system):
        alice, _, bob, room, _ = await self.waiting(cast)
        await change(alice.phone, "decline", bob)
        assert await stands(bob.phone, alice) == ("none", False, False)
        later = await bob.sends(room, b"please")
        async with bob.phone.socket() as his, alice.phone.socket() as hers:
            await his.messages(1)
            await change(bob.phone, "add", alice)
            await change(alice.phone, "accept", bob)
            assert [each["id"] for each in await hers.messages(1)] == [later["id"]]
            sent = await bob.sends(room, b"thank you")
            assert [each["id"] for each in await hers.messages(2)][1] == sent["id"]

    async def test_a_block_drops_what_waits(self, cast, system):
        alice, _, bob, room, _ = await self.waiting(cast)
        held = "SELECT count(*) FROM delivery_held WHERE recipient_id = %s"
        assert query(system, held, alice.id) == [(3,)]
        await change(alice.phone, "block", bob)
        assert query(system, held, alice.id) == [(0,)]
        assert await stands(bob.phone, alice) == ("none", False, True)

    async def test_no_receipt_goes_back_before(self, cast):
        alice, _, bob, room, ids = await self.waiting(cast)
        state = await bob.phone.gets(f"messages/{ids[0]}")
        assert state["deliveries"] == [{"user": alice.id, "delivered": False, "read": False}]

    @pytest.mark.parametrize("steps", ["asked", "contact"])
    async def test_whom_one_has_asked_is_no_stranger(self, cast, steps):
        alice, bob = await cast.people("alice", "bob")
        await sets(alice, strangers="requests")
        await change(alice.phone, "add", bob)
        if steps == "contact":
            await change(bob.phone, "accept", alice)
        before = await whole(alice.phone)
        room = await bob.direct_room(alice)
        async with alice.phone.socket() as socket:
            sent = await bob.sends(room, b"hello")
            assert (await socket.messages(1))[0]["id"] == sent["id"]
        assert await whole(alice.phone) == before

    async def test_rooms_that_were_there_are_not_held(self, cast):
        alice, bob = await cast.people("alice", "bob")
        room = await bob.direct_room(alice)
        await sets(alice, strangers="requests")
        await change(bob.phone, "add", alice)
        async with alice.phone.socket() as socket:
            await bob.sends(room, b"hello")
            await socket.messages(1)

    async def test_behind_an_untold_block_a_stranger_looks_like_one_who_waits(self, strict):
        alice, mallory = await strict.people("alice", "mallory")
        await sets(alice, strangers="requests")
        await change(alice.phone, "block", mallory)
        async with alice.phone.socket() as hers:
            room = await mallory.direct_room(alice)
            await mallory.sends(room, b"hello?")
            assert await stands(mallory.phone, alice) == ("requested", False, False)
            assert await stands(alice.phone, mallory) == ("none", True, False)
            await change(alice.phone, "unblock", mallory)
            later = await mallory.sends(room, b"still there?")
            await change(alice.phone, "add", mallory)
            assert (await hers.messages(1))[0]["id"] == later["id"]
            assert (await told(hers, 4))["connection"]["state"] == "contact"
