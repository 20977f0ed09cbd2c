"""Receiving with the Python client: everything once, in order, also after being away, and on a new device."""

import asyncio
import shutil

from client import (
    EntryHidden,
    Message,
    MessageRejected,
    ReadElsewhere,
    ReceiptReceived,
    RoomChanged,
    SomebodyTypes,
    State,
    StateChanged,
)
from client.errors import SignedOut
from tests.cast import comes_true, until
from tests.client.conftest import PASSWORD, bodies, has, live, numbered


async def heard(events, kind, **members):
    """The first event of a kind with these members."""
    async with asyncio.timeout(15):
        return await anext(
            event async for event in events
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in members.items())
        )  # fmt: skip


async def test_who_was_away_gets_what_was_missed(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    await alice.send(room.id, b"0")
    await has(bob, room.id, b"0")
    await bob.disconnect()

    for body in numbered(120)[1:]:
        alice.queue(room.id, body)
    await until(lambda: not alice.unsent())
    await live(bob)

    await has(bob, room.id, *numbered(120))


async def test_a_device_without_a_socket_fetches(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    laptop = await people.another_device(bob)
    room = await alice.direct_room(bob.me.user)
    alice.queue(room.id, *numbered(5))
    await has(bob, room.id, *numbered(5))

    cursor = await laptop.fetch()

    assert cursor == laptop.stored == bob.stored
    assert bodies(laptop, room.id) == numbered(5)
    assert await laptop.fetch() == cursor


async def test_a_new_device_reads_the_whole_history(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    alice.queue(room.id, *numbered(700))
    await has(bob, room.id, *numbered(700))

    new = await people.another_device(bob)
    assert await new.fetch_history() == await new.newest() == bob.stored
    assert new.mailbox(limit=10_000) == bob.mailbox(limit=10_000)

    # The socket then sends again what this device has not acknowledged; nothing doubles.
    await live(new)
    await alice.send(room.id, b"more")
    await has(new, room.id, *numbered(700), b"more")


async def test_a_store_that_lost_its_last_commits_is_filled_again(people, tmp_path):
    """A backup was restored, or the power failed: the server's cursor is ahead of the store."""
    store, backup = tmp_path / "bob.db", tmp_path / "backup.db"
    alice, bob = await people.person("alice"), await people.person("bob", store=store)
    room = await alice.direct_room(bob.me.user)
    await alice.send(room.id, b"0")
    await has(bob, room.id, b"0")
    await bob.close()
    shutil.copy(store, backup)
    bob = await live(await people.opens(store))
    alice.queue(room.id, *numbered(50)[1:])
    await has(bob, room.id, *numbered(50))
    await until_acknowledged(people, bob)
    await bob.close()

    shutil.copy(backup, store)
    bob = await live(await people.opens(store))
    await alice.send(room.id, b"50")

    await has(bob, room.id, *numbered(51))
    seqs = [event.seq for event in bob.mailbox(limit=1_000)]
    assert seqs == list(range(1, len(seqs) + 1))


async def until_acknowledged(people, client):
    while (await client._session.request("GET", "mailbox/undelivered"))["acknowledged"] < client.stored:
        await asyncio.sleep(0.01)


async def test_events_can_be_processed_exactly_once_over_a_restart(people, tmp_path):
    store = tmp_path / "bob.db"
    alice, bob = await people.person("alice"), await people.person("bob", store=store)
    room = await alice.direct_room(bob.me.user)
    seen, last = [], 0
    for first in range(0, 30, 10):
        alice.queue(room.id, *numbered(30)[first : first + 10])
        async for event in bob.events(after=last):
            if isinstance(event, Message | RoomChanged | EntryHidden):
                last = event.seq
            if isinstance(event, Message):
                seen.append(event.body)
            if len(seen) == first + 7:  # in the middle of it, the process ends
                break
        await bob.close()
        bob = await live(await people.opens(store))
    async for event in bob.events(after=last):
        if isinstance(event, Message):
            seen.append(event.body)
        if len(seen) == 30:
            break

    assert seen == numbered(30)


async def test_callbacks_hear_one_event_after_the_other(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    heard_by_one, heard_by_other = [], []

    async def slowly(message):
        await asyncio.sleep(0)
        heard_by_one.append(message.body)

    bob.on(Message, slowly)
    bob.on(Message, lambda message: heard_by_other.append(message.body))
    alice.queue(room.id, *numbered(20))

    await until(lambda: len(heard_by_one) == len(heard_by_other) == 20)
    assert heard_by_one == heard_by_other == numbered(20)


class TestLateMessages:
    async def test_a_late_one_is_refused_and_the_sender_learns_it(self, people, cast):
        mallory = await cast.person("mallory")
        bob = await people.person("bob")
        laptop = await live(await people.another_device(bob))
        room = await bob.direct_room(mallory.id)
        mallorys_client = await live_client_of(people, mallory)
        await mallory.sends(room.id, b"first", sent_at=2_000, alg="opaque.v1")
        await has(bob, room.id, b"first")
        await has(laptop, room.id, b"first")

        late = await mallory.sends(room.id, b"late", sent_at=1_000, alg="opaque.v1")

        # Bob's devices keep it, marked; Mallory's devices are told, and so are Bob's.
        for device in (bob, laptop, mallorys_client):
            rejected = await heard(device.events(after=0), MessageRejected, message=late["id"])
            assert (rejected.by, rejected.reason, rejected.room) == (bob.me.user, "late", room.id)
        for device in (bob, laptop):
            assert [message.refused for message in device.messages(room.id)] == [True, False]
        assert [message.refused for message in mallorys_client.messages(room.id)] == [False, False]
        await until(lambda: bob._store.mailbox.refusals() == laptop._store.mailbox.refusals() == [])

    async def test_the_sender_may_send_again(self, people, cast):
        mallory, bob = await cast.person("mallory"), await people.person("bob")
        room = await bob.direct_room(mallory.id)
        await mallory.sends(room.id, b"first", sent_at=2_000, alg="opaque.v1")
        await has(bob, room.id, b"first")
        await mallory.sends(room.id, b"late", sent_at=1_000, alg="opaque.v1")
        await heard(bob.events(after=0), MessageRejected)

        await mallory.sends(room.id, b"again", sent_at=3_000, alg="opaque.v1")

        await has(bob, room.id, b"first", b"late", b"again")
        assert [message.refused for message in bob.messages(room.id)] == [False, True, False]

    async def test_who_was_away_sees_it_in_its_place(self, people, cast):
        mallory, bob = await cast.person("mallory"), await people.person("bob")
        room = await bob.direct_room(mallory.id)
        await bob.disconnect()
        before = await bob.newest()
        await mallory.sends(room.id, b"first", sent_at=2_000, alg="opaque.v1")
        await mallory.sends(room.id, b"earlier", sent_at=1_000, alg="opaque.v1")
        # Both wait for him. One that came when he was back already would be late.
        await comes_true(lambda: _reaches(bob, before + 2), "both in the mailbox")

        await live(bob)

        await has(bob, room.id, b"first", b"earlier")
        assert not any(message.refused for message in bob.messages(room.id))


async def _reaches(client, seq):
    return await client.newest() >= seq


async def live_client_of(people, person):
    client = await people.opens()
    await client.sign_in(person.username, person.password, device_name="desktop")
    return await live(client)


class TestReceipts:
    async def test_the_sender_learns_who_has_it_and_who_has_read_it(self, people):
        alice, bob, carol = [await people.person(name) for name in ("alice", "bob", "carol")]
        room = await alice.create_group([bob.me.user, carol.me.user])
        await carol.disconnect()
        news = alice.events()

        sent = await alice.send(room.id, b"hello")
        await heard(news, ReceiptReceived)
        await until(lambda: alice.receipts(sent.id) == {bob.me.user: "delivered"})
        bob.read(room.id, bob.messages(room.id)[0].seq)
        await until(lambda: alice.receipts(sent.id) == {bob.me.user: "read"})

        await live(carol)
        await until(lambda: alice.receipts(sent.id) == {bob.me.user: "read", carol.me.user: "delivered"})

    async def test_they_are_asked_for_after_being_away(self, people):
        alice, bob = await people.person("alice"), await people.person("bob")
        room = await alice.direct_room(bob.me.user)
        await bob.disconnect()
        sent = await alice.send(room.id, b"hello")
        await has(alice, room.id, b"hello")
        await alice.disconnect()
        await live(bob)
        bob.read(room.id, bob.messages(room.id)[0].seq)
        await until_acknowledged(people, bob)

        await live(alice)

        await until(lambda: alice.receipts(sent.id) == {bob.me.user: "read"})

    async def test_reading_on_one_device_is_reading_on_the_others(self, people):
        alice, bob = await people.person("alice"), await people.person("bob")
        laptop = await live(await people.another_device(bob))
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        await has(bob, room.id, b"hello")
        await has(laptop, room.id, b"hello")
        assert bob.unread(room.id) == laptop.unread(room.id) == 1
        news = laptop.events()

        bob.read(room.id, bob.messages(room.id)[0].seq)

        assert (await heard(news, ReadElsewhere)).room == room.id
        assert bob.unread(room.id) == laptop.unread(room.id) == 0

    async def test_what_was_read_offline_is_told_later(self, people):
        alice, bob = await people.person("alice"), await people.person("bob")
        room = await alice.direct_room(bob.me.user)
        sent = await alice.send(room.id, b"hello")
        await has(bob, room.id, b"hello")
        await bob.disconnect()

        bob.read(room.id, bob.messages(room.id)[0].seq)
        await live(bob)

        await until(lambda: alice.receipts(sent.id) == {bob.me.user: "read"})


async def test_typing_is_passed_on_and_not_kept(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    await until(lambda: bob.stored == 1)  # the room itself
    news = bob.events()

    alice.typing(room.id)
    alice.typing(room.id)

    assert await heard(news, SomebodyTypes) == SomebodyTypes(room.id, alice.me.user)
    assert bob.stored == 1


class TestRooms:
    async def test_a_change_is_an_entry_and_the_next_look_is_fresh(self, people):
        alice, bob, carol = [await people.person(name) for name in ("alice", "bob", "carol")]
        room = await alice.create_group([bob.me.user])
        news = bob.events(after=0)
        await heard(news, RoomChanged, change="created")
        assert len((await bob.room(room.id)).members) == 2

        await alice.add_members(room.id, [carol.me.user])
        changed = await heard(news, RoomChanged, change="added")
        assert (changed.by, changed.users) == (alice.me.user, (carol.me.user,))
        assert {member.user for member in (await bob.room(room.id)).members} == {x.me.user for x in (alice, bob, carol)}

        await alice.set_role(room.id, bob.me.user, "admin")
        await heard(news, RoomChanged, change="role")
        assert {m.role for m in (await bob.room(room.id)).members if m.user == bob.me.user} == {"admin"}

        await alice.hand_over(room.id, bob.me.user)
        await alice.leave_room(room.id)
        await heard(news, RoomChanged, change="left")
        assert {member.user for member in (await bob.room(room.id)).members} == {bob.me.user, carol.me.user}
        assert [room.id for room in await bob.rooms()] == [room.id]
        assert await alice.rooms() == []


class TestRevocation:
    async def test_a_revoked_device_stops(self, people):
        bob = await people.person("bob")
        laptop = await live(await people.another_device(bob))
        news = laptop.events()
        assert [device.name for device in await bob.devices()] == ["phone", "laptop"]
        renamed = await bob.rename_device(laptop.me.device, "old laptop")
        assert renamed.name == "old laptop"

        await bob.revoke_device(renamed.id)

        await heard(news, StateChanged, state=State.STOPPED)
        assert not laptop.is_signed_in
        assert len(await bob.devices()) == 1

    async def test_signing_out_keeps_the_mailbox(self, people):
        alice, bob = await people.person("alice"), await people.person("bob")
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        await has(bob, room.id, b"hello")
        name = bob.me.username

        await bob.sign_out()

        assert bodies(bob, room.id) == [b"hello"]
        try:
            bob.connect()
            raise AssertionError("a signed-out device connects")
        except SignedOut:
            pass
        await bob.sign_in(name, PASSWORD, device_name="phone again")
        await live(bob)
        await alice.send(room.id, b"welcome back")
        await has(bob, room.id, b"hello", b"welcome back")
