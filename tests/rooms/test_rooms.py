"""Making rooms, finding them, and changing who is in them, through HTTP."""

import asyncio
import json

import pytest

from tests.cast import ok


def roles_of(room):
    return {member["user"]: member["role"] for member in room["members"]}


async def changes_of(device, room):
    """The room entries of a device's mailbox for this room, as (change, by, users, role, members_version)."""
    answer = await device.http.get(f"rooms/{room}/messages")
    if answer.status_code == 404:
        return []  # who has left before the first entry came does not know the room yet
    page = ok(answer)
    found = [entry for entry in reversed(page["entries"]) if entry["kind"] == "room"]
    return [(e["change"], e["by"], e["users"], e["role"], e["members_version"]) for e in found]


async def eventually(ask, wanted, patience_s=10):
    """Ask again until the answer is the wanted one: entries arrive after the answer to who changed the room."""
    async with asyncio.timeout(patience_s):
        while (answer := await ask()) != wanted:
            await asyncio.sleep(0.02)
    return answer


class TestDirectRooms:
    async def test_a_pair_has_one_room_whoever_asks(self, cast):
        alice, bob = await cast.people("alice", "bob")

        made = await alice.phone.posts("rooms", {"kind": "direct", "peer": bob.id}, status=201)
        again = await bob.phone.posts("rooms", {"kind": "direct", "peer": alice.id}, status=200)

        assert made == again
        assert made["kind"] == "direct"
        assert roles_of(made) == {alice.id: "member", bob.id: "member"}
        assert {member["username"] for member in made["members"]} == {alice.username, bob.username}

    async def test_all_who_ask_at_once_get_the_same_room(self, cast):
        alice, bob = await cast.people("alice", "bob")

        answers = await asyncio.gather(
            *(
                one.phone.http.post("rooms", json={"kind": "direct", "peer": other.id})
                for one, other in [(alice, bob), (bob, alice)] * 8
            )
        )

        assert {answer.status_code for answer in answers} <= {200, 201}
        assert [answer.status_code for answer in answers].count(201) == 1
        assert len({answer.json()["id"] for answer in answers}) == 1
        (room,) = {answer.json()["id"] for answer in answers}
        everybody = sorted([alice.id, bob.id])
        for person in (alice, bob):
            (change,) = await eventually_some(person.phone, room)
            assert (change[0], sorted(change[2]), change[4]) == ("created", everybody, 1)

    async def test_it_keeps_its_two_people(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        room = await alice.direct_room(bob)

        for method, path, form in [
            ("POST", "members", {"users": [carol.id]}),
            ("DELETE", f"members/{bob.id}", None),
            ("PATCH", f"members/{bob.id}", {"role": "admin"}),
            ("POST", "leave", {}),
            ("POST", "owner", {"user": bob.id}),
        ]:
            answer = await alice.phone.http.request(method, f"rooms/{room}/{path}", json=form)
            assert (answer.status_code, answer.json()["code"]) == (409, "conflict")

    async def test_it_needs_somebody_else_who_exists(self, cast):
        alice = await cast.person("alice")

        oneself = await alice.phone.http.post("rooms", json={"kind": "direct", "peer": alice.id})
        nobody = await alice.phone.http.post("rooms", json={"kind": "direct", "peer": alice.phone.id})

        assert (oneself.status_code, oneself.json()["field"]) == (400, "peer")
        assert (nobody.status_code, nobody.json()["field"]) == (404, "peer")


async def eventually_some(device, room, patience_s=10):
    async with asyncio.timeout(patience_s):
        while True:
            if found := await changes_of(device, room):
                return found
            await asyncio.sleep(0.02)


class TestGroups:
    async def test_the_creator_owns_it_and_is_in_it_once(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")

        room = await alice.phone.posts(
            "rooms", {"kind": "group", "members": [bob.id, carol.id, alice.id, bob.id]}, status=201
        )

        assert roles_of(room) == {alice.id: "owner", bob.id: "member", carol.id: "member"}
        assert await bob.phone.gets(f"rooms/{room['id']}") == room

    async def test_it_has_somebody_beside_the_creator_and_at_most_a_thousand(self, cast):
        alice, bob = await cast.people("alice", "bob")

        alone = await alice.phone.http.post("rooms", json={"kind": "group", "members": [alice.id]})
        many = [f"00000000-0000-4000-8000-{number:012x}" for number in range(1000)]
        crowd = await alice.phone.http.post("rooms", json={"kind": "group", "members": many})
        room = await cast.group(alice, bob)
        late = await alice.phone.http.post(f"rooms/{room}/members", json={"users": many[:999]})

        assert (alone.status_code, alone.json()["field"]) == (400, "members")
        assert (crowd.status_code, crowd.json()["code"]) == (413, "too_large")
        assert (late.status_code, late.json()["code"]) == (413, "too_large")

    async def test_every_change_reaches_everybody_in_order(self, cast):
        alice, bob, carol, dave = await cast.people("alice", "bob", "carol", "dave")
        room = await cast.group(alice, bob, carol)

        await alice.phone.posts(f"rooms/{room}/members", {"users": [dave.id, bob.id]})
        ok(await alice.phone.http.patch(f"rooms/{room}/members/{bob.id}", json={"role": "admin"}))
        ok(await bob.phone.http.delete(f"rooms/{room}/members/{carol.id}"), 204)
        await alice.phone.posts(f"rooms/{room}/owner", {"user": bob.id})
        after = await bob.phone.gets(f"rooms/{room}")
        await alice.phone.posts(f"rooms/{room}/leave", {}, status=204)

        assert roles_of(after) == {alice.id: "admin", bob.id: "owner", dave.id: "member"}
        added = ("added", alice.id, [dave.id], "member", 2)
        role = ("role", alice.id, [bob.id], "admin", 3)
        removed = ("removed", bob.id, [carol.id], None, 4)
        owner = ("owner", alice.id, [bob.id], "owner", 5)
        left = ("left", alice.id, [alice.id], None, 6)
        rest = [added, role, removed, owner, left]
        for person, expected in [(alice, rest), (bob, rest), (carol, [added, role, removed]), (dave, rest)]:
            wanted = expected if person is dave else [("created", alice.id, None, None, 1), *expected]

            async def seen(person=person):
                changes = await changes_of(person.phone, room)
                # Whom `created` names is in no order.
                return [(c, by, None if c == "created" else users, r, v) for c, by, users, r, v in changes]

            await eventually(seen, wanted)

    async def test_what_changes_nothing_is_told_nobody(self, cast):
        alice, bob = await cast.people("alice", "bob")
        room = await cast.group(alice, bob)

        same = await alice.phone.posts(f"rooms/{room}/members", {"users": [bob.id]})
        role = ok(await alice.phone.http.patch(f"rooms/{room}/members/{bob.id}", json={"role": "member"}))

        assert same["members_version"] == role["members_version"] == 1

    async def test_the_last_one_may_leave_the_owner_of_others_may_not(self, cast):
        alice, bob = await cast.people("alice", "bob")
        room = await cast.group(alice, bob)

        refused = await alice.phone.http.post(f"rooms/{room}/leave", json={})
        await bob.phone.posts(f"rooms/{room}/leave", {}, status=204)
        await alice.phone.posts(f"rooms/{room}/leave", {}, status=204)

        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        assert (await alice.phone.gets("rooms"))["rooms"] == []

    async def test_a_role_that_does_not_suffice_is_403(self, cast):
        alice, bob, carol, dave = await cast.people("alice", "bob", "carol", "dave")
        room = await cast.group(alice, bob, carol)
        ok(await alice.phone.http.patch(f"rooms/{room}/members/{bob.id}", json={"role": "admin"}))

        refused = [
            await carol.phone.http.post(f"rooms/{room}/members", json={"users": [dave.id]}),
            await carol.phone.http.delete(f"rooms/{room}/members/{bob.id}"),
            await bob.phone.http.delete(f"rooms/{room}/members/{alice.id}"),
            await bob.phone.http.patch(f"rooms/{room}/members/{carol.id}", json={"role": "admin"}),
            await bob.phone.http.post(f"rooms/{room}/owner", json={"user": bob.id}),
            await alice.phone.http.delete(f"rooms/{room}/members/{alice.id}"),
        ]

        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(403, "forbidden")}


class TestStrangers:
    async def test_to_others_a_room_does_not_exist(self, cast):
        alice, bob, mallory = await cast.people("alice", "bob", "mallory")
        room = await cast.group(alice, bob)
        nowhere = alice.phone.id
        tries = [
            ("GET", "rooms/{}", None),
            ("POST", "rooms/{}/members", {"users": [mallory.id]}),
            ("DELETE", f"rooms/{{}}/members/{bob.id}", None),
            ("PATCH", f"rooms/{{}}/members/{bob.id}", {"role": "admin"}),
            ("POST", "rooms/{}/leave", {}),
            ("POST", "rooms/{}/owner", {"user": mallory.id}),
            ("GET", "rooms/{}/messages", None),
            ("POST", "rooms/{}/read", {"seq": 0}),
            ("GET", "rooms/{}/receipts", None),
        ]

        for method, path, form in tries:
            answers = [await mallory.phone.http.request(method, path.format(id), json=form) for id in (room, nowhere)]
            assert {answer.status_code for answer in answers} == {404}, path
            assert answers[0].json() == answers[1].json()

    async def test_they_find_only_their_own(self, cast):
        alice, bob, mallory = await cast.people("alice", "bob", "mallory")
        await cast.group(alice, bob)

        assert await mallory.phone.gets("rooms") == {"rooms": [], "next": None}


class TestTheList:
    async def test_it_comes_in_pages_without_a_gap(self, cast):
        alice, bob = await cast.people("alice", "bob")
        rooms = [await cast.group(alice, bob) for _ in range(7)]

        found, after = [], {}
        for _ in range(4):
            page = await alice.phone.gets("rooms", limit=2, **after)
            found += [room["id"] for room in page["rooms"]]
            after = {"after": page["next"]}

        assert found == sorted(rooms)
        assert page["next"] is None


class TestTheSuspended:
    async def test_they_change_no_room_and_are_brought_into_none(self, cast):
        from django.utils import timezone

        from accounts.models import User

        alice, bob, mallory = await cast.people("alice", "bob", "mallory")
        room = await cast.group(alice, bob, mallory)
        await asyncio.to_thread(lambda: User.objects.filter(id=mallory.id).update(suspended_at=timezone.now()))

        writes = await mallory.phone.http.post(f"rooms/{room}/leave", json={})
        opens = await mallory.phone.http.post("rooms", json={"kind": "direct", "peer": bob.id})
        invited = await alice.phone.http.post("rooms", json={"kind": "direct", "peer": mallory.id})

        assert {(answer.status_code, answer.json()["code"]) for answer in (writes, opens)} == {(403, "suspended")}
        assert (invited.status_code, invited.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ([], None),
        ("room", None),
        (None, None),
        ({}, "kind"),
        ({"kind": "party"}, "kind"),
        ({"kind": ["group"]}, "kind"),
        ({"kind": "direct"}, "peer"),
        ({"kind": "direct", "peer": "x\x00"}, "peer"),
        ({"kind": "direct", "peer": 2**70}, "peer"),
        ({"kind": "direct", "peer": "019AB0C4-7D3E-7AAA-8BBB-0123456789AB"}, "peer"),
        ({"kind": "direct", "peer": "019ab0c4-7d3e-7aaa-8bbb-0123456789ab", "members": []}, "members"),
        ({"kind": "group", "members": {}}, "members"),
        ({"kind": "group", "members": []}, "members"),
        ({"kind": "group", "members": [1]}, "members"),
        ({"kind": "group", "members": ["019ab0c4-7d3e-7aaa-8bbb-0123456789ab"], "name": "Tea"}, "name"),
    ],
)
async def test_a_form_that_is_wrong_is_400_and_the_field_is_named(cast, form, field):
    alice = await cast.person("alice")

    answer = await alice.phone.http.post(
        "rooms", content=json.dumps(form), headers={"Content-Type": "application/json"}
    )

    assert (answer.status_code, answer.json().get("field")) == (400, field)
