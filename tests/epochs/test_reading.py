"""Who gets which epochs: members all of a room, each with their own wrap; who left, what they could open; a joiner what is given."""

import pytest
from django.test import override_settings

from chat import epochs
from chat.models import Room as StoredRoom
from kernel.errors import TooManyRequests
from tests.cast import ok
from tests.epochs.conftest import with_keys
from tests.epochs.maker import Room, a_wrap, lines_of


async def pages(device, path, **params):
    """All pages of a list of epochs."""
    found, more = [], dict(params)
    while True:
        page = await device.gets(path, **more)
        found += page["epochs"]
        if page["next"] is None:
            return found
        more["from" if path.endswith("epochs") else "after"] = page["next"]


def numbers(found):
    return [each["epoch"] for each in found]


async def epochs_of(keys, room, **params):
    return await pages(keys.person.phone, f"rooms/{room.id}/epochs", **params)


async def gives(by, room, to, *numbers, status=204, version=None):
    body = {"user": to.person.id, "wraps": [{"epoch": n, **a_wrap(version or to.version)} for n in numbers]}
    answer = await by.person.phone.http.post(f"rooms/{room.id}/epochs/wraps", json=body)
    assert answer.status_code == status, answer.text
    return body["wraps"] if status == 204 else answer.json()["code"]


@pytest.fixture
async def open_group(alice, bob):
    """A group whose history is for who comes later, too."""
    form = {"kind": "group", "members": [bob.person.id], "history": "all"}
    made = await alice.person.phone.posts("rooms", form, 201)
    assert made["history"] == "all"
    return Room(made["id"], alice, bob)


async def joins(keys, room, by):
    await by.person.phone.posts(f"rooms/{room.id}/members", {"users": [keys.person.id]})
    room.members_version += 1
    room.members.append(keys)


async def test_a_range_of_them(alice, room):
    for _ in range(4):
        await room.begins(alice)

    assert numbers(await epochs_of(alice, room, **{"from": 2, "to": 3})) == [2, 3]
    assert numbers(await epochs_of(alice, room, **{"from": 5})) == []
    for query in ("from=0", "to=x", "first=1"):
        assert (await alice.person.phone.http.get(f"rooms/{room.id}/epochs?{query}")).status_code == 400


async def test_who_can_read_an_epoch_is_the_list_that_was_signed(alice, bob, mallory, room):
    await room.begins(alice)
    path = f"rooms/{room.id}/epochs/1/roster"

    assert (await bob.person.phone.gets(path))["roster"] == lines_of([alice, bob])
    for device, where in ((mallory.person.phone, path), (bob.person.phone, f"rooms/{room.id}/epochs/2/roster")):
        await device.gets(where, 404)


async def test_a_stranger_sees_nothing(mallory, alice, room):
    await room.begins(alice)

    for path in ("e2ee", "epochs"):
        await mallory.person.phone.gets(f"rooms/{room.id}/{path}", 404)
    assert await pages(mallory.person.phone, "e2ee/epoch-keys") == []


async def test_a_new_device_reads_all_keys_of_all_rooms_in_pages(cast, alice, bob, mallory, room, group):
    other = Room(await alice.person.direct_room(mallory.person), alice, mallory)
    for each, by, count in ((room, alice, 3), (group, bob, 2), (other, mallory, 4)):
        for _ in range(count):
            await each.begins(by)

    found = await pages(alice.person.phone, "e2ee/epoch-keys", limit=2)
    assert [(each["room"], each["epoch"]) for each in found] == sorted(
        [(room.id, n) for n in (1, 2, 3)] + [(group.id, n) for n in (1, 2)] + [(other.id, n) for n in (1, 2, 3, 4)]
    )
    assert all(each["wrap"]["ver"] == 1 for each in found)
    assert {each["room"] for each in await pages(mallory.person.phone, "e2ee/epoch-keys")} == {other.id}
    for after in ("x", f"{room.id}:", f"{room.id}:-1", f"{room.id.upper()}X:1"):
        assert (await alice.person.phone.http.get("e2ee/epoch-keys", params={"after": after})).status_code == 400


async def test_who_is_put_out_keeps_what_could_be_read_and_gets_nothing_more(alice, bob, group):
    await group.begins(alice)
    await group.begins(alice)
    ok(await alice.person.phone.http.delete(f"rooms/{group.id}/members/{bob.person.id}"), 204)
    found = await alice.person.phone.gets(f"rooms/{group.id}/e2ee")
    assert (found["stale"], found["reasons"]) == (True, ["left"])

    group.members.remove(bob)
    group.members_version += 1
    await group.begins(alice)

    assert numbers(await epochs_of(bob, group)) == [1, 2]
    assert numbers(await pages(bob.person.phone, "e2ee/epoch-keys")) == [1, 2]
    await bob.person.phone.gets(f"rooms/{group.id}/epochs/2/roster")
    await bob.person.phone.gets(f"rooms/{group.id}/epochs/3/roster", 404)
    await bob.person.phone.gets(f"rooms/{group.id}/e2ee", 404)
    assert (await group.tries(bob))[0] == 404
    assert numbers(await epochs_of(alice, group)) == [1, 2, 3]


async def test_a_join_outdates_and_leaves_a_moment_for_what_is_on_its_way(alice, mallory, group):
    await group.begins(alice)
    await joins(mallory, group, by=alice)
    assert (await alice.person.phone.gets(f"rooms/{group.id}/e2ee"))["reasons"] == ["joined"]
    await group.begins(mallory)

    stored = await StoredRoom.objects.aget(id=group.id)
    assert stored.grace_until is not None
    (first, second) = await epochs_of(mallory, group)
    assert (first["wrap"], second["wrap"]["ver"]) == (None, 1)


async def test_no_such_moment_when_somebody_left_too(alice, bob, mallory, group):
    await group.begins(alice)
    await joins(mallory, group, by=alice)
    ok(await bob.person.phone.http.post(f"rooms/{group.id}/leave", json={}), 204)
    group.members.remove(bob)
    group.members_version += 1
    assert (await alice.person.phone.gets(f"rooms/{group.id}/e2ee"))["reasons"] == ["left", "joined"]
    await group.begins(alice)

    assert (await StoredRoom.objects.aget(id=group.id)).grace_until is None


class TestGivingKeys:
    async def test_to_who_comes_later_where_the_history_is_for_all(self, alice, bob, mallory, open_group):
        room = open_group
        await room.begins(alice)
        await room.begins(bob)
        await joins(mallory, room, by=alice)
        found = await alice.person.phone.gets(f"rooms/{room.id}/e2ee")
        assert (found["stale"], found["wanting"], found["history"]) == (False, [mallory.person.id], "all")

        given = await gives(alice, room, mallory, 1, 2)

        assert (await alice.person.phone.gets(f"rooms/{room.id}/e2ee"))["wanting"] == []
        assert [each["wrap"] for each in await epochs_of(mallory, room)] == [
            {"ver": each["ver"], "ct": each["ct"]} for each in given
        ]
        await mallory.person.phone.gets(f"rooms/{room.id}/epochs/1/roster")

    async def test_nobody_else_replaces_a_wrap(self, alice, bob, open_group):
        body = await open_group.begins(alice)
        await gives(alice, open_group, bob, 1)
        assert (await epochs_of(bob, open_group))[0]["wrap"] == body["wraps"][bob.person.id]

        (own,) = await gives(bob, open_group, bob, 1)
        assert (await epochs_of(bob, open_group))[0]["wrap"]["ct"] == own["ct"]

    async def test_not_where_it_is_for_present_members_only(self, alice, mallory, group):
        await group.begins(alice)
        await joins(mallory, group, by=alice)

        assert await gives(alice, group, mallory, 1, status=403) == "forbidden"

    async def test_not_by_nor_to_strangers_nor_of_what_one_has_not(self, cast, alice, bob, mallory, open_group):
        await open_group.begins(alice)
        assert await gives(mallory, open_group, bob, 1, status=404) == "not_found"
        assert await gives(alice, open_group, mallory, 1, status=404) == "not_found"
        assert await gives(alice, open_group, bob, 2, status=404) == "not_found"
        await joins(mallory, open_group, by=alice)
        carol = await with_keys(cast, "carol")
        await joins(carol, open_group, by=alice)
        assert await gives(mallory, open_group, carol, 1, status=404) == "not_found"

    async def test_only_by_a_device_that_the_key_document_lists(self, alice, bob, mallory, open_group):
        """Whoever has a token of the user's and nothing else puts no garbage where a key belongs."""
        body = await open_group.begins(alice)
        await joins(mallory, open_group, by=alice)
        laptop = await alice.person.new_device()
        for user in (mallory, alice):
            form = {"user": user.person.id, "wraps": [{"epoch": 1, **a_wrap()}]}
            answer = await laptop.http.post(f"rooms/{open_group.id}/epochs/wraps", json=form)
            assert (answer.status_code, answer.json()["code"]) == (403, "device_not_listed")

        (epoch,) = await epochs_of(mallory, open_group)
        assert epoch["wrap"] is None
        assert (await epochs_of(alice, open_group))[0]["wrap"] == body["wraps"][alice.person.id]

    async def test_for_the_present_encryption_key_only(self, alice, bob, mallory, open_group):
        await open_group.begins(alice)
        await joins(mallory, open_group, by=alice)
        await mallory.rotates()

        assert await gives(alice, open_group, mallory, 1, version=1, status=409) == "userkeys_changed"
        await gives(alice, open_group, mallory, 1)

    @pytest.mark.parametrize(
        "wraps", [[], [{"epoch": 1}], [{"epoch": 0, **a_wrap()}], [{"epoch": 1, **a_wrap()}] * 2, {}]
    )
    async def test_only_in_the_right_form(self, alice, bob, open_group, wraps):
        body = {"user": bob.person.id, "wraps": wraps}
        answer = await alice.person.phone.http.post(f"rooms/{open_group.id}/epochs/wraps", json=body)

        assert (answer.status_code, answer.json()["code"]) == (400, "invalid")


def test_a_device_makes_six_epochs_of_a_room_in_a_minute():
    with override_settings(RATE_SCALE=1.0):
        for _ in range(6):
            epochs.take_turn("room", "alice", "phone")
        with pytest.raises(TooManyRequests):
            epochs.take_turn("room", "alice", "phone")
        epochs.take_turn("room", "alice", "laptop")
        epochs.take_turn("other", "alice", "phone")


def test_a_user_makes_few_epochs_that_nothing_asks_for_with_however_many_devices():
    with override_settings(RATE_SCALE=1.0):
        for number in range(20):
            epochs.take_turn("a room", "alice", f"{number}", is_early=True)
        with pytest.raises(TooManyRequests):
            epochs.take_turn("a room", "alice", "another", is_early=True)
        epochs.take_turn("a room", "alice", "another")
        epochs.take_turn("a room", "bob", "phone", is_early=True)


class TestSendingMeanwhile:
    """What is sealed under an epoch while it ends."""

    async def test_under_the_one_before_for_a_moment_if_somebody_only_came(self, alice, mallory, group):
        await group.begins(alice)
        await joins(mallory, group, by=alice)
        assert await sends(alice, group, 1) == "epoch_stale"
        await group.begins(mallory)

        assert await sends(alice, group, 1) == await sends(alice, group, 2) == ""
        await group.begins(alice)
        assert await sends(alice, group, 1) == await sends(alice, group, 2) == "epoch_stale"

    async def test_no_more_once_somebody_left(self, alice, bob, mallory, group):
        await joins(mallory, group, by=alice)
        await group.begins(alice)
        ok(await bob.person.phone.http.post(f"rooms/{group.id}/leave", json={}), 204)
        assert await sends(mallory, group, 1) == "epoch_stale"
        group.members.remove(bob)
        group.members_version += 1
        await group.begins(mallory)

        assert (await sends(alice, group, 1), await sends(alice, group, 2)) == ("epoch_stale", "")

    async def test_a_join_where_the_history_is_for_all_ends_nothing(self, alice, mallory, open_group):
        await open_group.begins(alice)
        await joins(mallory, open_group, by=alice)

        assert await sends(alice, open_group, 1) == ""


async def sends(keys, room, epoch):
    """Send under this epoch; the code of the refusal, if it is one."""
    answer = await keys.person.phone.tries(room.id, bytes(156), alg="chat.e2ee.v1", epoch=epoch)
    return answer.json().get("code", "")
