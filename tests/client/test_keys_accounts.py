"""Signing up and in with keys, passwords, the recovery key, devices that come and go: on the running system."""

import asyncio
import time

import pytest

from accounts.models import User
from client import FLOOR, IdentityChanged, KeysLocked, LetterlockError, Refused, WeakPassword, WrongSecret
from client.crypto import recovery
from client.crypto.errors import BadRecoveryKey
from client.keys import check_password
from client.keys.changing import Step, next_key
from client.keys.opening import password_of
from tests.cast import until
from tests.client.between import Between, Gate
from tests.client.conftest import bodies, has, live
from tests.client.sealed import PASSWORD, another_device, person, reopened
from tests.client.test_receiving import heard

OTHER = "seven green ladders over 5 lakes"
DAY_S = 86_400


async def new(people, **options):
    """A device that nobody has signed in."""
    return await people.opens(**{"sealer": None, "strength": FLOOR} | options)


def document(client):
    """The user's own document, as this device knows it."""
    return client.keys.others.known(client.me.user)


def names(client):
    """The devices that the document lists, and whether they are live."""
    return {device.id: device.until is None for device in document(client).devices}


def versions(client):
    return [key.version for key in client.keys.own.ring.encryption]


class TestSigningUp:
    async def test_alice_has_keys_and_a_recovery_key_which_is_shown_until_she_has_it(self, people):
        alice = await person(people, "alice")

        assert not alice.keys.is_locked
        assert names(alice) == {alice.me.device: True}
        assert versions(alice) == [1]
        text = alice.keys.recovery_key
        assert len(recovery.from_text(text)) == 32
        alice.keys.confirm_recovery_key()
        assert alice.keys.recovery_key is None

    async def test_the_recovery_key_is_still_shown_after_a_restart(self, people, tmp_path):
        alice = await person(people, "alice", store=tmp_path / "alice.db")
        text = alice.keys.recovery_key
        await alice.close()

        again = await reopened(people, tmp_path / "alice.db")

        assert again.keys.recovery_key == text
        again.keys.confirm_recovery_key()
        await again.close()
        assert (await reopened(people, tmp_path / "alice.db")).keys.recovery_key is None

    async def test_the_server_never_gets_the_password(self, people):
        alice = await new(people)
        sent = []
        request = alice._rest.request

        async def noted(method, path, body=None, **more):
            sent.append(repr((path, body)))
            return await request(method, path, body, **more)

        alice._rest.request = noted
        await alice.register(f"alice.{people.tag()}", PASSWORD, device_name="phone")

        assert sent
        assert not any(PASSWORD in each for each in sent)
        with pytest.raises(Refused):
            await alice._session.request("POST", "account/password", {"old_auth": PASSWORD, "new_auth": PASSWORD})

    @pytest.mark.parametrize("password", ["", "password", "letmein1", "qwertyuiop", "alice2026", "a" * 500])
    async def test_a_password_that_can_be_guessed_is_not_taken(self, people, password):
        alice = await new(people)
        with pytest.raises(WeakPassword, match=r"\.$"):
            await alice.register("alice", password, device_name="phone")
        assert not alice.is_signed_in

    def test_nor_is_one_that_is_made_of_the_name(self):
        check_password("zwqbergolf77")
        with pytest.raises(WeakPassword):
            check_password("zwqbergolf77", "zwqbergolf77")

    async def test_who_insists_may_have_it(self, people):
        alice = await new(people)
        await alice.register(f"alice.{people.tag()}", "letmein1", device_name="phone", check_strength=False)
        assert not alice.keys.is_locked

    async def test_passwords_are_the_same_however_they_are_typed(self, people):
        """NFKC: one keyboard composes, another does not."""
        alice, laptop = await new(people), await new(people)
        await alice.register(f"alice.{people.tag()}", "Pässe über die Alpen 7431", device_name="phone")
        await laptop.sign_in(alice.me.username, "Pa\u0308sse u\u0308ber die Alpen 7431", device_name="laptop")
        assert not laptop.keys.is_locked


class TestSigningIn:
    async def test_a_new_device_has_all_keys_and_is_listed(self, people):
        alice = await person(people, "alice")
        laptop = await another_device(people, alice)

        assert not laptop.keys.is_locked
        assert names(laptop) == {alice.me.device: True, laptop.me.device: True}
        assert document(laptop).identity == document(alice).identity
        assert laptop.keys.own.encryption_key(1) == alice.keys.own.encryption_key(1)
        await until(lambda: names(alice) == names(laptop))

    async def test_nothing_by_which_the_identity_could_be_taken_over_stays_on_a_device(self, people):
        alice = await person(people, "alice")
        laptop = await another_device(people, alice)
        for client in (alice, laptop):
            assert set(client.keys.own.ring.json()) == {
                "storage", "device", "signing", "box", "encryption", "recovery_key", "pending", "registering",
            }  # fmt: skip
            assert client.keys.own.ring.pending is None

    async def test_a_wrong_password_is_refused_and_leaves_no_sign_in(self, people):
        alice, laptop = await person(people, "alice"), await new(people)
        with pytest.raises(Refused) as refusal:
            await laptop.sign_in(alice.me.username, OTHER, device_name="laptop")
        assert refusal.value.code == "bad_credentials"
        assert not laptop.is_signed_in

    async def test_with_the_recovery_key(self, people):
        alice, laptop = await person(people, "alice"), await new(people)
        await laptop.recover(alice.me.username, alice.keys.recovery_key, device_name="laptop")
        assert not laptop.keys.is_locked
        assert versions(laptop) == [1]

    async def test_with_the_recovery_key_and_another_password_from_then_on(self, people):
        alice, laptop, tablet = await person(people, "alice"), await new(people), await new(people)
        await laptop.recover(alice.me.username, alice.keys.recovery_key, device_name="laptop", new_password=OTHER)

        await tablet.sign_in(alice.me.username, OTHER, device_name="tablet")
        assert not tablet.keys.is_locked
        with pytest.raises(Refused):
            await (await new(people)).sign_in(alice.me.username, PASSWORD, device_name="tv")

    async def test_a_mistyped_recovery_key_is_noticed_before_anything_is_asked(self, people):
        alice, laptop = await person(people, "alice"), await new(people)
        text = alice.keys.recovery_key
        typed = text[:-1] + ("a" if text[-1] != "a" else "b")
        between = Between(laptop)
        with pytest.raises(BadRecoveryKey):
            await laptop.recover(alice.me.username, typed, device_name="laptop")
        with pytest.raises(WeakPassword):
            await laptop.recover(alice.me.username, text, device_name="laptop", new_password="letmein1")
        assert between.passed == []

    async def test_two_devices_that_sign_in_at_once_are_both_listed(self, people):
        alice, laptop, tablet = await person(people, "alice"), await new(people), await new(people)
        # Both have read the same document before either writes.
        gates = [Gate(client, "GET devices") for client in (laptop, tablet)]

        async with asyncio.TaskGroup() as tasks:
            for client, name in ((laptop, "laptop"), (tablet, "tablet")):
                tasks.create_task(client.sign_in(alice.me.username, PASSWORD, device_name=name))
            for gate in gates:
                await gate.reached.wait()
            for gate in gates:
                gate.open.set()

        await until(lambda: len(names(alice)) == 3)
        assert set(names(alice)) == {client.me.device for client in (alice, laptop, tablet)}
        assert not any(client.keys.is_locked for client in (alice, laptop, tablet))

    async def test_a_device_that_signs_in_again_is_a_new_one_and_closes_the_old(self, people):
        alice = await person(people, "alice")
        first = alice.me.device
        signing = alice.keys.own.ring.signing
        await alice.sign_out()
        assert alice.keys.own.ring.signing is None
        assert versions(alice) == []

        await alice.sign_in((await User.objects.aget(pk=alice._store.identity.owner())).username, PASSWORD,
                            device_name="phone again")  # fmt: skip

        assert names(alice) == {first: False, alice.me.device: True}
        assert alice.keys.own.ring.signing != signing
        # Whoever has the old device's keys reads nothing from here on.
        assert versions(alice) == [1, 2]

    async def test_an_old_encryption_key_is_replaced_while_the_vault_is_open(self, people):
        now_s = time.time()
        alice = await person(people, "alice", now_ms=lambda: int((now_s - 31 * DAY_S) * 1000))
        laptop = await another_device(people, alice, now_ms=lambda: int((now_s - 29 * DAY_S) * 1000))
        assert versions(laptop) == [1]
        tablet = await another_device(people, alice)
        assert versions(tablet) == [1, 2]
        # The others need no password for it.
        await until(lambda: versions(alice) == versions(laptop) == [1, 2])
        assert not alice.keys.is_locked

        tv = await another_device(people, alice)
        assert versions(tv) == [1, 2]


class TestRevoking:
    async def test_a_revoked_device_gets_no_later_key_and_the_others_do(self, people):
        alice = await person(people, "alice")
        laptop, tablet = await another_device(people, alice), await another_device(people, alice)
        revoked = tablet.me.device

        await alice.keys.revoke_device(revoked, PASSWORD)

        assert versions(alice) == [1, 2]
        assert names(alice)[revoked] is False
        await until(lambda: versions(laptop) == [1, 2])
        assert not laptop.keys.is_locked
        await until(lambda: not tablet.is_signed_in or tablet.state.value == "stopped")
        assert versions(tablet) == [1]

    async def test_what_it_sent_before_is_still_verified_whatever_the_clock_of_who_revokes_it(self, people):
        alice, bob = await person(people, "alice"), await person(people, "bob")
        laptop = await another_device(people, alice)
        room = await laptop.direct_room(bob.me.user)
        sent = await laptop.send(room.id, b"just before")
        await has(bob, room.id, b"just before")
        await has(alice, room.id, b"just before")
        alice.keys.watch.now_s = lambda: int(time.time()) - 3_600

        await alice.keys.revoke_device(laptop.me.device, PASSWORD)

        device = next(device for device in document(alice).devices if device.until is not None)
        assert device.is_live(sent.accepted_at)
        await until(lambda: bob.keys.others.device(alice.me.user, device.id).until)
        assert bodies(bob, room.id) == [b"just before"]

    async def test_again_is_harmless(self, people):
        alice = await person(people, "alice")
        revoked = (await another_device(people, alice)).me.device
        await alice.keys.revoke_device(revoked, PASSWORD)
        await alice.keys.revoke_device(revoked, PASSWORD)
        assert versions(alice) == [1, 2]

    async def test_not_without_the_password(self, people):
        alice = await person(people, "alice")
        laptop = await another_device(people, alice)
        with pytest.raises(WrongSecret):
            await alice.keys.revoke_device(laptop.me.device, OTHER)
        await until(lambda: names(alice).get(laptop.me.device))

    async def test_one_that_only_its_session_was_taken_from_is_closed_by_check(self, people):
        alice = await person(people, "alice")
        revoked = (await another_device(people, alice)).me.device
        await alice.revoke_device(revoked)
        assert versions(alice) == [1]

        await alice.keys.check(PASSWORD)

        assert names(alice) == {alice.me.device: True, revoked: False}
        assert versions(alice) == [1, 2]

    async def test_one_that_was_never_listed_is_out_too(self, people):
        alice, laptop = await person(people, "alice"), await new(people, patience=0.0)
        Between(laptop).cuts(3, "request")
        with pytest.raises(LetterlockError):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

        await alice.keys.revoke_device(laptop.me.device, PASSWORD)

        assert [device.id for device in await alice.devices()] == [alice.me.device]
        assert versions(alice) == [1, 2]

    async def test_a_device_that_missed_two_keys_asks_for_the_password(self, people):
        alice = await person(people, "alice")
        laptop, tablet, tv = [await another_device(people, alice) for _ in range(3)]
        await laptop.disconnect()
        for device in [tablet.me.device, tv.me.device]:
            await alice.keys.revoke_device(device, PASSWORD)
        news = laptop.events()
        await live(laptop)

        await heard(news, KeysLocked)
        assert laptop.keys.is_locked
        assert versions(laptop) == [1, 3]
        with pytest.raises(WrongSecret):
            await laptop.keys.unlock(OTHER)
        await laptop.keys.unlock(PASSWORD)
        assert versions(laptop) == [1, 2, 3]
        assert not laptop.keys.is_locked


class TestSecrets:
    async def test_another_password(self, people):
        alice = await person(people, "alice")
        await alice.keys.change_password(PASSWORD, OTHER)

        laptop = await new(people)
        with pytest.raises(Refused):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")
        await laptop.sign_in(alice.me.username, OTHER, device_name="laptop")
        assert not laptop.keys.is_locked
        with pytest.raises(WrongSecret):
            await alice.keys.unlock(PASSWORD)

    async def test_another_password_by_the_recovery_key(self, people):
        alice = await person(people, "alice")
        await alice.keys.change_password(None, OTHER, recovery_key=alice.keys.recovery_key)
        await alice.keys.unlock(OTHER)

    @pytest.mark.parametrize(
        ("old", "new", "error"),
        [(OTHER, OTHER, WrongSecret), (PASSWORD, "letmein1", WeakPassword), (None, OTHER, LetterlockError)],
    )
    async def test_not_like_this(self, people, old, new, error):
        alice = await person(people, "alice")
        with pytest.raises(error):
            await alice.keys.change_password(old, new)
        await alice.keys.unlock(PASSWORD)

    async def test_another_recovery_key_ends_the_first(self, people):
        alice = await person(people, "alice")
        first = alice.keys.recovery_key
        alice.keys.confirm_recovery_key()

        second = await alice.keys.new_recovery_key(PASSWORD)

        assert alice.keys.recovery_key == second != first
        with pytest.raises(Refused) as refusal:
            await (await new(people)).recover(alice.me.username, first, device_name="laptop")
        assert refusal.value.code == "bad_credentials"
        laptop = await new(people)
        await laptop.recover(alice.me.username, second, device_name="laptop")
        assert not laptop.keys.is_locked

    async def test_two_devices_change_the_vault_at_once_and_neither_change_is_lost(self, people):
        alice = await person(people, "alice")
        laptop, tablet = await another_device(people, alice), await another_device(people, alice)
        revoked = tablet.me.device
        gates = [Gate(client, "GET e2ee/vault") for client in (alice, laptop)]

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(laptop.keys.revoke_device(revoked, PASSWORD))
            made = tasks.create_task(alice.keys.new_recovery_key(PASSWORD))
            for gate in gates:
                await gate.reached.wait()
            for gate in gates:
                gate.open.set()

        tv = await new(people)
        await tv.recover(alice.me.username, made.result(), device_name="tv")
        assert versions(tv) == [1, 2]
        assert names(tv)[revoked] is False

    async def test_all_versions_are_had_when_the_vault_has_pages(self, people):
        """33 keys: the oldest 32 are in the archive."""
        alice = await person(people, "alice")
        ends = await rotated(alice, 33)

        laptop = await another_device(people, alice)

        assert versions(laptop) == list(range(1, 34)) == versions(alice)
        assert laptop.keys.own.encryption_key(33) == ends
        assert not laptop.keys.is_locked


async def rotated(client, version):
    """Make encryption keys up to this version, as a revocation would; the newest one."""

    async def next_one(opened):
        return Step(opened.document.next(), next_key(opened))

    secret = await password_of(client._session, client.me.username, PASSWORD)
    while client.keys.own.newest_version < version:
        await client.keys._changes.publish(secret, next_one)
    return client.keys.own.encryption_key(version)


class TestResetting:
    async def test_who_begins_again_has_another_identity_and_is_alone(self, people):
        alice = await person(people, "alice")
        laptop = await another_device(people, alice)
        before, first = document(alice).identity, alice.keys.recovery_key

        text = await alice.keys.reset(PASSWORD)

        assert document(alice).identity != before
        assert names(alice) == {alice.me.device: True}
        assert alice.keys.recovery_key == text != first
        assert not alice.keys.is_locked
        await until(lambda: not laptop.is_signed_in or laptop.state.value == "stopped")

    async def test_a_device_that_comes_back_has_the_new_keys_only(self, people, tmp_path):
        alice = await person(people, "alice")
        laptop, tablet = await another_device(people, alice), await another_device(people, alice)
        await alice.keys.revoke_device(tablet.me.device, PASSWORD)
        await until(lambda: versions(laptop) == [1, 2])
        await alice.keys.reset(PASSWORD)
        await until(lambda: not laptop.is_signed_in)
        news = laptop.events()

        await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop again")

        assert versions(laptop) == [1]
        assert laptop.keys.own.encryption_key(1) == alice.keys.own.encryption_key(1)
        assert document(laptop).identity == document(alice).identity
        await heard(news, IdentityChanged, user=laptop.me.user)

    async def test_what_a_device_has_received_it_goes_on_reading(self, people):
        """Also what nobody has looked at yet; a device that signs in later does not."""
        alice, bob = await person(people, "alice"), await person(people, "bob")
        laptop = await another_device(people, alice)
        room = await bob.direct_room(alice.me.user)
        await bob.send(room.id, b"before")
        for client in (alice, laptop):
            await until(lambda client=client: client.unread(room.id) == 1)
            assert client._store.epochs.closed() == [(room.id, 1)]

        await alice.keys.reset(PASSWORD)
        await until(lambda: not laptop.is_signed_in)
        await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop again")
        tablet = await another_device(people, alice)
        await tablet.fetch_history()

        assert bodies(alice, room.id) == bodies(laptop, room.id) == [b"before"]
        assert [message.problem for message in tablet.messages(room.id)] == ["no_key"]

    async def test_not_without_the_password(self, people):
        alice = await person(people, "alice")
        identity = document(alice).identity
        with pytest.raises(Refused):
            await alice.keys.reset(OTHER)
        assert document(alice).identity == identity
        assert not alice.keys.is_locked
