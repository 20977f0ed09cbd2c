"""A device's own keys in its file: what is there, what is not there any more, and what a passphrase hides."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client import FLOOR, Client, PassphraseNeeded, WrongSecret
from client.crypto.encoding import b64
from client.crypto.errors import BadSeal, WeakKdf
from client.crypto.keys import EncryptionKey
from client.errors import LetterlockError
from client.keys.keyring import Keyring, Pending, Ring
from client.protocol.ids import DeviceId
from client.store import Store
from tests.client.sealed import PASSWORD, person, reopened

PHONE, LAPTOP = DeviceId("019ab0c4-0000-7000-8000-0000000000d1"), DeviceId("019ab0c4-0000-7000-8000-0000000000d2")
PHRASE = "what opens this store"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alice.db"


@pytest.fixture
def store(path):
    store = Store(path)
    yield store
    store.close()


def files(path):
    """Every byte that is on the disk."""
    return b"".join(file.read_bytes() for file in path.parent.iterdir() if file.name.startswith(path.name))


def ring_of(store, passphrase=None):
    return Keyring(store.keys, passphrase, strength=FLOOR)


class TestTheRing:
    def test_a_device_has_its_own_keys_and_keeps_them(self, store):
        ring = ring_of(store)
        assert not ring.is_made
        with pytest.raises(LetterlockError):
            _ = ring.device_key
        with pytest.raises(LetterlockError):
            _ = ring.box_key
        ring.begin(PHONE)
        kept = ring.ring
        ring.begin(PHONE)
        assert ring.ring is kept
        assert ring_of(store).ring == kept
        assert ring.listing(7).id == PHONE

    def test_another_sign_in_begins_with_others_and_keeps_what_may_have_come_through(self, store):
        ring = ring_of(store)
        ring.begin(PHONE)
        ring.add(EncryptionKey.fresh(1))
        pending = Pending("PUT", "e2ee/setup", {}, PHONE, recovery_key="EsTE")
        ring.wait_for(pending)
        before = ring.ring
        ring.begin(LAPTOP)
        assert ring.ring.signing != before.signing
        assert ring.newest_version is None
        assert (ring.ring.storage, ring.ring.pending) == (before.storage, pending)

    def test_versions(self, store):
        ring, keys = ring_of(store), [EncryptionKey.fresh(version) for version in (1, 2, 3)]
        ring.begin(PHONE)
        assert ring.lacks(1)
        assert ring.add(keys[2], keys[0])
        assert not ring.add(keys[0])
        assert (ring.newest_version, ring.encryption_key(2), ring.encryption_key(3)) == (3, None, keys[2])
        assert ring.lacks(3)
        ring.add(keys[1])
        assert not ring.lacks(3)
        ring.only(keys[1])
        assert ring.ring.encryption == (keys[1],)

    def test_what_a_request_brings_is_there_when_it_was_taken(self, store):
        ring, key = ring_of(store), EncryptionKey.fresh(2)
        ring.begin(PHONE)
        ring.add(EncryptionKey.fresh(1))
        ring.wait_for(Pending("PUT", "e2ee/userkeys", {"a": 1}, PHONE, if_match=3, key=key, recovery_key="EsTE"))
        again = ring_of(store)
        assert again.ring == ring.ring
        assert (again.encryption_key(2), again.ring.recovery_key) == (None, None)
        again.settle(again.ring.pending)
        assert (again.encryption_key(2), again.ring.recovery_key, again.ring.pending) == (key, "EsTE", None)

    def test_after_a_reset_only_the_new_key(self, store):
        ring, key = ring_of(store), EncryptionKey.fresh(1)
        ring.begin(PHONE)
        ring.add(EncryptionKey.fresh(1), EncryptionKey.fresh(2))
        ring.settle(Pending("POST", "e2ee/reset", {}, PHONE, key=key, is_reset=True))
        assert ring.ring.encryption == (key,)

    def test_nothing_secret_is_shown(self, store):
        ring = ring_of(store)
        ring.begin(PHONE)
        ring.add(EncryptionKey.fresh(1))
        ring.wait_for(Pending("PUT", "x", {"vault": "secret"}, PHONE, key=EncryptionKey.fresh(2), recovery_key="EsTE"))
        shown = repr(ring.ring) + repr(ring)
        for secret in (ring.ring.signing, ring.ring.box, ring.ring.storage, *(k.private for k in ring.ring.encryption)):
            assert repr(secret) not in shown
        assert "secret" not in shown
        assert "EsTE" not in shown

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.integers(1, 50), unique=True), st.none() | st.text(max_size=60), st.booleans(), st.booleans(),
        st.none() | st.integers(1, 9),
    )  # fmt: skip
    def test_what_was_written_is_read(self, versions, recovery_key, is_pending, is_whole, if_match):
        keys = tuple(EncryptionKey.fresh(version) for version in sorted(versions))
        pending = Pending("PUT", "x", {"y": [1]}, PHONE, if_match, None, recovery_key, False, is_whole)
        ring = Ring(bytes(32), PHONE, bytes(32), bytes(32), keys, recovery_key, pending if is_pending else None)
        assert Ring.read(json.loads(json.dumps(ring.json()))) == ring


class TestTheStorageKey:
    def test_it_opens_after_a_restart_and_after_signing_out(self, store):
        ring = ring_of(store)
        sealed = ring.storage_seal(b"a draft")
        assert ring_of(store).storage_open(sealed) == b"a draft"
        ring.begin(PHONE)
        ring.forget()
        assert ring_of(store).storage_open(sealed) == b"a draft"

    def test_and_nothing_else_does(self, store, tmp_path):
        sealed = ring_of(store).storage_seal(b"a draft")
        other = Store(tmp_path / "mallory.db")
        with pytest.raises(BadSeal):
            ring_of(other).storage_open(sealed)
        other.close()


class TestThePassphrase:
    def test_without_it_nothing_opens(self, store):
        ring = ring_of(store, PHRASE)
        ring.begin(PHONE)
        with pytest.raises(PassphraseNeeded):
            ring_of(store)
        with pytest.raises(WrongSecret):
            ring_of(store, "another")
        assert ring_of(store, PHRASE).ring == ring.ring

    def test_it_may_be_given_later_changed_and_taken_away(self, store):
        ring = ring_of(store)
        ring.begin(PHONE)
        assert ring_of(store, PHRASE).ring == ring.ring  # from now on
        with pytest.raises(PassphraseNeeded):
            ring_of(store)
        ring_of(store, PHRASE).protect("another", strength=FLOOR)
        with pytest.raises(WrongSecret):
            ring_of(store, PHRASE)
        ring_of(store, "another").protect(None)
        assert ring_of(store).ring == ring.ring

    def test_nobody_who_writes_into_the_file_makes_it_cheap(self, store):
        """Argon2id's parameters stand beside what they protect."""
        ring_of(store, PHRASE)
        kept = json.loads(store.keys.ring())
        store.keys.keep_ring(json.dumps(kept | {"kdf": kept["kdf"] | {"m": 8}}))
        with pytest.raises(WeakKdf):
            ring_of(store, PHRASE)

    def test_what_was_in_the_clear_is_in_no_file_any_more(self, store, path):
        ring = ring_of(store)
        ring.begin(PHONE)
        for version in range(1, 40):
            ring.add(EncryptionKey.fresh(version))
        secrets = [b64(ring.ring.signing), b64(ring.ring.storage), *(b64(key.private) for key in ring.ring.encryption)]
        assert all(secret.encode() in files(path) for secret in secrets)

        ring.protect(PHRASE, strength=FLOOR)

        assert [secret for secret in secrets if secret.encode() in files(path)] == []

    def test_nor_what_was_forgotten(self, store, path):
        ring = ring_of(store)
        ring.begin(PHONE)
        ring.add(EncryptionKey.fresh(1))
        ring.show_recovery_key("EsTE s92N EtaX")
        gone = [b64(ring.ring.signing), b64(ring.ring.encryption[0].private), "EsTE s92N EtaX"]
        ring.forget()
        assert [secret for secret in gone if secret.encode() in files(path)] == []
        assert replace(ring.ring, storage=bytes(32)) == Ring(bytes(32))


async def test_a_client_under_a_passphrase(people, tmp_path):
    alice = await person(people, "alice", store=tmp_path / "alice.db", passphrase=PHRASE)
    device = alice.me.device
    await alice.close()
    with pytest.raises(PassphraseNeeded) as refusal:
        Client("http://127.0.0.1:9", tmp_path / "alice.db")
    with pytest.raises(WrongSecret):
        Client("http://127.0.0.1:9", tmp_path / "alice.db", passphrase="another")
    assert refusal.tb is not None  # what failed is not collected yet, and the file is free all the same

    again = await reopened(people, tmp_path / "alice.db", passphrase=PHRASE)
    assert not again.keys.is_locked
    again.keys.protect(None)
    await again.close()
    assert (await reopened(people, tmp_path / "alice.db")).me.device == device


async def test_no_password_and_no_identity_key_is_in_the_file_and_the_file_is_the_owners(people, tmp_path):
    path = tmp_path / "alice.db"
    alice = await person(people, "alice", store=path)
    secret = await alice.keys._secret(PASSWORD)
    opened = secret.opens(await alice._session.request("GET", "e2ee/vault"), alice.me.user)
    identity = opened.secrets.identity.private_bytes_raw()
    await alice.keys.new_recovery_key(PASSWORD)
    await alice.keys.change_password(PASSWORD, "seven green ladders over 5 lakes")

    found = files(path)
    for gone in (PASSWORD.encode(), secret.password.auth.encode(), secret.password.wrap, identity, opened.key):
        assert gone not in found
        assert b64(gone).encode() not in found
    assert path.stat().st_mode & 0o777 == 0o600
