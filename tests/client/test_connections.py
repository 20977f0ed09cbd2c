"""Contacts and blocks with the Python client, on the real system: in step on every device, and nothing sent past a block."""

import asyncio
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async

from accounts.models import Device
from client import (
    Blocked,
    ChangeConflict,
    ChangeFailed,
    ChangeMade,
    ChangeRefused,
    ConnectionChanged,
    ConnectionsSynced,
    Message,
    MessageFailed,
    MessageRejected,
    Refused,
)
from tests.cast import until
from tests.client.conftest import PASSWORD, has, live
from tests.client.test_receiving import heard


def between(client, other):
    """What one has with another, as its store says: the state, and who blocks."""
    known = client.connections.get(other.me.user)
    return (known.state, known.blocked, known.blocked_by) if known else ("none", False, False)


async def shows(client, other, *expected):
    await until(lambda: between(client, other) == expected, f"{expected}, not {between(client, other)}")


async def two(people, **options):
    alice, bob = await people.person("alice", **options), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    return alice, bob, room.id


class TestContacts:
    async def test_a_request_is_accepted_and_shows_on_every_device(self, people):
        alice, bob, _ = await two(people)
        laptop = await live(await people.another_device(alice))

        asked = await alice.connections.add(bob.me.username)
        assert (asked.state, asked.user) == ("requested", bob.me.user)
        await shows(bob, alice, "incoming", False, False)
        await bob.connections.accept(alice.me.user)

        for device, other in ((alice, bob), (laptop, bob), (bob, alice)):
            await shows(device, other, "contact", False, False)
        assert [contact.username for contact in laptop.connections.list(state="contact")] == [bob.me.username]
        await bob.connections.remove(alice.me.user)
        await shows(laptop, bob, "none", False, False)

    async def test_a_note_is_the_users_own(self, people):
        alice, bob, _ = await two(people)
        laptop = await live(await people.another_device(alice))
        await alice.connections.add(bob.me.user)
        await alice.connections.note(bob.me.user, b"\x00sealed\xff")

        await until(lambda: (bobs := laptop.connections.get(bob.me.user)) and bobs.note == b"\x00sealed\xff")
        await shows(bob, alice, "incoming", False, False)
        assert bob.connections.get(alice.me.user).note == b""
        with pytest.raises(Refused) as refused:
            alice.connections.note(bob.me.user, b"x" * 1_025)
        assert refused.value.code == "too_large"
        assert alice.connections.waiting() == []

    async def test_they_are_listed_by_state_and_name(self, people):
        alice = await people.person("alice")
        others = [await people.person(name) for name in ("bob", "carol", "mallory")]
        for other in others:
            await alice.connections.add(other.me.user)
        await alice.connections.block(others[2].me.user)

        def names(**question):
            return [relation.username.partition(".")[0] for relation in alice.connections.list(**question)]

        assert names() == ["bob", "carol", "mallory"]
        assert names(state="requested") == ["bob", "carol"]
        assert names(state="blocked") == ["mallory"]
        assert names(username="car") == ["carol"]
        assert names(state="contact") == []

    async def test_what_the_server_refuses_is_not_queued_any_more(self, people):
        alice, bob, _ = await two(people)
        news = alice.events()

        with pytest.raises(ChangeRefused) as refused:
            await alice.connections.accept(bob.me.user)

        assert refused.value.code == "conflict"
        assert (await heard(news, ChangeFailed)).change == refused.value.change
        assert alice.connections.waiting() == []

    async def test_settings_are_the_same_on_every_device(self, people):
        alice, bob = await people.person("alice"), await people.person("bob")
        laptop = await live(await people.another_device(alice))
        await until(lambda: laptop.connections.settings)
        assert laptop.connections.settings.who_may_open == "anyone"

        await alice.connections.change_settings(who_may_open="contacts")

        await until(lambda: laptop.connections.settings.who_may_open == "contacts")
        await until(lambda: alice.connections.settings == laptop.connections.settings)
        with pytest.raises(Refused) as refused:
            await bob.direct_room(alice.me.user)
        assert refused.value.code == "not_reachable"

    async def test_changes_are_told_as_events(self, people):
        alice, bob, _ = await two(people)
        hers, his = alice.events(after=0), bob.events(after=0)

        made = await alice.connections.block(bob.me.user)

        assert (await heard(hers, ChangeMade)).connection == made
        entry = await heard(alice.events(after=0), ConnectionChanged, version=made.version)
        assert entry.connection == made
        assert entry in alice.mailbox()
        assert (await heard(his, ConnectionChanged)).connection.blocked_by


class TestABlock:
    async def test_neither_side_sends_and_both_say_why(self, people):
        alice, bob, room = await two(people)
        laptop = await live(await people.another_device(bob))
        await alice.send(room, b"before")
        await has(bob, room, b"before")
        await has(laptop, room, b"before")
        await alice.connections.block(bob.me.user)
        for device in (bob, laptop):
            await shows(device, alice, "none", False, True)

        for who, by in ((alice, "you"), (bob, "peer"), (laptop, "peer")):
            with pytest.raises(Blocked) as blocked:
                who.queue(room, b"after")
            assert (blocked.value.by, blocked.value.code, blocked.value.message) == (by, "blocked", None)
            assert who.unsent() == []

        await alice.connections.unblock(bob.me.user)
        await shows(bob, alice, "none", False, False)
        await bob.send(room, b"again")
        await has(alice, room, b"before", b"again")

    async def test_it_holds_offline_and_after_a_restart(self, people, tmp_path):
        store = tmp_path / "bob.db"
        alice, bob = await people.person("alice"), await people.person("bob", store=store)
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        await has(bob, room.id, b"hello")
        await alice.connections.block(bob.me.user)
        await shows(bob, alice, "none", False, True)
        await bob.close()

        again = await people.opens(store)
        # This device has never asked for the room; its messages say whose it is.
        with pytest.raises(Blocked):
            await again.send(room.id, b"let me in")

    async def test_it_counts_from_the_press_of_the_button(self, people):
        alice, bob, room = await two(people)
        await alice.disconnect()
        waiting = alice.queue(room, b"one", b"two")

        pressed = alice.connections.block(bob.me.user)

        with pytest.raises(Blocked):
            alice.queue(room, b"three")
        assert [(id_, problem.code, problem.more["by"]) for id_, _, _, problem in alice.failed()] == [
            (id_, "blocked", "you") for id_ in waiting
        ]
        await live(alice)
        assert (await pressed).blocked
        await shows(bob, alice, "none", False, True)
        assert bob.messages(room) == []

    async def test_what_waits_stops_when_the_block_arrives_and_other_rooms_go_on(self, people):
        alice, bob, room = await two(people)
        carol = await people.person("carol")
        with_carol = await bob.direct_room(carol.me.user)
        group = await bob.create_group([alice.me.user, carol.me.user])
        await bob.room(room)
        await bob.disconnect()
        stuck = bob.queue(room, b"one", b"two")
        bob.queue(with_carol.id, b"hello")
        waits = asyncio.create_task(bob.accepted(stuck[0]))
        news = bob.events()
        await alice.connections.block(bob.me.user)

        # Without a socket: the block comes before anything is sent.
        await bob.connections.sync()

        with pytest.raises(Blocked) as blocked:
            await waits
        assert (blocked.value.message, blocked.value.by) == (stuck[0], "peer")
        failures = [await heard(news, MessageFailed) for _ in stuck]
        assert [failure.message for failure in failures] == stuck
        assert [(id_, body, problem.code) for id_, _, body, problem in bob.failed()] == [
            (stuck[0], b"one", "blocked"), (stuck[1], b"two", "blocked"),
        ]  # fmt: skip
        with pytest.raises(Blocked):
            await bob.accepted(stuck[1])
        await live(bob)
        await has(carol, with_carol.id, b"hello")
        # Groups are another matter: the server spares the blocker there.
        await bob.send(group.id, b"hello all")
        await has(carol, group.id, b"hello all")
        assert alice.messages(room) == []

    @pytest.mark.parametrize("carrier", ["socket", "rest"])
    async def test_a_message_that_the_server_stops_is_marked_with_the_reason(self, people, carrier):
        alice = await people.person("alice")
        mallory = await people.person("mallory", carrier=carrier, enforce_blocks=False)
        room = await alice.direct_room(mallory.me.user)
        news = mallory.events()
        await alice.connections.block(mallory.me.user)
        await shows(mallory, alice, "none", False, True)

        sent = await mallory.send(room.id, b"you cannot stop me")

        rejection = await heard(news, MessageRejected)
        assert (rejection.message, rejection.by, rejection.reason) == (sent.id, alice.me.user, "blocked")
        await until(lambda: mallory.messages(room.id))
        (message,) = mallory.messages(room.id)
        assert (message.id, message.refused, message.reason) == (sent.id, True, "blocked")
        assert next(e for e in mallory.mailbox() if isinstance(e, Message)).reason == "blocked"
        assert alice.messages(room.id) == []


class TestSync:
    async def test_a_new_device_has_the_whole_state(self, people):
        alice = await people.person("alice")
        others = [await people.person(name) for name in ("bob", "carol", "mallory")]
        for other in others[:2]:
            await alice.connections.add(other.me.user)
        await alice.connections.block(others[2].me.user)
        laptop = await people.another_device(alice)
        news = laptop.events()

        assert await laptop.connections.sync() == alice.connections.version == 3

        assert laptop.connections.list() == alice.connections.list()
        assert (laptop.connections.consistency, laptop.connections.discloses_blocks) == ("confirm", True)
        synced = await heard(news, ConnectionsSynced)
        assert (synced.version, len(synced.connections)) == (3, 3)

    async def test_each_device_reports_what_it_has_stored(self, people):
        alice, bob, _ = await two(people)
        tablet = await people.another_device(alice)
        await alice.connections.block(bob.me.user)
        await alice.connections.note(bob.me.user, b"sealed")

        await reports(alice, 2)
        await reports(bob, 1)
        await reports(tablet, 0)
        await live(tablet)
        await reports(tablet, 2)

    async def test_without_a_socket_entries_and_reports_come_by_fetching(self, people):
        alice, bob, room = await two(people)
        laptop = await people.another_device(bob)
        await alice.connections.block(bob.me.user)
        await shows(bob, alice, "none", False, True)

        await laptop.fetch()

        assert between(laptop, alice) == ("none", False, True)
        assert laptop.connections.version == 1
        await reports(laptop, 1)

    async def test_a_client_that_uses_rest_alone_keeps_in_step_too(self, people, tmp_path):
        alice, bob, _ = await two(people)
        await alice.connections.block(bob.me.user)
        laptop = await people.another_device(alice, carrier="rest")

        await shows(laptop, bob, "none", True, False)
        await reports(laptop, 1)
        assert laptop.connections.can_unblock
        assert (await laptop.connections.unblock(bob.me.user)).blocked is False
        await laptop.sign_out()
        await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")
        await reports(laptop, 2)
        await laptop.connections.block(bob.me.user)
        await shows(alice, bob, "none", True, False)


class TestOffline:
    async def test_changes_wait_in_order_and_are_made_when_it_is_back(self, people, tmp_path):
        store = tmp_path / "alice.db"
        alice, bob = await people.person("alice", store=store), await people.person("bob")
        await alice.disconnect()
        for action in ("add", "block", "unblock", "block"):
            getattr(alice.connections, action)(bob.me.user)
        await alice.close()

        again = await people.opens(store)
        assert [change.action for change in again.connections.waiting()] == ["add", "block", "unblock", "block"]
        again.connect()

        await shows(again, bob, "none", True, False)
        await until(lambda: not again.connections.waiting())
        await shows(bob, again, "none", False, True)

    async def test_without_a_connection_sync_sends_them(self, people):
        alice, bob, _ = await two(people)
        laptop = await people.another_device(alice)
        pressed = laptop.connections.block(bob.me.user)

        await laptop.connections.sync()

        assert (await pressed).blocked
        await shows(alice, bob, "none", True, False)


class TestConfirm:
    async def conflict(self, people, on_conflict):
        """Alice's phone blocks Bob; her laptop, which was offline, lifts an older block."""
        alice, bob, _ = await two(people)
        laptop = await live(await people.another_device(alice, on_conflict=on_conflict))
        await alice.connections.block(bob.me.user)
        await shows(laptop, bob, "none", True, False)
        # Only who knows the rule may lift a block offline; the mailbox can be quicker than the answer that tells it.
        await until(lambda: laptop.connections.consistency == "confirm")
        await laptop.disconnect()
        pressed = laptop.connections.unblock(bob.me.user)
        await alice.connections.unblock(bob.me.user)
        await alice.connections.block(bob.me.user)
        await live(laptop)
        return alice, bob, laptop, pressed

    async def test_the_user_is_asked_and_confirms(self, people):
        asked = []

        async def confirm(conflict):
            asked.append(conflict)
            return "confirm"

        alice, bob, laptop, pressed = await self.conflict(people, confirm)

        assert (await pressed).blocked is False
        (conflict,) = asked
        assert (conflict.connection.blocked, conflict.version, conflict.changed_by) == (True, 3, alice.me.device)
        assert (conflict.change.action, conflict.change.base_version) == ("unblock", 1)
        await shows(alice, bob, "none", False, False)

    async def test_the_user_is_asked_and_drops_it(self, people):
        async def drop(conflict):
            return "drop"

        alice, bob, laptop, pressed = await self.conflict(people, drop)

        with pytest.raises(ChangeConflict) as refused:
            await pressed
        assert refused.value.conflict.version == 3
        assert between(laptop, bob) == between(alice, bob) == ("none", True, False)
        assert laptop.connections.waiting() == []

    async def test_without_a_callback_it_is_dropped(self, people):
        alice, bob, laptop, pressed = await self.conflict(people, None)

        with pytest.raises(ChangeConflict):
            await pressed
        assert between(laptop, bob) == ("none", True, False)

    async def test_a_callback_that_fails_confirms_nothing(self, people):
        async def fail(conflict):
            raise ValueError("nobody is there")

        alice, bob, laptop, pressed = await self.conflict(people, fail)

        with pytest.raises(ChangeConflict):
            await pressed
        assert between(laptop, bob) == ("none", True, False)

    async def test_while_the_user_thinks_other_changes_go_on(self, people):
        thinking, decided = asyncio.Event(), asyncio.Event()

        async def think(conflict):
            thinking.set()
            await decided.wait()
            return "confirm"

        alice, bob, laptop, pressed = await self.conflict(people, think)
        mallory = await people.person("mallory")
        await thinking.wait()

        assert (await laptop.connections.block(mallory.me.user)).blocked
        assert [change.action for change in laptop.connections.waiting()] == ["unblock"]
        decided.set()
        assert (await pressed).blocked is False


@sync_to_async
def _reported(user):
    return dict(Device.objects.filter(user_id=user).values_list("id", "connections_version"))


async def reports(client, version):
    """Wait until the server knows that the device has stored this version."""
    async with asyncio.timeout(15):
        while (await _reported(client.me.user))[UUID(client.me.device)] != version:
            await asyncio.sleep(0.01)
