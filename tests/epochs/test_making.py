"""An epoch is made for exactly the present members' present keys, by a listed device, once; or it is not made."""

import asyncio
import os
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import epoch_documents
from kernel.errors import DomainError
from kernel.limits import EPOCH_BYTES
from tests.cast import b64, ok
from tests.epochs.conftest import with_keys
from tests.epochs.maker import Room, a_wrap, digest_of, lines_of
from tests.keys.keyring import Keyring, signed


async def state(keys, room):
    return await keys.person.phone.gets(f"rooms/{room.id}/e2ee")


class TestMaking:
    async def test_the_first_and_the_next(self, alice, bob, room):
        assert await state(alice, room) == {
            "epoch": None, "stale": False, "reasons": [], "members_version": 1, "history": "joined", "wanting": [],
        }  # fmt: skip
        first = await room.begins(alice)
        second = await room.begins(bob)

        assert (await state(bob, room))["epoch"] == 2
        assert (await alice.person.phone.gets(f"rooms/{room.id}"))["epoch"] == 2
        page = await bob.person.phone.gets(f"rooms/{room.id}/epochs")
        assert page == {
            "epochs": [
                {
                    "room": room.id, "epoch": number, "creator": by.person.id, "device": by.person.phone.id,
                    "record": body["record"], "wrap": body["wraps"][bob.person.id],
                }
                for number, by, body in ((1, alice, first), (2, bob, second))
            ],
            "next": None,
        }  # fmt: skip

    async def test_every_member_is_told_in_order_with_the_messages(self, alice, bob, room):
        async with bob.person.phone.socket() as socket:
            await room.begins(alice)
            entry = await socket.entry("epoch")

        assert entry == {
            "seq": entry["seq"], "kind": "epoch", "room": room.id, "epoch": 1, "creator": alice.person.id,
            "device": alice.person.phone.id, "hash": entry["hash"],
        }  # fmt: skip

    async def test_the_same_request_again_is_taken_as_the_first_time(self, alice, room):
        body = await room.begins(alice)

        assert ok(await alice.person.phone.http.post(f"rooms/{room.id}/epochs", json=body), 201) == {"epoch": 1}

    async def test_who_has_no_keys_is_left_out_and_wanted_once_there_are_some(self, cast, alice, bob):
        carol = Keyring(await cast.person("carol"))
        group = Room(await cast.group(alice.person, bob.person, carol.person), alice, bob)
        await group.begins(alice)
        assert (await state(alice, group))["wanting"] == []

        await carol.sets_up()
        found = await state(alice, group)
        assert (found["stale"], found["reasons"], found["wanting"]) == (True, ["keys"], [carol.person.id])

        group.members.append(carol)
        await group.begins(bob)
        assert (await state(alice, group))["stale"] is False

    async def test_one_of_many_who_try_at_once_makes_it_and_the_others_learn_who(self, cast, alice):
        crowd = [alice, *[await with_keys(cast, f"bob{n}") for n in range(9)]]
        group = Room(await cast.group(*[keys.person for keys in crowd]), *crowd)

        found = await asyncio.gather(*(group.tries(keys) for keys in crowd * 2))

        assert sorted(status for status, _, _ in found)[:1] == [201]
        assert {(status, code) for status, code, _ in found} <= {(201, ""), (409, "epoch_exists")}
        assert sum(status == 201 for status, _, _ in found) == 1
        assert {said["epoch"] for status, _, said in found if status == 409} == {1}
        page = await alice.person.phone.gets(f"rooms/{group.id}/epochs")
        assert len(page["epochs"]) == 1

    async def test_a_member_makes_another_though_nothing_outdated_it(self, alice, bob, room):
        """So does one whose wrap does not open."""
        await room.begins(alice)
        await room.begins(bob)


class TestRefusals:
    async def test_by_somebody_else_the_room_is_not_found(self, mallory, room):
        assert (await room.tries(mallory))[:2] == (404, "not_found")

    async def test_without_keys_of_ones_own(self, cast, alice):
        carol = Keyring(await cast.person("carol"))
        room = Room(await alice.person.direct_room(carol.person), alice, carol)

        assert (await room.tries(carol))[:2] == (409, "keys_missing")

    async def test_by_a_device_that_is_not_listed(self, alice, room):
        laptop = await alice.person.new_device()
        alice.with_device(laptop)
        answer = await laptop.http.post(f"rooms/{room.id}/epochs", json=room.body(alice, device=laptop))

        assert (answer.status_code, answer.json()["code"]) == (403, "device_not_listed")

    async def test_under_the_name_of_another_device(self, alice, room):
        laptop = await alice.person.new_device()
        alice.with_device(laptop)

        assert (await room.tries(alice, room.body(alice, device=laptop)))[:2] == (400, "invalid")

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"v": 2}, "record.v"), ({"v": True}, "record.v"), ({"room": "0192f1aa-0000-7000-8000-0000000000ff"}, "record.room"),
            ({"epoch": 2}, "record.epoch"), ({"epoch": 0}, "record.epoch"), ({"epoch": 1.0}, "record.epoch"),
            ({"prev": b64(bytes(32))}, "record.prev"), ({"prev": b64(bytes(31))}, "record.prev"),
            ({"creator": "0192f1aa-0000-7000-8000-00000000000a"}, "record.creator"),
            ({"device": "0192f1aa-0000-7000-8000-0000000000d1"}, "record.device"),
            ({"roster": b64(bytes(32))}, "record.roster"), ({"commit": b64(bytes(31))}, "record.commit"),
            ({"ts": -1}, "record.ts"), ({"ts": None}, "ts"), ({"extra": 1}, "extra"),
        ],
    )  # fmt: skip
    async def test_a_record_that_says_anything_else(self, alice, room, change, field):
        status, code, said = await room.tries(alice, record=room.record(alice, **change))

        assert (status, code in ("invalid", "unknown_field"), said.get("field")) == (400, True, field)

    async def test_a_signature_of_another_key(self, alice, bob, room):
        body = room.body(alice)
        forged = signed(
            room.record(alice), bob.signing[bob.person.phone.id], kind="chat.e2ee.v1.epoch", keyid=alice.person.phone.id
        )

        assert (await room.tries(alice, body | {"record": forged}))[2]["field"] == "record"

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda body, user: body["wraps"].pop(user),
            lambda body, user: body["wraps"].update({user: a_wrap(2)}),
            lambda body, user: body["wraps"].update({user: {"ver": 1, "ct": b64(os.urandom(79))}}),
            lambda body, user: body["wraps"].update({user: {"ver": 1, "ct": b64(bytes(80))[:-1] + "B"}}),
            lambda body, user: body["wraps"].update({user: {"ver": True, "ct": b64(bytes(80))}}),
            lambda body, user: body["wraps"].update({user: a_wrap() | {"more": 1}}),
            lambda body, user: body["roster"].append(body["roster"][0]),
            lambda body, user: body["roster"].append([user, 1, 1]),
            lambda body, user: body["roster"].clear(),
            lambda body, user: body.update(wraps=[]),
            lambda body, user: body.update(members_version="1"),
        ],
    )
    async def test_lists_that_do_not_fit(self, alice, bob, room, spoil):
        body = room.body(alice)
        spoil(body, bob.person.id)

        assert (await room.tries(alice, body))[:2] == (400, "invalid")

    async def test_a_plaintext_beside_it(self, alice, room):
        assert (await room.tries(alice, body=room.body(alice) | {"key": b64(bytes(32))}))[:2] == (400, "unknown_field")

    async def test_more_than_any_epoch_has(self, alice, room):
        body = room.body(alice) | {"key": "x" * EPOCH_BYTES}

        assert (await room.tries(alice, body))[:2] == (413, "too_large")

    async def test_for_members_who_have_changed_meanwhile(self, alice, mallory, group):
        body = group.body(alice)
        await alice.person.phone.posts(f"rooms/{group.id}/members", {"users": [mallory.person.id]})

        status, code, said = await group.tries(alice, body)
        assert (status, code, said["members_version"]) == (409, "members_changed", 2)

    async def test_with_a_ghost_or_without_somebody(self, alice, bob, mallory, group):
        for members in ([alice], [alice, bob, mallory]):
            other = Room(group.id, *members)
            status, code, said = await other.tries(alice)

            assert (status, code) == (409, "userkeys_changed")
            assert said["users"] == sorted({bob.person.id} if len(members) == 1 else {mallory.person.id})

    async def test_with_keys_that_are_others_by_now(self, alice, bob, group):
        body = group.body(alice)
        await bob.rotates()

        status, code, said = await group.tries(alice, body)
        assert (status, code, said["users"]) == (409, "userkeys_changed", [bob.person.id])

    async def test_an_epoch_that_is_there_already(self, alice, bob, room):
        body = room.body(bob)
        await room.begins(alice)

        status, code, said = await room.tries(bob, body)
        assert (status, code, said["epoch"]) == (409, "epoch_exists", 1)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_uploaded_is_read_or_refused(anything):
    for read in (
        lambda: epoch_documents.read_new(anything, device="phone"),
        lambda: epoch_documents.read_wraps(anything),
    ):
        with pytest.raises(DomainError):
            read()


def test_the_roster_is_hashed_as_the_protocol_says():
    """The golden vector of the format's design."""
    roster = [
        ["0192f1aa-0000-7000-8000-00000000000a", "tRKD77wO2HNC4riF3MQ1nU73Ydjo4zmM1pZZWVUR5-I", 1],
    ]
    text = epoch_documents.roster_text([(user, identity, version) for user, identity, version in roster])

    assert text == "0192f1aa-0000-7000-8000-00000000000a:tRKD77wO2HNC4riF3MQ1nU73Ydjo4zmM1pZZWVUR5-I:1\n"
    assert b64(sha256(text.encode()).digest()) == digest_of(roster)
    assert epoch_documents.roster_json(text) == roster
    assert lines_of([]) == []
