"""Reading a mailbox: all of it on a new device, only what is missing on another, one room backwards."""

import asyncio
import json

import httpx
import pytest

from tests.cast import unb64


async def has(device, count, patience_s=10):
    """Wait until the mailbox has this many entries."""
    async with asyncio.timeout(patience_s):
        while (await device.gets("mailbox", after=2**62))["last_seq"] < count:
            await asyncio.sleep(0.02)


def bodies(page):
    return [unb64(entry["ciphertext"]).decode() for entry in page["entries"] if entry["kind"] == "message"]


async def talk(cast, lines=5):
    """Alice and Bob with a direct room and a dialogue; whoever speaks first is Alice. One entry tells of the room."""
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    said = []
    for number in range(lines):
        speaker = (alice, bob)[number % 2]
        said.append(f"{speaker.name} {number}")
        await speaker.sends(room, said[-1].encode())
    await has(alice.phone, lines + 1)
    await has(bob.phone, lines + 1)
    return alice, bob, room, said


class TestTheWholeHistory:
    async def test_a_new_device_reads_everything_in_pages_and_in_order(self, cast):
        alice, _, room, said = await talk(cast, 7)
        laptop = await alice.new_device()

        entries, after = [], 0
        while after is not None:
            page = await laptop.gets("mailbox", after=after, limit=3)
            entries += page["entries"]
            after = page["next"]

        assert [entry["seq"] for entry in entries] == list(range(1, 9))
        assert page["last_seq"] == 8
        assert sorted(bodies({"entries": entries})) == sorted(said)
        mine = [unb64(e["ciphertext"]).decode() for e in entries if e["kind"] == "message" and e["sender"] == alice.id]
        assert mine == [line for line in said if line.startswith("alice")]

    async def test_an_entry_is_the_same_as_on_the_socket(self, cast):
        alice, bob, room, _ = await talk(cast, 3)
        laptop = await bob.new_device()

        async with laptop.socket(acks=False) as socket:
            pushed = [await socket.seq(number) for number in range(1, 5)]
        page = await laptop.gets("mailbox")

        for entry in page["entries"]:
            for flag in {"delivered", "read"} & entry.keys():
                entry[flag] = False
        assert page["entries"] == pushed

    async def test_sent_and_received_are_apart(self, cast):
        alice, bob, _, said = await talk(cast, 6)

        sent = await alice.phone.gets("mailbox", direction="sent")
        received = await alice.phone.gets("mailbox", direction="received")

        assert bodies(sent) == said[0::2]
        assert bodies(received) == said[1::2]
        assert {entry["sender"] for entry in received["entries"]} == {bob.id}
        assert sent["next"] is received["next"] is None

    async def test_one_direction_comes_in_pages_too(self, cast):
        alice, _, _, said = await talk(cast, 9)

        found, after = [], 0
        while after is not None:
            page = await alice.phone.gets("mailbox", direction="sent", limit=2, after=after)
            assert len(page["entries"]) <= 2
            found += bodies(page)
            after = page["next"]

        assert found == said[0::2]


class TestLargeBodies:
    async def test_a_page_ends_early_rather_than_grow(self, cast):
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        batch = [alice.phone.message(room, bytes(32_768)) for _ in range(100)]
        await alice.phone.posts("messages", {"messages": batch})
        await has(bob.phone, 101)

        for path, begin in (
            ("mailbox", "after"),
            (f"rooms/{room}/messages", "before"),
            ("mailbox?direction=received", "after"),
        ):
            found, place, pages = [], {}, 0
            while True:
                answer = await bob.phone.http.get(
                    path, params=[*httpx.URL(path).params.multi_items(), ("limit", 500), *place.items()]
                )
                assert len(answer.content) < 3_000_000
                page = answer.json()
                found += [entry["id"] for entry in page["entries"] if entry["kind"] == "message"]
                pages += 1
                if page["next"] is None:
                    break
                place = {begin: page["next"]}
            assert pages == 2
            assert sorted(found) == sorted(message["id"] for message in batch)
            assert found == [message["id"] for message in (batch if begin == "after" else reversed(batch))]


class TestUndelivered:
    async def test_a_device_gets_what_it_has_not_acknowledged(self, cast):
        _, bob, room, said = await talk(cast, 4)

        first = await bob.phone.gets("mailbox/undelivered", limit=2)
        acknowledged = await bob.phone.posts("mailbox/ack", {"seq": 2})
        rest = await bob.phone.gets("mailbox/undelivered")
        await bob.phone.posts("mailbox/ack", {"seq": 5})
        nothing = await bob.phone.gets("mailbox/undelivered")

        assert [entry["seq"] for entry in first["entries"]] == [1, 2]
        assert (first["acknowledged"], first["next"]) == (0, 2)
        assert acknowledged == {"acknowledged": 2}
        assert [entry["seq"] for entry in rest["entries"]] == [3, 4, 5]
        assert (rest["acknowledged"], rest["next"]) == (2, None)
        assert nothing == {"entries": [], "last_seq": 5, "next": None, "acknowledged": 5}

    async def test_each_device_has_a_cursor_of_its_own(self, cast):
        _, bob, _, _ = await talk(cast, 2)
        laptop = await bob.new_device()

        await bob.phone.posts("mailbox/ack", {"seq": 3})

        assert (await bob.phone.gets("mailbox/undelivered"))["entries"] == []
        assert len((await laptop.gets("mailbox/undelivered"))["entries"]) == 3

    async def test_an_acknowledgement_never_goes_back_nor_beyond(self, cast):
        _, bob, _, _ = await talk(cast, 2)

        await bob.phone.posts("mailbox/ack", {"seq": 3})
        back = await bob.phone.posts("mailbox/ack", {"seq": 1})
        beyond = await bob.phone.http.post("mailbox/ack", json={"seq": 4})

        assert back == {"acknowledged": 3}
        assert (beyond.status_code, beyond.json()["code"]) == (422, "ack_beyond_sent")

    async def test_the_socket_goes_on_where_rest_acknowledged(self, cast):
        _, bob, _, _ = await talk(cast, 4)
        await bob.phone.posts("mailbox/ack", {"seq": 3})

        async with bob.phone.socket() as socket:
            await socket.seq(5)

        assert socket.welcome["acknowledged"] == 3
        assert [entry["seq"] for entry in socket.entries] == [4, 5]


class TestARoom:
    async def test_it_is_read_backwards_in_pages(self, cast):
        alice, bob, room, said = await talk(cast, 5)
        carol = await cast.person("carol")
        await alice.sends(await alice.direct_room(carol), b"aside")
        await has(alice.phone, 8)

        found, before = [], None
        while True:
            page = await bob.phone.gets(f"rooms/{room}/messages", limit=2, **({"before": before} if before else {}))
            found += page["entries"]
            if (before := page["next"]) is None:
                break

        assert [entry["seq"] for entry in found] == [6, 5, 4, 3, 2, 1]
        assert sorted(bodies({"entries": found})) == sorted(said)
        assert found[-1]["kind"] == "room"

    async def test_who_was_put_out_keeps_what_came_before_and_sees_nothing_after(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        room = await cast.group(alice, bob, carol)
        await alice.sends(room, b"before")
        await has(carol.phone, 2)
        assert (await alice.phone.http.delete(f"rooms/{room}/members/{carol.id}")).status_code == 204
        await alice.sends(room, b"after")
        await has(bob.phone, 4)

        page = await carol.phone.gets(f"rooms/{room}/messages")

        assert [entry.get("change") for entry in page["entries"]] == ["removed", None, "created"]
        assert bodies(page) == ["before"]
        assert (await carol.phone.http.get(f"rooms/{room}")).status_code == 404

    async def test_a_newcomer_sees_nothing_of_before(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        room = await cast.group(alice, bob)
        await alice.sends(room, b"before")
        await alice.phone.posts(f"rooms/{room}/members", {"users": [carol.id]})
        sent = await alice.sends(room, b"after")
        await has(carol.phone, 2)

        page = await carol.phone.gets(f"rooms/{room}/messages")

        assert bodies(page) == ["after"]
        assert [entry.get("change") for entry in page["entries"]] == [None, "added"]
        assert (await carol.phone.http.get(f"messages/{sent['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("mailbox?limit=0", "limit"),
        ("mailbox?limit=501", "limit"),
        ("mailbox?limit=ten", "limit"),
        ("mailbox?limit=%D9%A3", "limit"),
        ("mailbox?limit=", "limit"),
        ("mailbox?after=-1", "after"),
        ("mailbox?after=9223372036854775808", "after"),
        ("mailbox?after=" + "9" * 5000, "after"),
        ("mailbox?after=1%00", "after"),
        ("mailbox?direction=up", "direction"),
        ("mailbox?since=1", "since"),
        ("mailbox/undelivered?after=1", "after"),
        ("rooms?limit=201", "limit"),
        ("rooms?after=x", "after"),
    ],
)
async def test_a_query_that_is_wrong_is_400_and_the_field_is_named(cast, path, field):
    alice = await cast.person("alice")

    answer = await alice.phone.http.get(path)

    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "form",
    [
        '{"seq": true}',
        '{"seq": 1.0}',
        '{"seq": -1}',
        '{"seq": 9223372036854775808}',
        '{"seq": "1"}',
        "{}",
        "[1]",
        "null",
    ],
)
@pytest.mark.parametrize("path", ["mailbox/ack", "rooms/019ab0c4-7d3e-7aaa-8bbb-0123456789ab/read"])
async def test_a_number_that_is_none_is_400(cast, path, form):
    alice = await cast.person("alice")

    answer = await alice.phone.http.post(path, content=form, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert json.loads(form) in ([1], None) or answer.json()["field"] == "seq"
