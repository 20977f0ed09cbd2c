"""What a client refuses of a server, or of a member, that lies about epochs (protocol §6.5)."""

import time
from dataclasses import replace

import pytest

from client.crypto import epochs as crypto
from client.crypto.epochs import RosterLine
from client.crypto.userkeys import DeviceKey
from client.epochs.fetching import ALG
from client.epochs.making import NotYet
from client.epochs.rules import MOST_MESSAGES, OLDEST_S, change_of, is_due, why_not
from client.errors import CannotOpen, Refused
from client.protocol.entries import KeysEntry, RoomEntry
from client.protocol.ids import DeviceId, UserId
from client.protocol.opaque import Ciphertext
from client.protocol.problems import Problem
from client.sealer import RosterChange
from tests.client.ledger import Ledger, Person, new_id


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def alice(ledger):
    return Person(ledger, "alice")


@pytest.fixture
def bob(ledger):
    return Person(ledger, "bob")


@pytest.fixture
def mallory(ledger):
    return Person(ledger, "mallory")


async def cannot(reading, problem):
    with pytest.raises(CannotOpen) as refused:
        await reading
    assert refused.value.problem == problem


async def test_a_text_goes_from_one_to_the_other_and_the_server_has_none_of_it(ledger, alice, bob):
    room = ledger.room(alice, bob)

    entry = await alice.says(room, "hello, bob")

    assert await bob.reads(entry) == await alice.reads(entry) == "hello, bob"
    assert b"hello" not in entry.ciphertext
    assert (entry.alg, entry.epoch) == (ALG, 1)


async def test_the_epoch_of_another_is_used_and_not_another_one_made(ledger, alice, bob):
    room = ledger.room(alice, bob)
    await alice.says(room, "hello")

    entry = await bob.says(room, "hello yourself")

    assert entry.epoch == len(ledger.epochs[room]) == 1
    assert await alice.reads(entry) == "hello yourself"


class TestReading:
    @pytest.fixture
    async def entry(self, ledger, alice, bob):
        return await alice.says(ledger.room(alice, bob), "hello")

    @pytest.mark.parametrize(
        "change",
        [
            {"id": "019ab0c4-0000-7000-8000-000000000001"},
            {"sent_at": 1},
            {"alg": "opaque.v1"},
        ],
    )
    async def test_what_was_signed_otherwise_is_not_shown(self, bob, entry, change):
        await cannot(bob.reads(entry, **change), "not_verified")

    async def test_nor_what_is_attributed_to_another(self, bob, mallory, entry):
        await cannot(bob.reads(entry, sender=mallory.user, device=mallory.device), "not_verified")

    async def test_nor_what_was_moved_to_another_room(self, ledger, alice, bob, entry):
        other = await alice.says(ledger.room(alice, bob), "elsewhere")
        await bob.reads(other)
        await cannot(bob.reads(entry, room=other.room), "not_verified")

    async def test_nor_what_was_changed(self, bob, entry):
        changed = bytes([entry.ciphertext[0] ^ 1]) + entry.ciphertext[1:]
        await cannot(bob.reads(entry, ciphertext=Ciphertext(changed)), "not_verified")

    async def test_nor_what_a_device_sent_that_its_user_has_not_signed(self, bob, entry):
        await cannot(bob.reads(entry, device=DeviceId(new_id())), "not_verified")

    async def test_nor_what_came_after_its_device_was_revoked(self, alice, bob, entry):
        until = entry.accepted_at // 1000 + 10
        other = DeviceKey(DeviceId(new_id()), alice.document.devices[0].key, 1)
        alice.publishes(alice.document.next().with_device(other))
        alice.publishes(alice.document.next().with_revoked(alice.device, until))

        assert await bob.reads(entry) == "hello"
        await cannot(bob.reads(entry, accepted_at=until * 1000), "not_verified")

    async def test_an_epoch_that_was_not_for_this_user_is_no_key(self, ledger, mallory, entry):
        await cannot(mallory.reads(entry), "no_key")
        ledger.epochs[entry.room].clear()
        await cannot(Person(ledger, "carol").reads(entry), "no_key")

    async def test_a_device_that_lacks_the_encryption_key_is_locked_until_it_comes(self, bob, entry):
        keys, bob.keys.versions = bob.keys.versions, {}
        await cannot(bob.reads(entry), "locked")
        bob.keys.versions = keys

        assert bob.opens(entry) == "hello"

    async def test_a_record_that_another_has_signed_is_not_believed(self, ledger, alice, bob, mallory, entry):
        (made,) = ledger.epochs[entry.room]
        forged = crypto.create(
            entry.room, 1, b"", alice.user, alice.device, mallory.keys.device_key, [alice.document, bob.document], 1
        )
        made |= forged.json(1)

        await cannot(bob.reads(entry), "not_verified")

    async def test_a_wrap_of_another_epoch_opens_nothing(self, ledger, alice, bob, entry):
        alice.stale(entry.room)
        second = await alice.says(entry.room, "again")
        assert second.epoch == 2
        first, newest = ledger.epochs[entry.room]
        newest["wraps"][bob.user] = first["wraps"][bob.user]

        assert await bob.reads(entry) == "hello"
        await cannot(bob.reads(second), "no_key")

    async def test_a_record_behind_another_one_is_not_believed(self, ledger, alice, bob, entry):
        """A server that shows two members different histories of one room."""
        await bob.reads(entry)
        forked = crypto.create(
            entry.room, 2, b"x" * 32, alice.user, alice.device, alice.keys.device_key,
            [alice.document, bob.document], int(time.time()),
        )  # fmt: skip
        ledger.epochs[entry.room].append({"epoch": 2, "creator": alice.user, "device": alice.device, **forked.json(1)})

        await cannot(bob.reads(entry, epoch=2), "not_verified")
        answer = await bob.says(entry.room, "under a new one")
        assert answer.epoch == 3

    async def test_a_record_that_came_first_stays_the_one(self, ledger, alice, bob, entry):
        await bob.reads(entry)
        other = crypto.create(
            entry.room, 1, b"", alice.user, alice.device, alice.keys.device_key, [alice.document, bob.document], 1
        )
        ledger.epochs[entry.room][0] |= other.json(1)

        await bob.sealer.fetcher.range(entry.room, 1, 1)

        assert await bob.reads(entry) == "hello"

    async def test_a_type_that_is_no_text_is_not_shown_as_one(self, alice, bob, entry, monkeypatch):
        monkeypatch.setattr("client.epochs.sealing.TEXT", "call")
        call = await alice.says(entry.room, "ring")
        monkeypatch.undo()
        await cannot(bob.reads(call), "not_verified")


class TestSealing:
    async def test_a_victim_of_a_garbage_wrap_makes_the_next_epoch(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        hello = await alice.says(room, "hello")
        other = crypto.create(
            room, 1, b"", alice.user, alice.device, alice.keys.device_key, [alice.document, bob.document], 1
        )
        ledger.epochs[room][0]["wraps"][bob.user] = crypto.wrap_json(1, other.wraps[bob.user])

        await cannot(bob.reads(hello), "no_key")
        answer = await bob.says(room, "what did you say?")

        assert answer.epoch == 2
        assert await alice.reads(answer) == "what did you say?"

    async def test_an_epoch_of_which_it_has_no_key_is_followed_by_another(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group")
        await alice.says(room, "hello")
        ledger.changes(room, alice, bob, mallory, stale=False)

        assert (await mallory.says(room, "hello")).epoch == 2

    async def test_nothing_goes_back_behind_the_highest_epoch(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        await alice.says(room, "one")
        alice.stale(room)
        await alice.says(room, "two")
        ledger.epochs[room].pop()
        alice.stale(room)

        with pytest.raises(Refused) as refused:
            await alice.says(room, "three")
        assert (refused.value.code, refused.value.problem.may_retry) == ("epoch_rolled_back", False)
        assert alice.sealer.epoch(room) is None

    @pytest.mark.parametrize(
        ("under", "more", "next_epoch"),
        [
            (1, {"epoch": 1, "stale": True}, 2),  # the room had none to follow it then
            (1, {"epoch": 2, "stale": False}, 2),
            (1, {"epoch": 2, "stale": True}, 3),
            (2, {"epoch": 2, "stale": True}, 3),
        ],
    )
    async def test_a_late_refusal_outdates_no_epoch_that_came_since(self, ledger, alice, bob, under, more, next_epoch):
        room = ledger.room(alice, bob)
        await alice.says(room, "one")
        await bob.hears_of(room, 1)
        bob.stale(room)
        await bob.says(room, "two")
        await alice.hears_of(room, 2)

        alice.stale(room, under, more)

        assert (await alice.says(room, "one, again")).epoch == next_epoch == len(ledger.epochs[room])

    async def test_a_refusal_that_names_an_epoch_unknown_here_has_it_fetched(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        await alice.says(room, "one")
        await bob.hears_of(room, 1)
        bob.stale(room)
        await bob.says(room, "two")

        alice.stale(room, 0, {"epoch": 2, "stale": False})

        assert (await alice.says(room, "one, again")).epoch == 2 == len(ledger.epochs[room])

    async def test_a_third_reader_of_a_direct_room_is_not_written_to(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob)
        ledger.rooms[room]["members"].append(mallory.user)

        with pytest.raises(Refused):
            await alice.says(room, "for your eyes only")
        assert ledger.epochs[room] == []

    async def test_not_even_if_the_room_is_said_to_be_a_group_now(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        ledger.rooms[room] |= {"kind": "group", "members": [alice.user, bob.user, mallory.user], "version": 2}
        ledger.stale.add(room)
        alice.stale(room)

        with pytest.raises(Refused):
            await alice.says(room, "for your eyes only")
        assert len(ledger.epochs[room]) == 1

    async def test_nor_if_the_other_one_has_let_a_third_read(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob)
        opened = crypto.create(
            room, 1, b"", bob.user, bob.device, bob.keys.device_key,
            [alice.document, bob.document, mallory.document], int(time.time()),
        )  # fmt: skip
        ledger.epochs[room].append({"epoch": 1, "creator": bob.user, "device": bob.device, **opened.json(1)})

        assert (await alice.says(room, "hello")).epoch == 2

    async def test_whoever_makes_an_epoch_stands_in_its_list(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group")
        hidden = crypto.create(
            room, 1, b"", mallory.user, mallory.device, mallory.keys.device_key,
            [alice.document, bob.document], int(time.time()),
        )  # fmt: skip
        ledger.epochs[room].append({"epoch": 1, "creator": mallory.user, "device": mallory.device, **hidden.json(1)})

        assert (await alice.says(room, "hello")).epoch == 2

    async def test_a_list_that_was_not_signed_is_not_believed(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        ledger.epochs[room][0]["roster"] = [RosterLine.of(bob.document).json()]

        assert (await bob.says(room, "hello")).epoch == 2

    async def test_a_list_with_another_identity_than_the_pinned_one_is_not_written_to(
        self, ledger, alice, bob, mallory
    ):
        room = ledger.room(alice, bob)
        false = replace(mallory.document, user=bob.user)
        forged = crypto.create(
            room, 1, b"", alice.user, alice.device, alice.keys.device_key, [alice.document, false], int(time.time())
        )
        ledger.epochs[room].append({"epoch": 1, "creator": alice.user, "device": alice.device, **forged.json(1)})
        await alice.keys.get([bob.user])

        assert (await alice.says(room, "hello")).epoch == 2

    async def test_who_is_gone_does_not_read_on_even_if_the_server_keeps_the_epoch(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, mallory, kind="group")
        await alice.says(room, "hello")
        ledger.changes(room, alice, bob, stale=False)
        await alice.arrives(RoomEntry(1, room, "removed", alice.user, (mallory.user,), None, 2))

        assert alice.sealer.epoch(room) is None
        after = await alice.says(room, "now that we are alone")
        assert after.epoch == 2
        await cannot(mallory.reads(after), "no_key")

    async def test_nor_if_the_list_of_readers_comes_after_it_was_heard(self, ledger, alice, bob, mallory):
        """A new device has read the keys, and no lists; its mailbox begins with who has left."""
        room = ledger.room(alice, bob, mallory, kind="group")
        await alice.says(room, "hello")
        ledger.changes(room, alice, bob, stale=False)
        bob.starts()
        await bob.finds(RoomEntry(1, room, "removed", alice.user, (mallory.user,), None, 2))

        after = await bob.says(room, "now that we are alone")
        assert after.epoch == 2
        await cannot(mallory.reads(after), "no_key")

    async def test_who_is_back_ends_no_epoch(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, mallory, kind="group")
        await alice.says(room, "hello")
        bob.starts()
        await bob.finds(
            RoomEntry(1, room, "left", mallory.user, (mallory.user,), None, 2),
            RoomEntry(2, room, "added", alice.user, (mallory.user,), None, 3),
        )

        assert (await bob.says(room, "welcome back")).epoch == 1

    async def test_a_new_encryption_key_of_a_reader_ends_the_epoch(self, ledger, alice, bob):
        """Bob has revoked a device: whoever has it has the old key."""
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        bob.rotates()
        await alice.arrives(KeysEntry(1, bob.user, 2, "encryption", None))

        assert alice.sealer.epoch(room) is None
        assert await bob.reads(await alice.says(room, "hello again")) == "hello again"
        assert ledger.epochs[room][1]["wraps"][bob.user]["ver"] == 2

    async def test_so_does_the_end_of_the_device_that_made_it(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        other = DeviceKey(DeviceId(new_id()), alice.document.devices[0].key, 1)
        alice.publishes(alice.document.next().with_device(other))
        alice.publishes(alice.document.next().with_revoked(alice.device, int(time.time()) + 10))

        assert (await bob.says(room, "hello")).epoch == 2

    async def test_nothing_is_sealed_for_who_was_verified_and_has_another_identity(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        alice.keys.unverified.add(bob.user)

        problem = alice.sealer.closed(room)
        assert problem is not None
        assert (problem.code, problem.more["users"]) == ("keys_held", [bob.user])
        alice.stale(room)
        with pytest.raises(Refused) as refused:
            await alice.says(room, "hello?")
        assert refused.value.problem == problem

    async def test_a_direct_room_waits_until_the_other_one_has_keys(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        document = ledger.documents.pop(bob.user)
        with pytest.raises(NotYet):
            await alice.says(room, "hello")
        ledger.documents[bob.user] = document

        assert await bob.reads(await alice.says(room, "hello")) == "hello"

    async def test_a_group_does_not(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, mallory, kind="group")
        del ledger.documents[mallory.user]

        assert await bob.reads(await alice.says(room, "hello")) == "hello"

    async def test_a_locked_device_seals_nothing(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        alice.keys.versions.clear()
        alice.sealer.forget()
        assert alice.sealer.epoch(room) is None

    @pytest.mark.parametrize("code", ["epoch_exists", "members_changed", "userkeys_changed"])
    async def test_what_was_overtaken_is_made_again(self, ledger, alice, bob, code):
        room = ledger.room(alice, bob)
        ledger.refusals = [Problem(code, 409, more={"users": [bob.user]})] * 3

        assert (await alice.says(room, "hello")).epoch == 1

    async def test_but_not_for_ever(self, ledger, alice, bob):
        room = ledger.room(alice, bob)
        ledger.refusals = [Problem("members_changed", 409)] * 100

        with pytest.raises(Refused) as refused:
            await alice.says(room, "hello")
        assert refused.value.problem.may_retry
        assert len(ledger.refusals) == 95

    @pytest.mark.parametrize("code", ["keys_missing", "device_not_listed"])
    async def test_a_device_that_is_not_ready_waits(self, ledger, alice, bob, code):
        ledger.refusals = [Problem(code, 409)]
        with pytest.raises(NotYet):
            await alice.says(ledger.room(alice, bob), "hello")

    @pytest.mark.parametrize(("body", "code"), [(b"\xff", "invalid"), (b"x" * 32_768, "too_large")])
    def test_what_is_no_text_or_too_long_is_refused_at_once(self, alice, body, code):
        from client.sealer import Header

        header = Header(new_id(), new_id(), alice.user, alice.device, 1, 0)
        with pytest.raises(Refused) as refused:
            alice.sealer.check(header, body)
        assert refused.value.code == code


class TestLists:
    async def test_who_came_and_who_went_is_told(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group")
        await alice.says(room, "one")
        assert await bob.hears_of(room, 1) == RosterChange()
        ledger.changes(room, alice, bob, mallory)
        alice.stale(room)
        await alice.says(room, "two")
        assert await bob.hears_of(room, 2) == RosterChange(added=(mallory.user,))
        ledger.changes(room, alice, bob)
        mallory.rotates()
        bob.rotates()
        alice.stale(room)
        await alice.says(room, "three")

        assert await bob.hears_of(room, 3) == RosterChange(removed=(mallory.user,), rekeyed=(bob.user,))
        assert bob.sealer.change(room, 2) == RosterChange(added=(mallory.user,))

    async def test_a_reader_whom_nobody_invited_is_told(self, ledger, alice, bob, mallory):
        """The server adds somebody for the keys, and does not say so in the room."""
        room = ledger.room(alice, bob, kind="group")
        await bob.arrives(RoomEntry(1, room, "created", alice.user, (alice.user, bob.user), None, 1))
        await bob.sealer.maker._learn_peer(room)
        ledger.changes(room, alice, bob, mallory)
        await alice.says(room, "hello")

        assert await bob.hears_of(room, 1) == RosterChange(added=(mallory.user,))

    async def test_a_new_device_compares_with_the_list_before(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group")
        await alice.says(room, "one")
        bob.starts()
        await bob.hears_of(room, 1)
        ledger.changes(room, alice, bob, mallory)
        alice.stale(room)
        await alice.says(room, "two")

        assert await bob.hears_of(room, 2) == RosterChange(added=(mallory.user,))
        assert ledger.asked[-2:] == [f"GET rooms/{room}/epochs/{number}/roster" for number in (1, 2)]

    def test_without_a_list_before_it_is_compared_with_the_members(self):
        one, other = (RosterLine(UserId(name), b"i" * 32, 1) for name in ("alice", "bob"))
        assert change_of(None, None, [one, other]) == RosterChange()
        assert change_of(None, [one.user], [one, other]) == RosterChange(added=(other.user,))
        assert change_of([one], None, [other]) == RosterChange(added=(other.user,), removed=(one.user,))
        assert change_of([one], None, [replace(one, version=2)]) == RosterChange(rekeyed=(one.user,))


class TestAge:
    @pytest.mark.parametrize(
        ("made_at", "messages", "due"),
        [
            (0, 0, False),
            (-OLDEST_S, 0, False),
            (-OLDEST_S - 1, 0, True),
            (OLDEST_S + 1, 0, True),
            (0, MOST_MESSAGES - 1, False),
            (0, MOST_MESSAGES, True),
        ],
    )
    def test_an_epoch_ends_by_age_or_by_number(self, made_at, messages, due):
        assert is_due(1_000_000_000 + made_at, 1_000_000_000.0, messages) is due

    async def test_an_old_epoch_is_followed_by_another(self, ledger, alice, bob, monkeypatch):
        room = ledger.room(alice, bob)
        await alice.says(room, "hello")
        now = time.time()
        monkeypatch.setattr("client.epochs.sealing.time.time", lambda: now + OLDEST_S + 2)

        assert (await alice.says(room, "a month later")).epoch == 2

    async def test_so_is_one_with_many_messages(self, ledger, alice, bob, monkeypatch):
        room = ledger.room(alice, bob)
        monkeypatch.setattr("client.epochs.rules.MOST_MESSAGES", 3)
        assert [(await alice.says(room, "hello")).epoch for _ in range(3)] == [1, 1, 1]

        assert (await alice.says(room, "the fourth")).epoch == 2

    async def test_those_of_others_count(self, ledger, alice, bob, monkeypatch):
        room = ledger.room(alice, bob)
        monkeypatch.setattr("client.epochs.rules.MOST_MESSAGES", 3)
        await alice.says(room, "one")
        for text in ("two", "three"):
            await alice.arrives(await bob.says(room, text))

        assert (await alice.says(room, "four")).epoch == 2


def test_why_not_names_the_reason():
    me, peer = UserId("me"), UserId("peer")
    lines = [RosterLine(me, b"m" * 32, 1), RosterLine(peer, b"p" * 32, 2)]
    fine = {"me": me, "creator": peer, "peer": peer, "identities": {peer: b"p" * 32}, "versions": {peer: 2}}
    assert why_not(lines, **fine) is None
    assert why_not(lines, **fine | {"peer": None, "creator": UserId("x")}) == "its maker hides"
    assert why_not(lines, **fine | {"me": UserId("x")}) == "this user is not among its readers"
    assert why_not(lines, **fine | {"versions": {peer: 3}}) == "a reader has a newer encryption key"


class TestHistoryForAll:
    async def test_who_comes_later_is_given_every_epoch_oldest_first(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        said = [await alice.says(room, "one")]
        alice.stale(room)
        said.append(await alice.says(room, "two"))
        ledger.changes(room, alice, bob, mallory, stale=False)
        await cannot(mallory.reads(said[1]), "no_key")

        await alice.arrives(RoomEntry(1, room, "added", alice.user, (mallory.user,), "member", 2))
        assert await alice.sealer.shares.step() == float("inf")
        await mallory.sealer.fetcher.look(room, 2)

        assert [await mallory.reads(entry) for entry in said] == ["one", "two"]
        assert alice.store.epochs.shares() == []

    async def test_whoever_added_may_die_and_another_gives(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        said = await alice.says(room, "one")
        await bob.reads(said)
        ledger.changes(room, alice, bob, mallory, stale=False)
        await bob.arrives(RoomEntry(1, room, "added", alice.user, (mallory.user,), "member", 2))

        assert 0 < await bob.sealer.shares.step() <= 60
        bob.store.epochs.postpone_share(room, mallory.user, 0)
        await bob.sealer.shares.step()

        assert await mallory.reads(said) == "one"

    async def test_where_it_is_not_for_all_nothing_is_given(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group")
        await alice.says(room, "one")
        ledger.changes(room, alice, bob, mallory)
        await alice.arrives(RoomEntry(1, room, "added", alice.user, (mallory.user,), "member", 2))
        await alice.sealer.shares.step()

        assert mallory.user not in ledger.epochs[room][0]["wraps"]
        assert alice.store.epochs.shares() == []

    async def test_nor_to_who_was_verified_and_has_another_identity(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        await alice.says(room, "one")
        ledger.changes(room, alice, bob, mallory, stale=False)
        alice.keys.unverified.add(mallory.user)
        await alice.arrives(RoomEntry(1, room, "added", alice.user, (mallory.user,), "member", 2))

        assert 60 < await alice.sealer.shares.step() <= 600
        assert mallory.user not in ledger.epochs[room][0]["wraps"]

    async def test_a_device_that_is_not_listed_yet_gives_later(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        said = await alice.says(room, "one")
        ledger.changes(room, alice, bob, mallory, stale=False)
        ledger.refusals = [Problem("device_not_listed", 403)]
        await alice.arrives(RoomEntry(1, room, "added", alice.user, (mallory.user,), "member", 2))
        assert 60 < await alice.sealer.shares.step() <= 600
        assert mallory.user not in ledger.epochs[room][0]["wraps"]

        alice.store.epochs.postpone_share(room, mallory.user, 0)
        await alice.sealer.shares.step()
        assert await mallory.reads(said) == "one"

    async def test_a_wanting_member_whom_the_server_names_is_given_too(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        said = await alice.says(room, "one")
        ledger.changes(room, alice, bob, mallory, stale=False)
        bob.starts()
        await bob.says(room, "two")
        await bob.sealer.shares.step()

        assert await mallory.reads(said) == "one"


class TestWhoLacksEarlierEpochs:
    """Alice has begun again with new keys; she reads what was sent since then, and has added mallory."""

    @pytest.fixture
    async def room(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        self.said = [await alice.says(room, "one")]
        await bob.reads(self.said[0])
        alice.begins_again()
        self.said.append(await alice.says(room, "two"))
        await cannot(alice.reads(self.said[0]), "locked")
        ledger.changes(room, alice, bob, mallory, stale=False)
        await alice.arrives(added(room, alice, mallory))
        return room

    @pytest.fixture
    def later(self, monkeypatch):
        """So many seconds from when the test began."""
        now = time.time_ns()
        return lambda seconds: monkeypatch.setattr(time, "time_ns", lambda: now + seconds * 1_000_000_000)

    async def readable(self, who, room):
        """What of the two messages can be read."""
        await who.sealer.fetcher.range(room, 1, 2)
        return [epoch for epoch in (1, 2) if not who.store.epochs.missing([(room, epoch)])]

    async def test_lets_others_give_them(self, room, later, alice, bob, mallory):
        assert 60 < await alice.sealer.shares.step() <= 120
        assert await self.readable(mallory, room) == []

        await bob.arrives(added(room, alice, mallory))
        later(61)
        await bob.sealer.shares.step()
        assert [await mallory.reads(entry) for entry in self.said] == ["one", "two"]

        later(121)
        assert await alice.sealer.shares.step() == float("inf")
        assert alice.store.epochs.shares() == []

    async def test_and_gives_what_there_is_where_nobody_has_more(self, room, later, alice, mallory):
        await alice.sealer.shares.step()
        later(121)

        assert await alice.sealer.shares.step() == float("inf")
        assert await self.readable(mallory, room) == [2]
        assert await mallory.reads(self.said[1]) == "two"

    async def test_neither_reminders_nor_other_processes_make_that_earlier_or_later(self, room, later, alice, mallory):
        await alice.sealer.shares.step()
        for seconds in (40, 80):
            later(seconds)
            alice.goes_on()
            await alice.says(room, "more")  # the server names mallory as wanting
            assert 0 < await alice.sealer.shares.step() <= 121 - seconds
            assert await self.readable(mallory, room) == []
        later(121)
        await alice.sealer.shares.step()

        assert await self.readable(mallory, room) == [2]

    async def test_others_go_first_again_when_somebody_comes_back(self, ledger, room, later, alice, bob, mallory):
        await alice.sealer.shares.step()
        later(121)
        await alice.sealer.shares.step()
        ledger.changes(room, alice, bob)
        alice.stale(room)
        await alice.says(room, "without mallory")
        ledger.changes(room, alice, bob, mallory, stale=False)
        await alice.arrives(added(room, alice, mallory))

        assert 60 < await alice.sealer.shares.step() <= 120
        assert mallory.user not in ledger.epochs[room][2]["wraps"]


def added(room, by, user):
    return RoomEntry(1, room, "added", by.user, (user.user,), "member", by.ledger.rooms[room]["version"])


class TestGhosts:
    """A server that asks for keys on behalf of somebody whom nobody sees."""

    async def given_nothing(self, who, room):
        who.stale(room)
        await who.says(room, "on")
        await who.sealer.shares.step()
        return who.store.epochs.shares() == []

    @pytest.mark.parametrize("kind", ["direct", "group"])
    async def test_a_room_is_not_suddenly_one_whose_history_is_for_all(self, ledger, alice, bob, mallory, kind):
        room = ledger.room(alice, bob, kind=kind)
        await alice.says(room, "one")
        state = ledger._state
        ledger._state = lambda asked: state(asked) | {"history": "all", "wanting": [mallory.user]}

        assert await self.given_nothing(alice, room)
        ledger.rooms[room]["history"] = "all"
        assert await self.given_nothing(alice, room)
        assert all(mallory.user not in epoch["wraps"] for epoch in ledger.epochs[room])

    async def test_nor_is_one_that_the_user_was_out_of_in_between(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group")
        await alice.says(room, "one")
        alice.store.rooms.forget(room)
        ledger.rooms[room]["history"] = "all"
        ledger.changes(room, alice, bob, mallory, stale=False)
        await alice.arrives(RoomEntry(1, room, "added", alice.user, (mallory.user,), "member", 2))
        await alice.sealer.shares.step()

        assert mallory.user not in ledger.epochs[room][0]["wraps"]

    async def test_nor_is_somebody_given_keys_who_is_shown_to_nobody(self, ledger, alice, bob, mallory):
        room = ledger.room(alice, bob, kind="group", history="all")
        await alice.says(room, "one")
        state = ledger._state
        ledger._state = lambda asked: state(asked) | {"wanting": [mallory.user]}

        assert await self.given_nothing(alice, room)
        assert all(mallory.user not in epoch["wraps"] for epoch in ledger.epochs[room])


async def test_a_new_device_reads_the_keys_of_all_rooms_in_one_go(ledger, alice, bob):
    said = []
    for number in range(20):
        said.append(await alice.says(ledger.room(alice, bob), f"room {number}"))
    bob.starts()
    ledger.asked.clear()

    await bob.sealer.fetch(said)

    assert [bob.opens(entry) for entry in said] == [f"room {number}" for number in range(20)]
    assert ledger.asked == ["GET e2ee/epoch-keys?limit=500"]
    assert bob.store.epochs.is_restored


def test_drafts_rest_sealed(alice):
    kept = alice.sealer.keep(b"not yet sent")
    assert b"sent" not in kept
    assert alice.sealer.kept(kept) == b"not yet sent"
    with pytest.raises(CannotOpen) as refused:
        alice.sealer.kept(kept[:-1])
    assert refused.value.problem == "locked"
