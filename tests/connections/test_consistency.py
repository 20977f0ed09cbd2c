"""Two devices of one user change the same connection: both rules of docs/protocol.md §5.3, and all that a refusal says."""

import asyncio

from tests.cast import b64
from tests.connections.address_book import change, query, stands, synced, told, whole


class TestConfirm:
    async def test_a_change_on_an_older_version_comes_back_with_all_one_needs_to_ask(self, cast):
        alice, bob = await cast.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        blocked = await change(alice.phone, "block", bob)
        await change(alice.phone, "unblock", bob)
        newest = await change(alice.phone, "block", bob)

        refused = await change(tablet, "unblock", bob, base_version=1, status=409)

        assert refused["code"] == "connection_changed"
        assert (
            refused["connection"]
            == newest["connection"]
            == {**blocked["connection"], "version": 3} | {"changed_at": newest["connection"]["changed_at"]}
        )
        assert refused["version"] == 3
        assert refused["request"] == {"action": "unblock", "user": bob.id, "base_version": 1}
        assert refused["changed_by"] == alice.phone.id
        assert refused["changed_at"] == newest["connection"]["changed_at"]
        assert await stands(tablet, bob) == ("none", True, False)

    async def test_the_confirmed_change_is_taken_on_the_current_version(self, cast):
        alice, bob = await cast.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", bob)
        async with alice.phone.socket() as socket:
            refused = await change(tablet, "note", bob, base_version=0, note=b64(b"x"), status=409)
            again = refused["request"] | {"base_version": refused["version"]}
            confirmed = await tablet.posts("connections", again)
            await told(socket, 2)
        assert confirmed["connection"]["changed_by"] == tablet.id

    async def test_what_the_other_side_did_holds_up_no_decision(self, cast):
        alice, bob = await cast.people("alice", "bob")
        await change(bob.phone, "block", alice)

        done = await change(alice.phone, "block", bob, base_version=0)

        assert (done["connection"]["blocked"], done["connection"]["blocked_by"]) == (True, True)

    async def test_changes_of_other_connections_are_no_conflict(self, cast):
        alice, bob, carol = await cast.people("alice", "bob", "carol")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", carol)
        assert (await change(tablet, "block", bob, base_version=0))["version"] == 2

    async def test_of_two_devices_at_once_one_is_asked_again(self, cast, system):
        alice, bob = await cast.people("alice", "bob")
        devices = [alice.phone, *[await alice.new_device(f"tablet {n}") for n in range(3)]]
        await change(alice.phone, "block", bob)
        doors = [cast.http(device.access, system.urls[n % 2]) for n, device in enumerate(devices)]
        forms = [{"action": "note", "user": bob.id, "base_version": 1, "note": b64(bytes([n]))} for n in range(4)]

        answers = await asyncio.gather(
            *(door.post("connections", json=form) for door, form in zip(doors, forms, strict=True))
        )

        assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
        assert (await whole(alice.phone))["version"] == 2


class TestRestrict:
    async def test_an_unblock_waits_for_the_other_devices(self, strict):
        alice, bob = await strict.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", bob)

        refused = await change(alice.phone, "unblock", bob, status=423)
        assert refused["code"] == "devices_lag"
        assert [(each["id"], each["name"]) for each in refused["devices"]] == [(tablet.id, "tablet")]
        assert refused["devices"][0].keys() == {"id", "name", "last_seen_at"}

        await synced(tablet)
        assert (await change(alice.phone, "unblock", bob))["connection"]["blocked"] is False

    async def test_a_device_that_does_not_know_the_block_cannot_lift_it(self, strict):
        alice, bob = await strict.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", bob)
        await synced(alice.phone)

        refused = await change(tablet, "unblock", bob, base_version=0, status=423)
        assert [each["id"] for each in refused["devices"]] == [tablet.id]
        assert (await change(tablet, "unblock", bob, base_version=1))["version"] == 2

    async def test_each_block_must_be_known_anew(self, strict):
        alice, bob = await strict.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", bob)
        await synced(tablet)
        await change(alice.phone, "unblock", bob)
        await change(alice.phone, "block", bob)

        refused = await change(alice.phone, "unblock", bob, status=423)
        assert [each["id"] for each in refused["devices"]] == [tablet.id]
        refused = await change(tablet, "unblock", bob, base_version=1, status=423)
        assert [each["id"] for each in refused["devices"]] == [alice.phone.id, tablet.id]

    async def test_a_block_is_taken_however_old_its_base(self, strict):
        alice, bob = await strict.people("alice", "bob")
        await change(alice.phone, "add", bob)
        await change(bob.phone, "accept", alice)
        taken = await change(alice.phone, "block", bob, base_version=0)
        assert (taken["version"], taken["connection"]["blocked"]) == (3, True)

    async def test_for_anything_else_the_device_is_asked_again(self, strict):
        alice, bob = await strict.people("alice", "bob")
        await change(alice.phone, "note", bob, note=b64(b"1"))
        refused = await change(alice.phone, "note", bob, note=b64(b"2"), base_version=0, status=409)
        assert refused["code"] == "connection_changed"

    async def test_a_revoked_device_holds_up_nothing(self, strict):
        alice, bob = await strict.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", bob)
        await change(alice.phone, "unblock", bob, status=423)
        assert (await alice.phone.http.delete(f"devices/{tablet.id}")).status_code == 204

        await change(alice.phone, "unblock", bob)

    async def test_a_device_that_was_not_seen_for_long_holds_up_nothing(self, strict, restricted):
        alice, bob = await strict.people("alice", "bob")
        tablet = await alice.new_device("tablet")
        await change(alice.phone, "block", bob)
        seen = "UPDATE accounts_device SET last_seen_at = now() - %s * interval '1 day' WHERE id = %s"
        query(restricted, seen, 4.9, tablet.id)
        refused = await change(alice.phone, "unblock", bob, status=423)
        assert isinstance(refused["devices"][0]["last_seen_at"], int)
        query(restricted, seen, 5.1, tablet.id)
        await change(alice.phone, "unblock", bob)

        # One that was never seen is as old as it is.
        await change(alice.phone, "block", bob)
        made = (
            "UPDATE accounts_device SET last_seen_at = NULL, created_at = now() - %s * interval '1 day' WHERE id = %s"
        )
        query(restricted, made, 4.9, tablet.id)
        refused = await change(alice.phone, "unblock", bob, status=423)
        assert refused["devices"][0]["last_seen_at"] is None
        query(restricted, made, 5.1, tablet.id)
        await change(alice.phone, "unblock", bob)

    async def test_the_limits_say_which_rule_holds(self, strict, cast):
        there = (await strict.http().get("limits")).json()
        here = (await cast.http().get("limits")).json()
        names = ("connection_consistency", "device_grace_days", "disclose_blocks")
        assert [there[name] for name in names] == ["restrict", 5, False]
        assert [here[name] for name in names] == ["confirm", 30, True]
        alice = await strict.person("alice")
        assert (await alice.phone.gets("connections", since=0))["consistency"] == "restrict"
