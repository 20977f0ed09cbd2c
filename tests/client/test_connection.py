"""What the client does when a server, or what is between them, misbehaves (docs/protocol.md §4.3, §4.4)."""

import asyncio
from contextlib import nullcontext

import pytest

from client import Client, Message, MessageFailed, Refused, SendRefused, State
from client.protocol.ids import RoomId
from tests.cast import until
from tests.client.plain import Plain
from tests.client.script import BOB, scripted, signed_in_store

ROOM = RoomId("019ab0c4-0000-7000-8000-000000000001")
ALICE, HERS = "019ab0c4-0000-7000-8000-0000000000aa", "019ab0c4-0000-7000-8000-0000000000d1"
LATE, LATER = "019ab0c4-0000-7000-8000-000000000b01", "019ab0c4-0000-7000-8000-000000000b02"


@pytest.fixture
async def script():
    async with scripted() as script:
        yield script


@pytest.fixture
async def bob(script, tmp_path):
    async with Client(script.url, signed_in_store(tmp_path / "bob.db"), sealer=Plain()) as client:
        client.connect()
        yield client


def hidden(*seqs):
    return [{"seq": seq, "kind": "hidden"} for seq in seqs]


def message(seq, id, sent_at):
    return {
        "seq": seq, "kind": "message", "id": id, "room": ROOM, "sender": ALICE, "device": HERS, "recipient": None,
        "sent_at": sent_at, "accepted_at": 1, "alg": "opaque.v1", "epoch": 0, "ciphertext": "aGk", "delivered": False,
        "read": False,
    }  # fmt: skip


class TestReceiving:
    async def test_a_gap_makes_it_connect_again_and_resume(self, script, bob):
        first = await script.socket()
        await first.welcomes(last_seq=4)
        await first.says("entries", entries=hidden(1, 2, 4))

        second = await script.socket()
        await second.welcomes(acknowledged=0, last_seq=4)
        assert bob.stored == 2
        await second.says("entries", entries=hidden(1, 2, 3, 4))
        assert (await second.hears("ack"))["seq"] == 4
        assert bob.stored == 4

    async def test_an_acknowledgement_means_stored(self, script, bob):
        socket = await script.socket()
        await socket.welcomes(last_seq=300, window=8)
        for seq in range(1, 300, 2):
            await socket.says("entries", entries=hidden(seq, seq + 1))

        acked = 0
        while acked < 300:
            acked = (await socket.hears("ack"))["seq"]
            assert acked <= bob.stored

    async def test_what_a_newer_server_adds_is_kept_or_passed_over(self, script, bob):
        socket = await script.socket()
        await socket.welcomes(last_seq=2)
        await socket.says("weather", sky="blue")
        await socket.says("entries", entries=[{"seq": 1, "kind": "weather", "sky": "blue"}, *hidden(2)])

        assert (await socket.hears("ack"))["seq"] == 2
        assert bob.connects == 1

    @pytest.mark.parametrize("text", ["", "[]", '{"type": "drained"}', '{"type": "entries", "entries": [{"kind": 1}]}'])
    async def test_nonsense_makes_it_connect_again(self, script, bob, text):
        first = await script.socket()
        await first.welcomes()
        await first.says_raw(text)

        second = await script.socket()
        await second.welcomes()
        await second.says("drained", seq=0)
        await bob.caught_up()

    async def test_a_read_position_that_could_not_be_taken_is_told_again(self, script, bob):
        socket = await script.socket()
        await socket.welcomes(last_seq=2)
        await socket.says("drained", seq=0)
        await bob.caught_up()
        bob.read(ROOM, 1)
        first = await socket.hears("read")
        bob.read(ROOM, 2)
        await socket.hears("read")
        await socket.says(
            "error", ref=first["ref"], problem={"code": "unavailable", "status": 503, "retry_after": 0.05}
        )

        again = await socket.hears("read")
        assert (again["room"], again["seq"]) == (ROOM, 2)

    async def test_a_refusal_without_an_answer_is_repeated_on_the_next_connection(self, script, bob):
        first = await script.socket()
        await first.welcomes()
        await first.says("drained", seq=0)
        await first.says("entries", entries=[message(1, LATER, 9), message(2, LATE, 5)])
        refusal = await first.hears("reject")
        assert (refusal["message"], refusal["later"]) == (LATE, LATER)
        await first.hangs_up(1012)

        second = await script.socket()
        await second.welcomes(last_seq=2)
        again = await second.hears("reject")
        assert again == refusal
        await second.says("error", ref=again["ref"], problem={"code": "not_late", "status": 422})

        # The server has judged: it is not claimed a third time.
        await until(lambda: not bob._store.mailbox.refusals())


class TestClosing:
    @pytest.mark.parametrize("code", [4400, 4403])
    async def test_it_stops_where_trying_again_cannot_help(self, script, bob, code):
        socket = await script.socket()
        await socket.hears("hello")
        await socket.hangs_up(code)

        await until(lambda: bob.state is State.STOPPED)
        assert bob.connects == 1

    async def test_whoever_is_suspended_is_told_so_and_stays_signed_in(self, script, bob):
        socket = await script.socket()
        await socket.hears("hello")
        await socket.hangs_up(4403)

        with pytest.raises(Refused) as refusal:
            await bob.caught_up()
        assert refusal.value.code == "suspended"
        assert bob.is_signed_in

        bob.connect()  # somebody has restored the account, perhaps
        await (await script.socket()).welcomes()

    @pytest.mark.parametrize("code", [1012, 4408, 4009, 1011, 1000])
    async def test_it_comes_back_where_it_can(self, script, bob, code):
        socket = await script.socket()
        await socket.hears("hello")
        await socket.hangs_up(code)

        await (await script.socket()).welcomes()

    async def test_it_never_mixes_two_mailboxes(self, script, bob):
        await (await script.socket()).welcomes(user=ALICE)

        await until(lambda: bob.state is State.STOPPED)
        assert bob.stored == 0


class TestLeaving:
    @pytest.mark.parametrize("turns", range(12))
    async def test_who_leaves_while_the_socket_breaks_has_left(self, script, bob, turns):
        socket = await script.socket()
        await socket.welcomes()
        await socket.says("drained", seq=0)
        await bob.caught_up()

        bob.drop()
        for _ in range(turns):  # of the event loop: at every step of the breaking
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await bob.disconnect()

        assert bob.state is State.OFFLINE
        assert bob.connects == 1


class TestSending:
    async def test_what_was_held_back_follows_the_one_that_was_refused(self, script, bob):
        socket = await script.socket()
        await socket.welcomes()
        ids = bob.queue(ROOM, b"1", b"2", b"3")
        first, second, third = (await socket.hears("send"))["messages"]
        await socket.refuses(first, "unavailable", 503)
        await socket.refuses(second, "earlier_send_refused", 503)
        await socket.refuses(third, "earlier_send_refused", 503)

        again = (await socket.hears("send"))["messages"]

        assert [message["id"] for message in again] == ids
        assert again == [first, second, third]
        await socket.accepts(*again)
        await asyncio.gather(*map(bob.accepted, ids))

    async def test_a_frame_that_was_refused_as_a_whole_goes_again(self, script, bob):
        socket = await script.socket()
        await socket.welcomes()
        ids = bob.queue(ROOM, b"1", b"2")
        frame = await socket.hears("send")
        await socket.says(
            "error", ref=frame["ref"], problem={"code": "rate_limited", "status": 429, "retry_after": 0.1}
        )

        again = await socket.hears("send")
        assert [message["id"] for message in again["messages"]] == ids
        assert again["ref"] != frame["ref"]

    async def test_a_lost_answer_is_made_up_for_by_the_entry(self, script, bob):
        first = await script.socket()
        await first.welcomes()
        (id_,) = bob.queue(ROOM, b"hi")
        await first.hears("send")
        await first.hangs_up(1012)

        second = await script.socket()
        await second.welcomes(last_seq=1)
        await second.says("entries", entries=[message(1, id_, 5) | {"sender": BOB, "device": bob.me.device}])

        assert (await bob.accepted(id_)).accepted_at == 1
        await until(lambda: not bob.unsent())

    async def test_a_new_epoch_seals_what_waits_anew_under_the_same_ids(self, script, bob):
        socket = await script.socket()
        await socket.welcomes()
        ids = bob.queue(ROOM, b"1", b"2")
        sent = (await socket.hears("send"))["messages"]
        for refused in sent:
            await socket.refuses(refused, "epoch_stale", 409, epoch=3)

        again = (await socket.hears("send"))["messages"]
        assert [(message["id"], message["epoch"]) for message in again] == [(ids[0], 3), (ids[1], 3)]
        assert {message["epoch"] for message in sent} == {0}

        bob.queue(ROOM, b"3")
        assert (await socket.hears("send"))["messages"][0]["epoch"] == 3

    async def test_its_own_earlier_form_counts_as_accepted(self, script, bob):
        socket = await script.socket()
        await socket.welcomes()
        (id_,) = bob.queue(ROOM, b"1")
        (sent,) = (await socket.hears("send"))["messages"]
        await socket.refuses(sent, "id_conflict", 409, accepted_at=77)

        assert (await bob.accepted(id_)).accepted_at == 77
        assert bob.unsent() == []

    async def test_somebody_elses_id_does_not(self, script, bob):
        news = bob.events()
        socket = await script.socket()
        await socket.welcomes()
        (id_,) = bob.queue(ROOM, b"1")
        (sent,) = (await socket.hears("send"))["messages"]
        await socket.refuses(sent, "id_conflict", 409)

        failed = await anext(event async for event in news if isinstance(event, MessageFailed))
        assert failed.message == id_

    @pytest.mark.parametrize("restarts", [False, True])
    async def test_an_id_that_may_be_stored_is_not_given_up_for_another(self, script, bob, tmp_path, restarts):
        first = await script.socket()
        await first.welcomes()
        (id_,) = bob.queue(ROOM, b"1")
        await first.hears("send")
        await first.hangs_up(1012)
        if restarts:
            await bob.close()

        async with Client(script.url, tmp_path / "bob.db", sealer=Plain()) if restarts else nullcontext(bob) as again:
            news = again.events()
            if restarts:
                again.connect()
            second = await script.socket()
            await second.welcomes()
            (sent,) = (await second.hears("send"))["messages"]
            await second.refuses(sent, "invalid", 400, field="id", server_time=1)

            failed = await anext(event async for event in news if isinstance(event, MessageFailed))
            assert (failed.message, failed.problem.code) == (id_, "invalid")

    async def test_an_id_is_given_up_for_another_once(self, script, bob):
        news = bob.events()
        socket = await script.socket()
        await socket.welcomes()
        (id_,) = bob.queue(ROOM, b"1")
        for _ in range(2):
            (sent,) = (await socket.hears("send"))["messages"]
            await socket.refuses(sent, "invalid", 400, field="id", server_time=1)

        failed = await anext(event async for event in news if isinstance(event, MessageFailed))
        assert failed.message == sent["id"] != id_
        with pytest.raises(SendRefused):
            await bob.accepted(id_)
        assert bob.discard(id_)
        assert bob.failed() == []

    async def test_a_message_as_it_was_composed(self, script, bob):
        socket = await script.socket()
        await socket.welcomes()
        (id_,) = bob.queue(ROOM, b"hi")
        (sent,) = (await socket.hears("send"))["messages"]

        assert sent == {
            "id": id_, "room": ROOM, "sender": BOB, "sent_at": sent["sent_at"], "alg": "opaque.v1", "epoch": 0,
            "ciphertext": "aGk", "delivered": False, "read": False,
        }  # fmt: skip


async def test_a_body_that_cannot_be_opened_is_shown_as_such(script, bob):
    socket = await script.socket()
    await socket.welcomes(last_seq=1)
    await socket.says("entries", entries=[message(1, LATER, 5) | {"alg": "other.v1"}])
    await socket.hears("ack")

    (shown,) = bob.mailbox()
    assert isinstance(shown, Message)
    assert shown.body is None
