"""The socket (docs/protocol.md §4): hello and the ways to be hung up on, resuming, the window, what is live."""

import asyncio
import time

import psycopg2
import pytest
from django.utils import timezone

from accounts.models import User
from delivery.frames import CloseCode
from kernel.limits import FRAME_BYTES, WINDOW
from tests.cast import new_id


async def conversation(cast):
    alice, bob = await cast.people("alice", "bob")
    return alice, bob, await alice.direct_room(bob)


async def posts(device, room, count):
    """Post so many messages; their ids."""
    drafts = [device.message(room, b"hello") for _ in range(count)]
    for start in range(0, count, 100):
        await device.posts("messages", {"messages": drafts[start : start + 100]})
    return [draft["id"] for draft in drafts]


async def written(device, count):
    """Wait until the user's mailbox has so many entries."""
    async with asyncio.timeout(15):
        while (await device.gets("mailbox", limit=1))["last_seq"] < count:
            await asyncio.sleep(0.02)


class TestHello:
    async def test_it_does_not_wait_for_long_for_somebody_elses_lock(self, cast, system):
        (alice,) = await cast.people("alice")
        holder = psycopg2.connect(system.database_url)
        try:
            with holder.cursor() as cursor:
                cursor.execute("SELECT 1 FROM accounts_device WHERE id = %s FOR UPDATE", (alice.phone.id,))
            began = time.monotonic()
            async with alice.phone.opened() as socket:
                await socket.send("hello", token=alice.phone.access, client={"name": "held up", "version": "1"})
                assert await socket.closed() == CloseCode.RESTART
            answer = await alice.phone.http.patch(f"devices/{alice.phone.id}", json={"name": "held up"})
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert time.monotonic() - began < 10
        finally:
            holder.close()
        async with alice.phone.socket():
            pass

    async def test_welcome_says_where_the_device_stands(self, cast, system):
        alice, bob, room = await conversation(cast)
        await posts(alice.phone, room, 3)
        await written(bob.phone, 4)
        await bob.phone.posts("mailbox/ack", {"seq": 2})
        async with bob.phone.socket() as socket:
            host = socket.welcome.pop("host")
            assert host.startswith("web-1")
            assert socket.welcome == {
                "type": "welcome", "user": bob.id, "device": bob.phone.id, "acknowledged": 2, "last_seq": 4, "window": WINDOW,
            }  # fmt: skip

    async def test_what_is_sent_behind_it_without_waiting_is_served_in_order_however_much(self, cast):
        """More than the process reads ahead: the rest waits with the kernel until there is a session."""
        alice, bob, room = await conversation(cast)
        drafts = [alice.phone.message(room, b"x" * 30_000) for _ in range(40)]
        async with alice.phone.opened() as socket, bob.phone.socket() as his:
            await socket.send("hello", token=alice.phone.access, client={"name": "cast", "version": "1"})
            for draft in drafts:
                await socket.send("send", messages=[draft])
            accepted = []
            while len(accepted) < len(drafts):
                accepted += [message["id"] for message in (await socket.expect("accepted"))["messages"]]
            assert accepted == [draft["id"] for draft in drafts]
            assert [entry["id"] for entry in await his.messages(len(drafts))] == accepted

    async def test_anything_else_first_is_malformed(self, cast):
        alice = await cast.person("alice")
        said = [
            "",
            "hello",
            "{}",
            "[]",
            '{"type":"ping"}',
            '{"type":"ack","seq":1}',
            '{"type":"ack","seq":-1}',
            b"\xff\x00",
        ]
        for first in said:
            async with alice.phone.opened() as socket:
                await socket.send_raw(first)
                assert await socket.closed() == CloseCode.MALFORMED, first

    async def test_a_second_hello_is_malformed(self, cast):
        alice = await cast.person("alice")
        async with alice.phone.socket() as socket:
            await socket.send("hello", token=alice.phone.access)
            assert await socket.closed() == CloseCode.MALFORMED

    async def test_a_bad_token_is_refused(self, cast):
        alice = await cast.person("alice")
        for token in ("", "x", "a.b.c", "\x00"):
            async with alice.phone.opened() as socket:
                await socket.send("hello", token=token)
                assert await socket.closed() == CloseCode.UNAUTHENTICATED
                assert (await socket_error(socket))["code"] == "unauthenticated"

    async def test_a_token_in_the_address_is_worth_nothing(self, cast):
        alice = await cast.person("alice")
        async with alice.phone.opened() as socket:
            await socket.send("ping", token=alice.phone.access)
            assert await socket.closed() == CloseCode.MALFORMED

    async def test_a_suspended_account_is_refused(self, cast):
        alice = await cast.person("alice")
        await asyncio.to_thread(lambda: User.objects.filter(id=alice.id).update(suspended_at=timezone.now()))
        async with alice.phone.opened() as socket:
            await socket.send("hello", token=alice.phone.access)
            assert await socket.closed() == CloseCode.FORBIDDEN
            assert (await socket_error(socket))["code"] == "suspended"

    async def test_who_says_nothing_is_hung_up_on_after_five_seconds(self, cast):
        alice = await cast.person("alice")
        began = time.monotonic()
        async with alice.phone.opened() as socket:
            assert await socket.closed() == CloseCode.HELLO_TIMEOUT
        assert 4 < time.monotonic() - began < 8


async def socket_error(socket):
    """The problem of the error frame that came before the close."""
    (frame,) = [frame for frame in socket.frames if frame["type"] == "error"]
    return frame["problem"]


class TestFrames:
    async def test_a_broken_client_is_hung_up_on(self, cast):
        alice = await cast.person("alice")
        for text in ("hello", "[]", '{"type":"entries"}', b"\xff"):
            async with alice.phone.socket() as socket:
                await socket.send_raw(text)
                assert await socket.closed() == CloseCode.MALFORMED, text

    async def test_a_wrong_field_is_answered_and_the_socket_stays(self, cast):
        alice = await cast.person("alice")
        async with alice.phone.socket() as socket:
            await socket.send("ack", ref="1", seq="x")
            await socket.send("typing", ref="2", room=new_id(), text="hello")
            await socket.send("ack", ref="3", seq=10)
            await socket.send("typing", ref="4", room=new_id())
            await socket.send("read", ref="5", room=new_id(), seq=1)
            await socket.send("reject", ref="6", message=new_id(), later=new_id())
            await socket.send("ping", ref="7")
            errors = {}
            for _ in range(6):
                frame = await socket.expect("error")
                errors[frame["ref"]] = (frame["problem"]["code"], frame["problem"].get("field"))

            assert (await socket.expect("pong"))["ref"] == "7"
            assert errors.pop("5") in {
                ("ack_beyond_sent", None),
                ("ack_beyond_sent", "seq"),
                ("not_found", None),
                ("not_found", "room"),
            }
            assert errors == {
                "1": ("invalid", "seq"), "2": ("unknown_field", "text"), "3": ("ack_beyond_sent", None), "4": ("not_found", None),
                "6": ("not_found", "message"),
            }  # fmt: skip

    async def test_the_largest_frame_is_taken_and_a_larger_one_ends_the_socket(self, cast):
        alice = await cast.person("alice")
        async with alice.phone.socket() as socket:
            await socket.send_raw('{"type":"ping"}' + " " * (FRAME_BYTES - 15))
            await socket.expect("pong")
            await socket.send_raw('{"type":"ping"}' + " " * (FRAME_BYTES - 14))
            assert await socket.closed() == CloseCode.MALFORMED


class TestResuming:
    async def test_a_device_that_was_away_gets_exactly_what_it_lacks_and_in_order(self, cast):
        alice, bob, room = await conversation(cast)
        laptop = await bob.new_device()
        async with bob.phone.socket() as socket:
            first = await posts(alice.phone, room, 5)
            await socket.messages(5)
            await written(bob.phone, 6)
            async with asyncio.timeout(5):
                while (await bob.phone.gets("mailbox/undelivered"))["acknowledged"] < 6:
                    await asyncio.sleep(0.02)
        missed = await posts(alice.phone, room, 250)
        await written(bob.phone, 256)

        async with bob.phone.socket() as phone, laptop.socket() as other:
            assert phone.welcome["acknowledged"] == 6
            assert [entry["seq"] for entry in phone.entries] == list(range(7, 257))
            assert [entry["id"] for entry in phone.entries] == missed
            assert [entry["seq"] for entry in other.entries] == list(range(1, 257))
            assert [entry["id"] for entry in other.entries[1:]] == first + missed
            (live,) = await posts(alice.phone, room, 1)
            assert (await phone.seq(257))["id"] == (await other.seq(257))["id"] == live

    async def test_what_was_not_acknowledged_comes_again_with_the_same_number(self, cast):
        alice, bob, room = await conversation(cast)
        await posts(alice.phone, room, 3)
        await written(bob.phone, 4)
        async with bob.phone.socket(acks=False) as socket:
            first = list(socket.entries)
        async with bob.phone.socket(acks=False) as socket:
            assert socket.entries == first
            await socket.send("ack", seq=3)
            await socket.send("ping")
            await socket.expect("pong")
        async with asyncio.timeout(5):
            while (await bob.phone.gets("mailbox/undelivered"))["acknowledged"] < 3:
                await asyncio.sleep(0.02)
        async with bob.phone.socket(acks=False) as socket:
            assert socket.entries == first[3:]

    async def test_drained_is_said_once_and_names_the_last_number(self, cast):
        alice, bob, room = await conversation(cast)
        await posts(alice.phone, room, 3)
        await written(bob.phone, 4)
        async with bob.phone.socket(drained=False) as socket:
            assert await socket.expect("drained") == {"type": "drained", "seq": 4}
            await posts(alice.phone, room, 3)
            await socket.messages(6)
            assert [frame for frame in socket.frames if frame["type"] == "drained"] == []

    async def test_two_sockets_of_one_device_both_get_everything(self, cast):
        alice, bob, room = await conversation(cast)
        async with bob.phone.socket() as one, bob.phone.socket() as other:
            ids = await posts(alice.phone, room, 3)
            for socket in (one, other):
                assert [entry["id"] for entry in await socket.messages(3)] == ids


class TestTheWindow:
    async def test_who_does_not_acknowledge_gets_a_window_and_no_more(self, cast):
        alice, bob, room = await conversation(cast)
        ids = await posts(alice.phone, room, WINDOW + 100)
        await written(bob.phone, WINDOW + 101)
        async with bob.phone.socket(acks=False, drained=False) as socket:
            await socket.seq(WINDOW)
            (more,) = await posts(alice.phone, room, 1)
            await socket.send("ping")
            await socket.expect("pong")
            assert len(socket.entries) == WINDOW
            assert not [frame for frame in socket.frames if frame["type"] == "drained"]

            await socket.send("ack", seq=10)
            await socket.seq(WINDOW + 10)
            await socket.send("ping")
            await socket.expect("pong")
            assert len(socket.entries) == WINDOW + 10
            await socket.send("ack", seq=WINDOW)
            await socket.expect("drained")
            await socket.seq(WINDOW + 102)
            assert [entry["id"] for entry in socket.entries[1:]] == [*ids, more]

    async def test_it_is_counted_in_bytes_too(self, cast):
        alice, bob, room = await conversation(cast)
        drafts = [alice.phone.message(room, b"x" * 32_768) for _ in range(100)]
        await alice.phone.posts("messages", {"messages": drafts})
        await written(bob.phone, 101)
        async with bob.phone.socket(acks=False, drained=False) as socket:
            await socket.seq(20)
            await socket.send("ping")
            await socket.expect("pong")
            held = len(socket.entries)
            assert held < 60
            await socket.send("ack", seq=held)
            socket.acks = True
            await socket.expect("drained")
            assert [entry["id"] for entry in socket.entries[1:]] == [draft["id"] for draft in drafts]


class TestLive:
    async def test_receipts_reach_the_sender_within_a_second(self, cast):
        alice, bob, room = await conversation(cast)
        laptop = await alice.new_device()
        async with alice.phone.socket() as phone, laptop.socket() as other, bob.phone.socket() as his:
            ids = await posts(alice.phone, room, 5)
            await his.messages(5)
            began = time.monotonic()
            wanted = {"room": room, "user": bob.id, "device": alice.phone.id, "delivered": ids[-1]}
            for socket in (phone, other):
                while wanted not in (await socket.expect("receipts"))["receipts"]:
                    pass
            await his.send("read", room=room, seq=his.entries[-1]["seq"])
            wanted = {"room": room, "user": bob.id, "device": alice.phone.id, "read": ids[-1]}
            for socket in (phone, other):
                while wanted not in (await socket.expect("receipts"))["receipts"]:
                    pass
            assert time.monotonic() - began < 2

    async def test_a_device_that_catches_up_tells_nothing_that_was_told(self, cast):
        """What another device of the user has had long since is delivered already."""
        alice, bob, room = await conversation(cast)
        laptop = await bob.new_device()
        async with alice.phone.socket() as mine:
            async with bob.phone.socket() as his:
                ids = await posts(alice.phone, room, 5)
                await his.messages(5)
                while (await mine.expect("receipts"))["receipts"][-1]["delivered"] != ids[-1]:
                    pass
            async with laptop.socket() as other:
                await other.messages(5)
                with pytest.raises(AssertionError, match="no a frame"):
                    await mine.expect("receipts", patience_s=0.8)
                (new,) = await posts(alice.phone, room, 1)
                assert [receipt["delivered"] for receipt in (await mine.expect("receipts"))["receipts"]] == [new]

    async def test_typing_is_passed_on_to_the_others_once_in_a_while(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        mallory = await cast.person("mallory")
        room = await cast.group(alice, bob, carol)
        async with (
            alice.phone.socket() as mine, bob.phone.socket() as his, carol.phone.socket() as hers, mallory.phone.socket() as strange
        ):  # fmt: skip
            for _ in range(5):
                await mine.send("typing", room=room)
            for socket in (his, hers):
                assert await socket.expect("typing") == {"type": "typing", "room": room, "user": alice.id}
            await strange.send("typing", ref="x", room=room)
            assert (await strange.expect("error"))["problem"]["code"] == "not_found"
            for socket in (mine, his, hers, strange):
                await socket.send("ping")
                await socket.expect("pong")
                assert not [frame for frame in socket.frames if frame["type"] == "typing"]

    async def test_reading_on_one_device_is_known_on_the_others(self, cast):
        alice, bob, room = await conversation(cast)
        laptop = await bob.new_device()
        async with bob.phone.socket() as phone, laptop.socket() as other:
            await posts(alice.phone, room, 1)
            for socket in (phone, other):
                await socket.messages(1)
            await phone.send("read", room=room, seq=2)
            assert await other.expect("read") == {"type": "read", "room": room, "seq": 2}
            assert not [frame for frame in phone.frames if frame["type"] == "read"]

    async def test_a_removed_member_hears_of_it_and_of_nothing_after(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        room = await cast.group(alice, bob, carol)
        async with bob.phone.socket() as his, carol.phone.socket() as hers:
            await posts(alice.phone, room, 1)
            response = await alice.phone.http.delete(f"rooms/{room}/members/{bob.id}")
            assert response.status_code == 204
            (after,) = await posts(alice.phone, room, 1)
            await hers.messages(2)
            change = await his.entry("room", change="removed")
            assert change["users"] == [bob.id]
            await posts(alice.phone, await alice.direct_room(bob), 1)
            await his.messages(2)
            assert after not in [entry.get("id") for entry in his.entries]
            assert [entry["kind"] for entry in hers.entries] == ["room", "message", "room", "message"]

    async def test_users_on_different_web_processes_reach_each_other(self, cast, system):
        alice, bob, room = await conversation(cast)
        laptop = await bob.new_device()
        first, second = system.urls
        async with (
            alice.phone.socket(url=first) as mine,
            bob.phone.socket(url=second) as his,
            laptop.socket(url=first) as other,
        ):
            assert mine.welcome["host"] != his.welcome["host"]
            for _ in range(5):
                await mine.sends(alice.phone.message(room, b"hello"))
                await his.sends(bob.phone.message(room, b"hello"))
            found = [await socket.messages(10) for socket in (mine, his, other)]
            assert (
                [entry["id"] for entry in found[0]]
                == [entry["id"] for entry in found[1]]
                == [entry["id"] for entry in found[2]]
            )
            await mine.send("typing", room=room)
            await his.expect("typing")
            await other.expect("typing")
