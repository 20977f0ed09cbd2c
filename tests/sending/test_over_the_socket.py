"""Sending over the socket: the same rules and codes as REST, and order within the socket."""

import asyncio

from kernel.limits import BODY_BYTES, POST_MESSAGES
from tests.cast import new_id


async def test_a_send_is_accepted_and_comes_back_as_an_entry(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with alice.phone.socket() as mine, bob.phone.socket() as his:
        draft = alice.phone.message(room, b"hello")
        (answer,) = await mine.sends(draft)

        assert answer.pop("accepted_at") > 0
        assert answer == {
            "id": draft["id"], "room": room, "sender": alice.id, "recipient": bob.id, "delivered": False, "read": False,
        }  # fmt: skip
        for socket in (mine, his):
            (entry,) = await socket.messages(1)
            assert entry | draft == entry


async def test_a_stream_of_sends_arrives_in_order_on_every_device(cast):
    alice, bob = await cast.people("alice", "bob")
    laptop = await bob.new_device()
    room = await alice.direct_room(bob)
    async with alice.phone.socket() as mine, bob.phone.socket() as his, laptop.socket() as other:
        ids = []
        for _ in range(60):
            drafts = [alice.phone.message(room, b"hello") for _ in range(5)]
            ids += [draft["id"] for draft in drafts]
            await mine.send("send", messages=drafts)
        answered = 0
        while answered < 300:
            answered += len((await mine.expect("accepted"))["messages"])
        for socket in (mine, his, other):
            found = await socket.messages(300)
            assert [entry["id"] for entry in found] == ids
            seqs = [entry["seq"] for entry in socket.entries]
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert his.entries == other.entries


async def test_each_refusal_names_the_message_and_repeats_the_ref(cast):
    alice, bob, mallory = await cast.people("alice", "bob", "mallory")
    room, strange = await alice.direct_room(bob), await bob.direct_room(mallory)
    good = alice.phone.message(room, b"hello")
    bad = {
        "not_found": alice.phone.message(strange, b"hello"),
        "unknown_field": alice.phone.message(room, b"hello", text="hello"),
        "too_large": alice.phone.message(room, b"x" * (BODY_BYTES + 1)),
        "epoch_stale": alice.phone.message(room, b"hello", epoch=3),
        "invalid": alice.phone.message(room, b"hello", recipient=alice.id),
    }
    async with alice.phone.socket() as socket:
        await socket.send("send", ref="17", messages=[*bad.values(), good])
        problems = {}
        for _ in bad:
            frame = await socket.expect("error")
            assert frame["ref"] == "17"
            problems[frame["problem"]["code"]] = frame["problem"]["id"]
        accepted = await socket.expect("accepted")

        assert problems == {code: draft["id"] for code, draft in bad.items()}
        assert [message["id"] for message in accepted["messages"]] == [good["id"]]
        await socket.send("ping", ref="still here")
        assert await socket.expect("pong") == {"type": "pong", "ref": "still here"}


async def test_what_was_accepted_by_rest_is_answered_alike_on_the_socket(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    draft = alice.phone.message(room, b"hello")
    first = await alice.phone.posts("messages", draft)
    async with alice.phone.socket() as socket:
        assert await socket.sends(draft) == [first]


async def test_a_frame_takes_a_hundred_messages_and_not_one_more(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with alice.phone.socket() as socket:
        drafts = [alice.phone.message(room, b"hello") for _ in range(POST_MESSAGES + 1)]
        await socket.sends(*drafts[:-1])
        await socket.send("send", ref="many", messages=drafts)
        frame = await socket.expect("error")

        assert (frame["ref"], frame["problem"]["code"], frame["problem"]["field"]) == ("many", "invalid", "messages")


async def test_a_crowd_sends_at_once_and_everybody_sees_the_same(cast, system):
    """Five people with two devices each, on both web processes, all sending in one room."""
    people = await cast.people("alice", "bob", "carol", "dave", "eve")
    devices = [device for who in people for device in (who.phone, await who.new_device())]
    room = await cast.group(*people)
    each, frames = 24, 6
    ids = {}

    async def speaks(device, socket):
        drafts = [device.message(room, b"hello") for _ in range(each)]
        ids[device.id] = [draft["id"] for draft in drafts]
        for start in range(0, each, each // frames):
            await socket.sends(*drafts[start : start + each // frames])

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:

        async def lives(number, device):
            async with device.socket(url=system.urls[number % 2]) as socket:
                await asyncio.gather(speaks(device, socket), socket.messages(each * len(devices), patience_s=30))
                seen[device.id] = [(entry["seq"], entry.get("id")) for entry in socket.entries]

        seen = {}
        for number, device in enumerate(devices):
            group.create_task(lives(number, device))

    for who in people:
        assert seen[who.devices[0].id] == seen[who.devices[1].id]
    for device in devices:
        entries = seen[device.id]
        assert [seq for seq, _ in entries] == list(range(1, len(entries) + 1))
        got = [id for _, id in entries if id is not None]
        assert len(got) == len(set(got)) == each * len(devices)
        for theirs in ids.values():
            own = set(theirs)
            assert [id for id in got if id in own] == theirs


async def test_nothing_can_be_sent_before_hello(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with alice.phone.opened() as socket:
        await socket.send("send", messages=[alice.phone.message(room, b"hello", id=new_id())])
        assert await socket.closed() == 4400
