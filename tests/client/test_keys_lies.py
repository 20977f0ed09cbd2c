"""A server that lies about keys, to a client that notices: every lie is an answer of the real server with something else in it."""

import copy
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client import KeysLocked, LetterlockError, MalformedFrame, Refused, WeakKdf
from client.crypto import boxes, userkeys
from client.crypto.encoding import b64, unb64
from client.crypto.errors import (
    BadEncoding,
    BadSeal,
    BadSignature,
    CryptoError,
    Forked,
    IdentityChanged,
    RolledBack,
    WrongSecret,
    WrongUser,
)
from client.crypto.keys import EncryptionKey
from client.protocol.problems import Problem
from tests.cast import until
from tests.client.between import Between
from tests.client.conftest import live
from tests.client.sealed import PASSWORD, another_device, person
from tests.client.test_keys_accounts import document, names, new, versions
from tests.client.test_receiving import heard

KDF, VAULT, QUERY, BOX = "GET accounts/kdf", "GET e2ee/vault", "POST e2ee/users/query", "GET e2ee/box"


async def truth(client, method, path, body=None):
    """What the server really says."""
    return copy.deepcopy(await client._session.request(method, path, body))


async def vault_and_document(client):
    """Both as they are now, to be told again later."""
    me = client.me.user
    return await truth(client, "GET", "e2ee/vault"), await truth(client, "POST", "e2ee/users/query", {"known": {me: 0}})


async def lied_to(people, **lies):
    """A device that nobody has signed in, whose server lies."""
    client = await new(people)
    between = Between(client)
    for asked, lie in lies.items():
        between.says({"kdf": KDF, "vault": VAULT, "query": QUERY, "box": BOX, "devices": "GET devices"}[asked], lie)
    return client, between


def instead(answer):
    return lambda _: copy.deepcopy(answer)


class TestAtSignIn:
    @pytest.mark.parametrize(
        "change",
        [{"m": 8}, {"m": 19_455}, {"t": 1}, {"p": 0}, {"m": 2_097_152}, {"t": 11}, {"p": 17}, {"alg": "pbkdf2"}],
    )
    async def test_parameters_that_would_make_guessing_cheap_or_stop_the_device(self, people, change):
        alice = await person(people, "alice")
        laptop, between = await lied_to(people, kdf=lambda told: told | change)

        with pytest.raises(WeakKdf):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

        # Nothing that is derived from the password has left the device.
        assert [each.split("?")[0] for each in between.passed] == [KDF]
        with pytest.raises(WeakKdf):
            Between(alice).says(KDF, lambda told: told | change)
            await alice.keys.unlock(PASSWORD)

    @pytest.mark.parametrize(
        "told", [None, [], {}, {"alg": "argon2id"}, {"alg": "argon2id", "m": "65536", "t": 3, "p": 4, "salt": "AA"}]
    )
    async def test_parameters_that_are_none(self, people, told):
        laptop, _ = await lied_to(people, kdf=instead(told))
        with pytest.raises(CryptoError):
            await laptop.sign_in("alice", PASSWORD, device_name="laptop")

    async def test_an_old_vault(self, people):
        """From before a device was revoked: whoever held that one would go on reading what is sent to alice."""
        alice = await person(people, "alice")
        tablet = await another_device(people, alice)
        old_vault, _ = await vault_and_document(alice)
        await alice.keys.revoke_device(tablet.me.device, PASSWORD)
        laptop, between = await lied_to(people, vault=instead(old_vault))

        with pytest.raises(RolledBack):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

        assert not any(each.startswith("PUT") for each in between.passed)
        assert laptop.is_signed_in
        assert laptop.keys.is_locked
        assert versions(laptop) == []
        # When the server comes to its senses, the same device goes on.
        between.lies.clear()
        await laptop.keys.unlock(PASSWORD)
        assert versions(laptop) == [1, 2]

    async def test_an_old_document(self, people):
        alice = await person(people, "alice")
        tablet = await another_device(people, alice)
        _, old_document = await vault_and_document(alice)
        await alice.keys.revoke_device(tablet.me.device, PASSWORD)
        laptop, _ = await lied_to(people, query=instead(old_document))
        with pytest.raises(RolledBack):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

    async def test_both_old_to_a_device_that_knows_better(self, people):
        alice = await person(people, "alice")
        tablet = await another_device(people, alice)
        old_vault, old_document = await vault_and_document(alice)
        await alice.keys.revoke_device(tablet.me.device, PASSWORD)
        between = Between(alice)
        between.says(VAULT, instead(old_vault))
        between.says(QUERY, instead(old_document))

        with pytest.raises(RolledBack):
            await alice.keys.unlock(PASSWORD)
        with pytest.raises(RolledBack):
            await alice.keys.new_recovery_key(PASSWORD)

        assert versions(alice) == [1, 2]
        assert document(alice).encryption.version == 2
        assert alice.keys.own.ring.pending is None

    async def test_keys_from_before_alice_began_again(self, people):
        alice = await person(people, "alice")
        old_vault, old_document = await vault_and_document(alice)
        await alice.keys.reset(PASSWORD)
        between = Between(alice)
        between.says(VAULT, instead(old_vault))
        between.says(QUERY, instead(old_document))
        with pytest.raises(RolledBack):
            await alice.keys.unlock(PASSWORD)

    async def test_somebody_elses_identity(self, people):
        """Mallory signs a document about alice: with it, mallory's devices would be alice's."""
        alice, mallory = await person(people, "alice"), await person(people, "mallory")
        laptop, between = await lied_to(people)
        between.says(QUERY, lambda told: {user: {"userkeys": forged(alice, mallory)} for user in told})

        with pytest.raises(IdentityChanged):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")
        assert laptop.keys.is_locked
        assert laptop.keys.others.known(alice.me.user) is None

    async def test_another_encryption_key_of_the_same_version(self, people):
        """Signed by alice's identity, as a server cannot; a device that was stolen with the vault open could."""
        alice = await person(people, "alice")
        secret = await alice.keys._secret(PASSWORD)
        opened = secret.opens(await truth(alice, "GET", "e2ee/vault"), alice.me.user)
        other = userkeys.first(
            alice.me.user, opened.secrets.identity_public, EncryptionKey.fresh(1).announced,
            alice.keys.own.listing(1_800_000_000),
        ).sign(opened.secrets.identity)  # fmt: skip
        laptop, between = await lied_to(people)
        between.says(QUERY, lambda told: {user: {"userkeys": other.json()} for user in told})
        with pytest.raises(Forked):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

    async def test_another_users_vault(self, people):
        alice, mallory = await person(people, "alice"), await person(people, "mallory")
        theirs, _ = await vault_and_document(mallory)
        laptop, _ = await lied_to(people, vault=instead(theirs))
        with pytest.raises(WrongSecret):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

    async def test_another_users_document(self, people):
        alice, mallory = await person(people, "alice"), await person(people, "mallory")
        _, theirs = await vault_and_document(mallory)
        laptop, between = await lied_to(people)
        between.says(QUERY, lambda told: dict.fromkeys(told, theirs[mallory.me.user]))
        with pytest.raises(WrongUser):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda vault: vault | {"version": 2}, BadSeal),
            (lambda vault: vault | {"ct": flipped(vault["ct"])}, BadSeal),
            (lambda vault: vault | {"slots": [flip_slot(slot) for slot in vault["slots"]]}, WrongSecret),
            (lambda vault: vault | {"slots": vault["slots"][1:]}, BadEncoding),
            (lambda vault: vault | {"more": 1}, BadEncoding),
            (lambda vault: None, BadEncoding),
        ],
    )
    async def test_a_vault_that_was_changed(self, people, change, error):
        alice = await person(people, "alice")
        laptop, _ = await lied_to(people, vault=change)
        with pytest.raises(error):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")

    @pytest.mark.parametrize("told", [None, {}, [], {"devices": None}, {"devices": [1]}])
    async def test_answers_that_are_none(self, people, told):
        alice = await person(people, "alice")
        laptop, _ = await lied_to(people, devices=instead(told))
        with pytest.raises(MalformedFrame):
            await laptop.sign_in(alice.me.username, PASSWORD, device_name="laptop")
        phone, _ = await lied_to(people, query=instead(told))
        with pytest.raises(LetterlockError):
            await phone.sign_in(alice.me.username, PASSWORD, device_name="phone")

    async def test_that_this_device_is_signed_out(self, people):
        """It would revoke itself."""
        alice = await person(people, "alice")
        between = Between(alice)
        between.says("GET devices", lambda told: {"devices": []})
        await alice.keys.check(PASSWORD)
        assert names(alice) == {alice.me.device: True}

    async def test_that_the_user_never_had_keys(self, people):
        """A device that knows better makes no others; they would take the place of what friends have verified."""
        alice = await person(people, "alice")
        identity = document(alice).identity
        between = Between(alice)

        def none(_):
            raise Refused(Problem("keys_missing", 409))

        between.says(VAULT, none)
        with pytest.raises(RolledBack):
            await alice.keys.unlock(PASSWORD)
        assert document(alice).identity == identity
        assert not any(each.startswith("PUT") for each in between.passed)


class TestOfDevices:
    async def test_a_ghost_device_that_the_identity_did_not_sign(self, people):
        """The server adds a device of its own to bob's list, with the signature that there is."""
        alice, bob = await person(people, "alice"), await person(people, "bob")
        Between(alice).says(QUERY, lambda told: {user: with_ghost(entry) for user, entry in told.items()})

        assert await alice.keys.others.get([bob.me.user]) == {}
        assert alice.keys.others.known(bob.me.user) is None
        with pytest.raises(BadSignature):
            userkeys.read(with_ghost((await truth(bob, "POST", "e2ee/users/query",
                                                  {"known": {bob.me.user: 0}}))[bob.me.user])["userkeys"],
                          bob.me.user)  # fmt: skip

    async def test_or_on_alices_own_list(self, people):
        alice = await person(people, "alice")
        between = Between(alice)
        between.says(QUERY, lambda told: {user: with_ghost(entry) for user, entry in told.items()})
        with pytest.raises(BadSignature):
            await alice.keys.unlock(PASSWORD)
        assert names(alice) == {alice.me.device: True}


class TestOfBoxes:
    async def test_a_box_with_another_key(self, people):
        """Sealed to the laptop by the server: what friends would wrap for it, the server could open."""
        alice = await person(people, "alice")
        laptop, tablet = await another_device(people, alice), await another_device(people, alice)
        box = laptop.keys.own.box_key.public_key().public_bytes_raw()
        fake = EncryptionKey.fresh(2)
        sealed = boxes.seal_box(fake, alice.me.user, laptop.me.device, box)
        between = Between(laptop)
        between.says(BOX, instead({"ver": 2, "ct": b64(sealed)}))
        news = laptop.events()

        await alice.keys.revoke_device(tablet.me.device, PASSWORD)

        await heard(news, KeysLocked)
        assert versions(laptop) == [1]
        assert laptop.keys.is_locked
        await laptop.keys.unlock(PASSWORD)
        assert versions(laptop) == [1, 2]
        assert laptop.keys.own.encryption_key(2) != fake

    @pytest.mark.parametrize("told", [None, {}, {"ver": 1, "ct": "AA"}, {"ver": 2, "ct": "AA"}, {"ver": 2, "ct": None}])
    async def test_no_box_at_all(self, people, told):
        alice = await person(people, "alice")
        laptop, tablet = await another_device(people, alice), await another_device(people, alice)
        Between(laptop).says(BOX, instead(told))
        await alice.keys.revoke_device(tablet.me.device, PASSWORD)
        await until(lambda: laptop.keys.is_locked and document(laptop).encryption.version == 2)
        assert versions(laptop) == [1]


class TestOfAlicesOwnIdentity:
    async def test_another_one_locks_until_the_vault_has_spoken(self, people):
        alice, mallory = await person(people, "alice"), await person(people, "mallory")
        await alice.disconnect()
        identity, news = document(alice).identity, alice.events()
        between = Between(alice)
        between.says(QUERY, lambda told: told | {alice.me.user: {"userkeys": forged(alice, mallory)}})

        await live(alice)
        await heard(news, KeysLocked)
        assert alice.keys.is_locked
        assert document(alice).identity == identity
        with pytest.raises(IdentityChanged):
            await alice.keys.unlock(PASSWORD)

        between.lies.clear()
        await alice.keys.unlock(PASSWORD)
        assert not alice.keys.is_locked


def forged(about, by):
    """A document about one user, signed with an identity key that another one made."""
    identity = Ed25519PrivateKey.generate()
    device = by.keys.own.listing(1_800_000_000)
    key = by.keys.own.encryption_key(1).announced
    public = identity.public_key().public_bytes_raw()
    return userkeys.first(about.me.user, public, key, device).sign(identity).json()


def with_ghost(entry):
    """A document with one device more, under the old signature."""
    if "userkeys" not in entry:
        return entry
    envelope = copy.deepcopy(entry["userkeys"])
    said = json.loads(unb64(envelope["payload"]))
    ghost = said["devices"][0] | {
        "id": "019ab0c4-0000-7000-8000-00000000dead",
        "key": b64(Ed25519PrivateKey.generate().public_key().public_bytes_raw()),
    }
    said["devices"].append(ghost)
    envelope["payload"] = b64(json.dumps(said).encode())
    return {"userkeys": envelope}


def flipped(text):
    raw = bytearray(unb64(text))
    raw[-1] ^= 1
    return b64(bytes(raw))


def flip_slot(slot):
    return slot | {"ct": flipped(slot["ct"])}
