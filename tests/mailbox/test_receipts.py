"""Delivered and read: false at first, true when it is so, known to those whom it concerns."""

import asyncio


async def mailbox_reaches(device, count):
    async with asyncio.timeout(10):
        while (await device.gets("mailbox"))["last_seq"] < count:
            await asyncio.sleep(0.02)


async def flags(device, message):
    found = await device.gets(f"messages/{message}")
    return found["delivered"], found["read"]


async def shown(device):
    """The flags of all messages in the device's history, in order."""
    page = await device.gets("mailbox", limit=500)
    return [(entry["delivered"], entry["read"]) for entry in page["entries"] if entry["kind"] == "message"]


class TestInADirectRoom:
    async def test_a_message_is_delivered_when_a_device_has_it_and_read_when_the_user_has(self, cast):
        alice, bob = await cast.people("alice", "bob")
        await bob.new_device()
        room = await alice.direct_room(bob)
        sent = await alice.sends(room, b"hello")
        await mailbox_reaches(bob.phone, 2)
        await mailbox_reaches(alice.phone, 2)

        at_first = await flags(alice.phone, sent["id"]), await flags(bob.phone, sent["id"])
        await bob.phone.posts("mailbox/ack", {"seq": 2})
        delivered = await flags(alice.phone, sent["id"]), await flags(bob.phone, sent["id"])
        await bob.phone.posts(f"rooms/{room}/read", {"seq": 2})
        read = await flags(alice.phone, sent["id"]), await flags(bob.phone, sent["id"])

        assert (sent["delivered"], sent["read"]) == (False, False)
        assert at_first == ((False, False), (False, False))
        assert delivered == ((True, False), (True, False))
        assert read == ((True, True), (True, True))
        assert await shown(alice.phone) == await shown(bob.phone) == [(True, True)]

    async def test_only_the_sender_sees_who_has_it(self, cast):
        alice, bob, mallory = await cast.people("alice", "bob", "mallory")
        sent = await alice.sends(await alice.direct_room(bob), b"hello")
        await mailbox_reaches(bob.phone, 2)
        await mailbox_reaches(alice.phone, 2)

        to_alice = await alice.phone.gets(f"messages/{sent['id']}")
        to_bob = await bob.phone.gets(f"messages/{sent['id']}")
        to_mallory = await mallory.phone.http.get(f"messages/{sent['id']}")

        assert to_alice["deliveries"] == [{"user": bob.id, "delivered": False, "read": False}]
        assert "deliveries" not in to_bob
        assert to_bob["sender"] == alice.id
        assert to_mallory.status_code == 404

    async def test_a_revoked_device_had_what_it_had(self, cast):
        alice, bob = await cast.people("alice", "bob")
        laptop = await bob.new_device()
        sent = await alice.sends(await alice.direct_room(bob), b"hello")
        await mailbox_reaches(laptop, 2)
        await mailbox_reaches(alice.phone, 2)
        await laptop.posts("mailbox/ack", {"seq": 2})
        assert (await bob.phone.http.delete(f"devices/{laptop.id}")).status_code == 204

        assert await flags(alice.phone, sent["id"]) == (True, False)


class TestInAGroup:
    async def test_a_message_is_delivered_when_all_others_have_it(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        room = await cast.group(alice, bob, carol)
        sent = [await alice.sends(room, b"%d" % number) for number in range(4)]
        for person in (alice, bob, carol):
            await mailbox_reaches(person.phone, 5)

        await bob.phone.posts("mailbox/ack", {"seq": 5})
        await carol.phone.posts("mailbox/ack", {"seq": 3})
        await carol.phone.posts(f"rooms/{room}/read", {"seq": 2})
        await bob.phone.posts(f"rooms/{room}/read", {"seq": 5})

        assert await shown(alice.phone) == [(True, True), (True, False), (False, False), (False, False)]
        first, third = [await alice.phone.gets(f"messages/{sent[number]['id']}") for number in (0, 2)]
        by_user = {delivery.pop("user"): delivery for delivery in third["deliveries"]}
        assert by_user == {
            bob.id: {"delivered": True, "read": True},
            carol.id: {"delivered": False, "read": False},
        }
        assert (first["delivered"], first["read"], third["delivered"]) == (True, True, False)

    async def test_who_came_later_is_not_waited_for(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        room = await cast.group(alice, bob)
        before = await alice.sends(room, b"before")
        await alice.phone.posts(f"rooms/{room}/members", {"users": [carol.id]})
        after = await alice.sends(room, b"after")
        await mailbox_reaches(bob.phone, 4)
        await mailbox_reaches(alice.phone, 4)

        await bob.phone.posts("mailbox/ack", {"seq": 4})

        assert await shown(alice.phone) == [(True, False), (False, False)]
        states = [await alice.phone.gets(f"messages/{sent['id']}") for sent in (before, after)]
        assert [{delivery["user"] for delivery in state["deliveries"]} for state in states] == [
            {bob.id},
            {bob.id, carol.id},
        ]


class TestLive:
    async def test_the_sender_learns_at_once_on_all_devices(self, cast):
        alice, bob = await cast.people("alice", "bob")
        desk = await alice.new_device()
        room = await alice.direct_room(bob)
        for number in range(3):
            sent = await alice.sends(room, b"%d" % number)
        await mailbox_reaches(bob.phone, 4)

        async with alice.phone.socket() as on_phone, desk.socket() as on_desk:
            await bob.phone.posts("mailbox/ack", {"seq": 4})
            delivered = [await socket.expect("receipts", patience_s=2) for socket in (on_phone, on_desk)]
            await bob.phone.posts(f"rooms/{room}/read", {"seq": 4})
            read = [await socket.expect("receipts", patience_s=2) for socket in (on_phone, on_desk)]

        named = {"room": room, "user": bob.id, "device": alice.phone.id}
        assert [frame["receipts"] for frame in delivered] == [[{**named, "delivered": sent["id"]}]] * 2
        assert [frame["receipts"] for frame in read] == [[{**named, "read": sent["id"]}]] * 2

    async def test_what_one_device_has_read_is_read_on_the_others(self, cast):
        alice, bob = await cast.people("alice", "bob")
        laptop = await bob.new_device()
        room = await alice.direct_room(bob)
        await alice.sends(room, b"hello")

        async with bob.phone.socket() as phone, laptop.socket() as on_laptop:
            await phone.messages(1)
            await bob.phone.posts(f"rooms/{room}/read", {"seq": 2})
            told = await on_laptop.expect("read", patience_s=2)
            await bob.phone.posts(f"rooms/{room}/read", {"seq": 1})
            await phone.send("ping")
            await phone.expect("pong")

        assert (told["room"], told["seq"]) == (room, 2)
        assert [frame for frame in phone.frames if frame["type"] == "read"] == []

    async def test_the_socket_acknowledges_and_reads_too(self, cast):
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)

        async with alice.phone.socket() as on_alice, bob.phone.socket() as on_bob:
            sent = await alice.sends(room, b"hello")
            (entry,) = await on_bob.messages(1)
            delivered = await on_alice.expect("receipts", patience_s=2)
            await on_bob.send("read", room=room, seq=entry["seq"])
            read = await on_alice.expect("receipts", patience_s=2)

        assert delivered["receipts"][0]["delivered"] == read["receipts"][0]["read"] == sent["id"]
        assert await flags(alice.phone, sent["id"]) == (True, True)


class TestPrivateReading:
    async def test_with_receipts_off_nobody_learns_what_is_read(self, cast):
        alice, bob = await cast.people("alice", "bob")
        assert (await bob.phone.http.patch("account", json={"read_receipts": False})).status_code == 200
        room = await alice.direct_room(bob)
        sent = await alice.sends(room, b"hello")
        await mailbox_reaches(bob.phone, 2)
        await mailbox_reaches(alice.phone, 2)

        async with alice.phone.socket() as on_alice:
            await bob.phone.posts("mailbox/ack", {"seq": 2})
            await bob.phone.posts(f"rooms/{room}/read", {"seq": 2})
            receipt = await on_alice.expect("receipts", patience_s=2)
            await on_alice.send("ping")
            await on_alice.expect("pong")

        assert "read" not in receipt["receipts"][0]
        assert [frame for frame in on_alice.frames if frame["type"] == "receipts"] == []
        assert await flags(alice.phone, sent["id"]) == (True, False)
        assert await flags(bob.phone, sent["id"]) == (True, True)

        # Switched on again, what was read in private stays so until something later is read.
        assert (await bob.phone.http.patch("account", json={"read_receipts": True})).status_code == 200
        assert await flags(alice.phone, sent["id"]) == (True, False)


class TestTheQuery:
    async def test_it_names_the_newest_of_each_of_my_devices_per_member(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        desk = await alice.new_device()
        room = await cast.group(alice, bob, carol)
        by_phone = [(await alice.phone.sends(room, b"phone %d" % number))["id"] for number in range(3)]
        await mailbox_reaches(bob.phone, 4)
        await mailbox_reaches(carol.phone, 4)
        by_desk = (await desk.sends(room, b"desk"))["id"]
        await bob.sends(room, b"bob's")
        for person in (alice, bob, carol):
            await mailbox_reaches(person.phone, 6)

        await bob.phone.posts("mailbox/ack", {"seq": 6})
        await bob.phone.posts(f"rooms/{room}/read", {"seq": 3})
        await carol.phone.posts("mailbox/ack", {"seq": 3})

        answer = await alice.phone.gets(f"rooms/{room}/receipts")
        assert sorted(answer["receipts"], key=str) == sorted(
            [
                {"user": bob.id, "device": alice.phone.id, "delivered": by_phone[2], "read": by_phone[1]},
                {"user": bob.id, "device": desk.id, "delivered": by_desk, "read": None},
                {"user": carol.id, "device": alice.phone.id, "delivered": by_phone[1], "read": None},
            ],
            key=str,
        )

    async def test_it_reaches_far_behind(self, cast):
        """Bob has been away for more messages than the query looks at on Alice's side."""
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        ids = []
        for start in range(0, 300, 100):
            batch = [alice.phone.message(room, b"%d" % (start + number)) for number in range(100)]
            await alice.phone.posts("messages", {"messages": batch})
            ids += [message["id"] for message in batch]
        await mailbox_reaches(bob.phone, 301)
        await mailbox_reaches(alice.phone, 301)

        await bob.phone.posts("mailbox/ack", {"seq": 11})

        assert (await alice.phone.gets(f"rooms/{room}/receipts"))["receipts"] == [
            {"user": bob.id, "device": alice.phone.id, "delivered": ids[9], "read": None}
        ]
        assert [delivered for delivered, _ in await shown(alice.phone)] == [True] * 10 + [False] * 290


class TestReading:
    async def test_it_never_goes_back_nor_beyond(self, cast):
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        await alice.sends(room, b"hello")
        await mailbox_reaches(bob.phone, 2)

        forward = await bob.phone.posts(f"rooms/{room}/read", {"seq": 2})
        back = await bob.phone.posts(f"rooms/{room}/read", {"seq": 1})
        beyond = await bob.phone.http.post(f"rooms/{room}/read", json={"seq": 3})

        assert forward == back == {"room": room, "seq": 2}
        assert (beyond.status_code, beyond.json()["code"]) == (422, "ack_beyond_sent")
