"""Refusing late messages: the server believes only what the mailbox proves, and tells both sides once."""

import asyncio


async def late_pair(cast, *people):
    """A message of Alice's phone that was stamped before the one that stands before it in all mailboxes."""
    alice, *others = people
    room = await alice.direct_room(others[0]) if len(others) == 1 else await cast.group(alice, *others)
    later = await alice.sends(room, b"later")
    late = await alice.sends(room, b"late", sent_at=1_000_000)
    return room, later["id"], late["id"]


async def rejections(device):
    page = await device.gets("mailbox", limit=500)
    return [entry for entry in page["entries"] if entry["kind"] == "rejection"]


async def mailbox_reaches(device, count):
    async with asyncio.timeout(10):
        while (await device.gets("mailbox"))["last_seq"] < count:
            await asyncio.sleep(0.02)


async def test_a_late_message_is_refused_and_both_sides_learn_it_on_all_devices(cast):
    alice, bob = await cast.people("alice", "bob")
    desk, laptop = await alice.new_device(), await bob.new_device()
    room, later, late = await late_pair(cast, alice, bob)

    async with alice.phone.socket() as on_phone, desk.socket() as on_desk, laptop.socket() as on_laptop:
        await mailbox_reaches(bob.phone, 3)
        answer = await bob.phone.posts(f"messages/{late}/reject", {"later": later})
        entries = [await socket.entry("rejection") for socket in (on_phone, on_desk, on_laptop)]

    assert answer == {"message": late, "reason": "late"}
    for entry in entries:
        assert {**entry, "seq": 0} == {
            "seq": 0,
            "kind": "rejection",
            "message": late,
            "room": room,
            "sender": alice.id,
            "device": alice.phone.id,
            "by": bob.id,
            "reason": "late",
            "status": 422,
        }


async def test_it_is_stored_once_however_many_devices_say_it_at_once(cast):
    alice, bob = await cast.people("alice", "bob")
    devices = [bob.phone, await bob.new_device(), await bob.new_device("tablet")]
    room, later, late = await late_pair(cast, alice, bob)
    await mailbox_reaches(bob.phone, 3)

    answers = await asyncio.gather(
        *(device.posts(f"messages/{late}/reject", {"later": later}) for device in devices * 3)
    )
    # What is sent after the rejections arrives after them.
    await alice.sends(room, b"again")
    await mailbox_reaches(bob.phone, 5)
    await mailbox_reaches(alice.phone, 5)

    assert answers == [{"message": late, "reason": "late"}] * 9
    assert len(await rejections(alice.phone)) == len(await rejections(bob.phone)) == 1


async def test_each_recipient_refuses_for_oneself(cast):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    _, later, late = await late_pair(cast, alice, bob, carol)

    for person in (bob, carol):
        await mailbox_reaches(person.phone, 3)
        await person.phone.posts(f"messages/{late}/reject", {"later": later})
    await mailbox_reaches(alice.phone, 5)
    for person in (bob, carol):
        await mailbox_reaches(person.phone, 4)

    assert {entry["by"] for entry in await rejections(alice.phone)} == {bob.id, carol.id}
    assert [entry["by"] for entry in await rejections(bob.phone)] == [bob.id]


async def test_the_socket_refuses_with_the_same_words(cast):
    alice, bob = await cast.people("alice", "bob")
    _, later, late = await late_pair(cast, alice, bob)

    async with bob.phone.socket() as socket:
        await socket.messages(2)
        await socket.send("reject", ref="9", message=late, later=later)
        answer = await socket.expect("rejected", "error")
        await socket.entry("rejection", message=late)

    assert {key: answer.get(key) for key in ("type", "message", "reason")} == {
        "type": "rejected",
        "message": late,
        "reason": "late",
    }


async def test_what_is_not_late_is_not_refused(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    room, later, late = await late_pair(cast, alice, bob)
    desk = await alice.new_device()
    elsewhere = (await alice.sends(await cast.group(alice, bob), b"elsewhere"))["id"]
    of_desk = (await desk.sends(room, b"of another device"))["id"]
    own = (await bob.sends(room, b"own"))["id"]
    await mailbox_reaches(bob.phone, 7)
    nowhere = "019ab0c4-7d3e-7aaa-8bbb-0123456789ab"

    async def refusal(message, proof, who=bob):
        answer = await who.phone.http.post(f"messages/{message}/reject", json={"later": proof})
        return answer.status_code, answer.json()["code"]

    assert await refusal(later, late) == (422, "not_late")  # the other way round
    assert await refusal(late, late) == (422, "not_late")
    assert await refusal(late, elsewhere) == (422, "not_late")  # another room
    assert await refusal(late, of_desk) == (422, "not_late")  # another device
    assert await refusal(late, nowhere) == (422, "not_late")
    assert await refusal(own, later) == (422, "not_late")
    assert await refusal(late, later, who=alice) == (422, "not_late")  # by its sender
    assert await refusal(nowhere, later) == (404, "not_found")
    assert await refusal(late, later, who=mallory) == (404, "not_found")
    assert await rejections(bob.phone) == await rejections(alice.phone) == []


async def test_after_a_rejection_the_sender_sends_again_under_a_new_id(cast):
    alice, bob = await cast.people("alice", "bob")
    room, later, late = await late_pair(cast, alice, bob)

    async with bob.phone.socket() as socket:
        await socket.messages(2)
        await bob.phone.posts(f"messages/{late}/reject", {"later": later})
        again = await alice.sends(room, b"late")
        await socket.messages(3)

    order = [entry.get("id") or entry["kind"] for entry in socket.entries]
    assert order[-2:] == ["rejection", again["id"]]
