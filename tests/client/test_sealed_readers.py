"""Who can read what, on the running system: who came later, who is gone, whose device was wiped, whose keys are others."""

import json
from dataclasses import replace

import pytest

from client import FLOOR, IdentityChanged, KeysHeld, KeysUnlocked, VaultOpened
from client.protocol.inbox import Arrival
from tests.cast import comes_true, unb64, until
from tests.client.conftest import bodies, has, live, numbered
from tests.client.sealed import PASSWORD, another_device, cast_of, person, problems
from tests.client.test_receiving import heard
from tests.epochs.maker import Room, a_wrap, digest_of
from tests.keys.keyring import Keyring


class TestAWipedDevice:
    @pytest.mark.parametrize("by", ["password", "recovery key"])
    async def test_who_signs_in_anew_reads_everything_sent_and_received(self, people, by):
        alice, bob = await cast_of(people, "alice", "bob")
        recovery_key, username = bob.keys.recovery_key, bob.me.username
        room = await alice.direct_room(bob.me.user)
        group = await bob.create_group([alice.me.user])
        await alice.send(room.id, b"before")
        await bob.send(room.id, b"mine")
        await bob.send(group.id, b"to all")
        await has(bob, room.id, b"before", b"mine")
        await bob.close()  # and its store is gone

        await alice.send(room.id, b"while nothing of bob's was there")
        alice.epochs.renew(room.id)
        await alice.send(room.id, b"under another epoch")
        new = await people.opens(sealer=None, strength=FLOOR)
        if by == "password":
            await new.sign_in(username, PASSWORD, device_name="new phone")
        else:
            await new.recover(username, recovery_key, device_name="new phone")
        await new.fetch_history()

        assert bodies(new, room.id) == [
            b"before", b"mine", b"while nothing of bob's was there", b"under another epoch",
        ]  # fmt: skip
        assert bodies(new, group.id) == [b"to all"]
        await live(new)
        await new.send(room.id, b"I am back")
        await until(lambda: bodies(alice, room.id)[-1] == b"I am back")

    async def test_another_device_that_was_away_reads_on_without_the_password(self, people):
        """The vault was opened elsewhere, and a device revoked: the new encryption key comes to the laptop in a box."""
        alice, bob = await cast_of(people, "alice", "bob")
        laptop, tablet = [await another_device(people, bob) for _ in range(2)]
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"one")
        await has(laptop, room.id, b"one")
        await laptop.disconnect()

        await bob.keys.revoke_device(tablet.me.device, PASSWORD)
        await alice.send(room.id, b"two")
        await live(laptop)

        await has(laptop, room.id, b"one", b"two")
        assert alice.epochs.newest(room.id) == 2
        await laptop.send(room.id, b"three")
        await has(alice, room.id, b"one", b"two", b"three")

    async def test_the_owner_hears_that_the_vault_was_opened(self, people):
        (bob,) = await cast_of(people, "bob")
        news = bob.events()
        laptop = await another_device(people, bob)

        assert (await heard(news, VaultOpened)).device == laptop.me.device


class TestGroups:
    async def test_who_was_put_out_reads_nothing_later(self, people):
        alice, bob, mallory = await cast_of(people, "alice", "bob", "mallory")
        group = await alice.create_group([bob.me.user, mallory.me.user])
        await alice.send(group.id, b"hello")
        await has(mallory, group.id, b"hello")

        await alice.remove_member(group.id, mallory.me.user)
        sent = await bob.send(group.id, b"without mallory")
        await has(alice, group.id, b"hello", b"without mallory")

        # Even with the ciphertext at hand, and all that the server tells mallory, there is no key.
        entry = alice._store.mailbox.find(sent.id).entry
        await mallory._receiver._sealer.fetch([entry])
        mallory._store.mailbox.append(arrival_of(entry, mallory))
        assert problems(mallory, group.id) == [None, "no_key"]

    async def test_who_comes_later_reads_what_is_sent_from_then_on(self, people):
        alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
        group = await alice.create_group([bob.me.user])
        await alice.send(group.id, b"before")

        await alice.add_members(group.id, [carol.me.user])
        await bob.send(group.id, b"after")
        await carol.send(group.id, b"thank you")

        await has(carol, group.id, b"after", b"thank you")
        await has(alice, group.id, b"before", b"after", b"thank you")
        assert carol._store.epochs.numbers(group.id) == [2]

    async def test_where_the_history_is_for_all_the_keys_of_what_was_before_come_too(self, people):
        alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
        group = await alice.create_group([bob.me.user], history="all")
        await alice.send(group.id, b"one")
        alice.epochs.renew(group.id)
        await alice.send(group.id, b"two")

        await alice.add_members(group.id, [carol.me.user])
        await bob.send(group.id, b"three")

        await until(lambda: bodies(carol, group.id) == [b"three"])
        await until(lambda: not alice._store.epochs.shares())
        assert alice.epochs.newest(group.id) == 2
        await carol._receiver._sealer.fetcher.range(group.id, 1, 2)
        assert carol._store.epochs.numbers(group.id) == [1, 2]

    async def test_what_came_before_its_key_opens_when_the_key_comes(self, people):
        """Whoever adds carol is offline right afterwards, and so is everybody else: nobody gives her the keys."""
        alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
        group = await alice.create_group([bob.me.user], history="all")
        await bob.send(group.id, b"one")
        await has(alice, group.id, b"one")
        await alice.disconnect()
        await alice.add_members(group.id, [carol.me.user])
        news = carol.events()
        await bob.send(group.id, b"two")
        await until(lambda: problems(carol, group.id) == ["no_key"])

        await live(alice)

        await heard(news, KeysUnlocked)
        assert bodies(carol, group.id) == [b"two"]

    async def test_what_is_to_be_given_survives_the_process(self, people, tmp_path):
        store = tmp_path / "alice.db"
        alice, bob = await person(people, "alice", store=store), await person(people, "bob")
        group = await alice.create_group([bob.me.user], history="all")
        await alice.send(group.id, b"one")
        carol = await person(people, "carol")
        await alice.disconnect()
        await alice.add_members(group.id, [carol.me.user])

        async def is_to_be_given():
            await alice.fetch()  # the entry is stored; nothing is given without a connection
            return [user for _, user, _ in alice._store.epochs.shares()] == [carol.me.user]

        await comes_true(is_to_be_given, "the entry")
        await alice.close()

        again = await people.opens(store, sealer=None)
        await live(again)

        await until(lambda: not again._store.epochs.shares())
        await carol._receiver._sealer.fetcher.range(group.id, 1, 1)
        assert carol._store.epochs.numbers(group.id) == [1]


def arrival_of(entry, client):
    """A message as if it were the next of this client's mailbox."""
    return Arrival((replace(entry, seq=client.stored + 1),))


class TestOtherKeys:
    async def test_a_verified_friend_with_another_identity_is_not_written_to_before_it_is_compared(self, people):
        alice, bob = await cast_of(people, "alice", "bob")
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        assert await alice.keys.safety_number(bob.me.user) == await bob.keys.safety_number(alice.me.user)
        await alice.keys.verify(bob.me.user)
        news = alice.events()

        await bob.keys.reset(PASSWORD)
        assert await heard(news, IdentityChanged) == IdentityChanged(bob.me.user, was_verified=True)

        with pytest.raises(KeysHeld) as held:
            alice.queue(room.id, b"is it you?")
        assert held.value.users == (bob.me.user,)
        await alice.keys.verify(bob.me.user)
        await alice.send(room.id, b"it is you")
        await until(lambda: bodies(bob, room.id)[-1] == b"it is you")

    async def test_what_waits_then_has_failed(self, people):
        alice, bob = await cast_of(people, "alice", "bob")
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        await alice.keys.verify(bob.me.user)
        await alice.disconnect()
        (waiting,) = alice.queue(room.id, b"is it you?")
        await bob.keys.reset(PASSWORD)

        await live(alice)

        await until(lambda: [id_ for id_, _, _, _ in alice.failed()] == [waiting])
        ((_, _, body, problem),) = alice.failed()
        assert (body, problem.code) == (b"is it you?", "keys_held")
        with pytest.raises(KeysHeld):
            await alice.accepted(waiting)

    async def test_a_friend_who_was_never_verified_is_written_to_with_a_notice(self, people):
        alice, bob = await cast_of(people, "alice", "bob")
        room = await alice.direct_room(bob.me.user)
        await alice.send(room.id, b"hello")
        news = alice.events()
        await bob.keys.reset(PASSWORD)
        assert await heard(news, IdentityChanged) == IdentityChanged(bob.me.user, was_verified=False)

        await alice.send(room.id, b"hello again")

        await until(lambda: bodies(bob, room.id)[-1] == b"hello again")
        change = alice.reader_changes(room.id)[0]
        assert (change.epoch, change.rekeyed) == (2, (bob.me.user,))

    async def test_garbage_that_a_member_wrapped_for_everybody_is_followed_by_a_good_epoch(self, people, cast):
        alice, bob = await cast_of(people, "alice", "bob")
        mallory = Keyring(await cast.person("mallory"))
        await mallory.sets_up()
        group = await alice.create_group([bob.me.user, mallory.person.id])
        await garbage(mallory, group.id, alice, bob)

        await alice.send(group.id, b"can anybody read this?")

        await has(bob, group.id, b"can anybody read this?")
        assert alice.epochs.newest(group.id) == bob.epochs.newest(group.id) == 2

    async def test_what_mallory_says_under_garbage_is_shown_as_unreadable(self, people, cast):
        alice, bob = await cast_of(people, "alice", "bob")
        mallory = Keyring(await cast.person("mallory"))
        await mallory.sets_up()
        group = await alice.create_group([bob.me.user, mallory.person.id])
        await garbage(mallory, group.id, alice, bob)

        await mallory.person.sends(group.id, bytes(156), alg="chat.e2ee.v1", epoch=1)
        await mallory.person.sends(group.id, b"in the clear", alg="opaque.v1", epoch=1)

        await until(lambda: problems(bob, group.id) == ["no_key", "not_verified"])
        assert bodies(bob, group.id) == [None, None]


async def garbage(mallory, room, *others):
    """An epoch by mallory, with random bytes for everybody, which no server can tell from keys."""
    made = Room(room, mallory)
    state = await mallory.person.phone.gets(f"rooms/{room}/e2ee")
    made.members_version = state["members_version"]
    users = [client.me.user for client in others]
    answer = await mallory.person.phone.posts("e2ee/users/query", {"known": dict.fromkeys(users, 0)})
    body = made.body(mallory)
    lines = [line_of(user, answer[user]["userkeys"]) for user in users] + body["roster"]
    roster = sorted(lines)
    body = made.body(
        mallory, record=made.record(mallory, roster=digest_of(roster)), roster=roster,
        wraps={line[0]: a_wrap(line[2]) for line in roster},
    )  # fmt: skip
    await mallory.person.phone.posts(f"rooms/{room}/epochs", body, status=201)


def line_of(user, envelope):
    document = json.loads(unb64(envelope["payload"]))
    return [user, document["uik"], document["uek"]["ver"]]


async def test_a_long_talk_is_read_by_a_new_device_in_its_order(people):
    alice, bob = await cast_of(people, "alice", "bob")
    room = await alice.direct_room(bob.me.user)
    for turn in range(4):
        alice.queue(room.id, *numbered(100)[turn * 25 : turn * 25 + 25])
        await until(lambda: not alice.unsent())
        alice.epochs.renew(room.id)
    laptop = await another_device(people, bob)

    await has(laptop, room.id, *numbered(100))
    assert laptop.epochs.newest(room.id) == 4
