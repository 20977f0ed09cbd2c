"""The vault: what opens it, and what a server can do with it. Nothing but keep it."""

import json
import os
from dataclasses import replace

import pytest

from client.crypto import aead, vault
from client.crypto.encoding import ctx, dump
from client.crypto.errors import BadEncoding, BadSeal, CryptoError, WeakKdf, WrongSecret
from client.crypto.kdf import FLOOR, Kdf
from client.crypto.keys import EncryptionKey
from client.crypto.vault import Secrets, kdf_of, open_with_password, open_with_recovery_key
from tests.crypto.people import b64, flips, person, raw

ALICE, MALLORY = person("alice"), person("mallory")
KDF = Kdf(*FLOOR, bytes(16))
WRAP, OTHER_WRAP = bytes(range(32)), bytes(range(1, 33))
RECOVERY, OTHER_RECOVERY = bytes(range(2, 34)), bytes(range(3, 35))


@pytest.fixture
def made():
    return vault.new(ALICE.user, KDF, WRAP, RECOVERY)


def travelled(opened):
    return json.loads(json.dumps(opened.json()))


def parts(secrets):
    return secrets.identity.private_bytes_raw(), secrets.encryption_keys, secrets.archives


def test_password_and_recovery_key_open_the_same(made):
    sent = travelled(made)

    for opened in (
        open_with_password(sent, ALICE.user, WRAP),
        open_with_recovery_key(sent, ALICE.user, RECOVERY),
    ):
        assert parts(opened.secrets) == parts(made.secrets)
        assert (opened.version, opened.key, opened.slots) == (1, made.key, made.slots)
    assert kdf_of(sent) == KDF


def test_a_vault_is_small(made):
    assert len(json.dumps(made.json())) < 900


def test_sealing_twice_gives_other_bytes(made):
    assert made.json()["ct"] != made.json()["ct"]


def test_a_wrong_secret_opens_nothing(made):
    with pytest.raises(WrongSecret):
        open_with_password(made.json(), ALICE.user, OTHER_WRAP)
    with pytest.raises(WrongSecret):
        open_with_recovery_key(made.json(), ALICE.user, OTHER_RECOVERY)
    # Each secret has a slot of its own.
    with pytest.raises(WrongSecret):
        open_with_password(made.json(), ALICE.user, RECOVERY)


def test_another_users_vault_does_not_open(made):
    # Mallory's server gives Alice a vault that was made for Mallory, even under a password that both have.
    with pytest.raises(WrongSecret):
        open_with_password(made.json(), MALLORY.user, WRAP)


def test_the_body_of_another_users_vault_does_not_open(made):
    others = replace(made, user=MALLORY.user).json()

    with pytest.raises(BadSeal):
        open_with_password({**made.json(), "ct": others["ct"]}, ALICE.user, WRAP)


def test_an_old_body_does_not_pass_as_a_new_version(made):
    newer = made.next(made.secrets.with_key(EncryptionKey.fresh(2)))

    with pytest.raises(BadSeal):
        open_with_password({**made.json(), "version": 2}, ALICE.user, WRAP)
    with pytest.raises(BadSeal):
        open_with_password({**newer.json(), "ct": made.json()["ct"]}, ALICE.user, WRAP)


def test_every_changed_byte_is_noticed(made):
    sent = made.json()
    sealed = raw(sent["ct"])

    for changed in (*flips(sealed), sealed[:-1], sealed + b"\0", b""):
        with pytest.raises(BadSeal):
            open_with_password({**sent, "ct": b64(changed)}, ALICE.user, WRAP)


@pytest.mark.parametrize("slot", [0, 1])
def test_every_changed_byte_of_a_slot_is_noticed(made, slot):
    sent = travelled(made)
    sealed = raw(sent["slots"][slot]["ct"])
    opening, secret = ((open_with_password, WRAP), (open_with_recovery_key, RECOVERY))[slot]

    for changed in flips(sealed):
        sent["slots"][slot]["ct"] = b64(changed)
        with pytest.raises(WrongSecret):
            opening(sent, ALICE.user, secret)
    for changed in (sealed[:-1], sealed + b"\0", b""):
        sent["slots"][slot]["ct"] = b64(changed)
        with pytest.raises(BadEncoding):
            opening(sent, ALICE.user, secret)


def test_slots_do_not_pass_as_each_other(made):
    sent = travelled(made)
    password, recovery = sent["slots"]
    sent["slots"] = [{**password, "ct": recovery["ct"]}, {**recovery, "ct": password["ct"]}]

    with pytest.raises(WrongSecret):
        open_with_password(sent, ALICE.user, WRAP)
    with pytest.raises(WrongSecret):
        open_with_recovery_key(sent, ALICE.user, RECOVERY)


def test_a_new_password_takes_the_old_ones_place(made):
    changed = made.next().with_password(Kdf(*FLOOR, bytes(range(16))), OTHER_WRAP)
    sent = travelled(changed)

    assert parts(open_with_password(sent, ALICE.user, OTHER_WRAP).secrets) == parts(made.secrets)
    assert parts(open_with_recovery_key(sent, ALICE.user, RECOVERY).secrets) == parts(made.secrets)
    assert kdf_of(sent).salt == bytes(range(16))
    assert sent["version"] == 2
    assert len(sent["slots"]) == 2
    with pytest.raises(WrongSecret):
        open_with_password(sent, ALICE.user, WRAP)


def test_a_new_recovery_key_takes_the_old_ones_place(made):
    sent = travelled(made.next().with_recovery_key(OTHER_RECOVERY))

    assert parts(open_with_recovery_key(sent, ALICE.user, OTHER_RECOVERY).secrets) == parts(made.secrets)
    assert parts(open_with_password(sent, ALICE.user, WRAP).secrets) == parts(made.secrets)
    with pytest.raises(WrongSecret):
        open_with_recovery_key(sent, ALICE.user, RECOVERY)


def test_new_secrets_are_the_next_version(made):
    second = EncryptionKey.fresh(2)
    opened = open_with_password(travelled(made.next(made.secrets.with_key(second))), ALICE.user, WRAP)

    assert opened.version == 2
    assert opened.secrets.newest == second
    assert opened.secrets.key(1) == made.secrets.newest
    assert opened.secrets.key(3) is None


def test_encryption_keys_have_no_gaps(made):
    with pytest.raises(BadEncoding):
        made.secrets.with_key(EncryptionKey.fresh(3))
    with pytest.raises(BadEncoding):
        made.secrets.with_key(EncryptionKey.fresh(1))
    with pytest.raises(BadEncoding):
        Secrets(ALICE.identity, ())
    with pytest.raises(BadEncoding):
        Secrets(ALICE.identity, (EncryptionKey.fresh(2),))


def test_a_server_cannot_weaken_the_parameters(made):
    sent = travelled(made)
    sent["slots"][0]["kdf"]["m"] = 8

    with pytest.raises(WeakKdf):
        open_with_password(sent, ALICE.user, WRAP)
    with pytest.raises(WeakKdf):
        kdf_of(sent)


def a_vault(**changes):
    return {**vault.new(ALICE.user, KDF, WRAP, RECOVERY).json(), **changes}


PASSWORD_SLOT, RECOVERY_SLOT = a_vault()["slots"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        a_vault(v=2),
        a_vault(v=True),
        a_vault(version=0),
        a_vault(version="1"),
        a_vault(ct=None),
        a_vault(extra=1),
        a_vault(slots={}),
        a_vault(slots=[]),
        a_vault(slots=[RECOVERY_SLOT]),
        a_vault(slots=[PASSWORD_SLOT, PASSWORD_SLOT]),
        a_vault(slots=[PASSWORD_SLOT, RECOVERY_SLOT, RECOVERY_SLOT]),
        a_vault(slots=[PASSWORD_SLOT, {**RECOVERY_SLOT, "type": "phrase"}]),
        a_vault(slots=[PASSWORD_SLOT, {**RECOVERY_SLOT, "kdf": KDF.json()}]),
        a_vault(slots=[{name: value for name, value in PASSWORD_SLOT.items() if name != "kdf"}]),
        a_vault(slots=[PASSWORD_SLOT, 1]),
    ],
)
def test_a_vault_of_another_form_is_refused(value):
    with pytest.raises(BadEncoding):
        open_with_password(value, ALICE.user, WRAP)


def key_json(key, **changes):
    return {"ver": key.version, "sk": b64(key.private), "pk": b64(key.public), **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"uik_pub": b64(MALLORY.keys.identity)},
        {"uik": b64(bytes(31))},
        {"ueks": []},
        {"ueks": [key_json(ALICE.encryption, pk=b64(MALLORY.encryption.public))]},
        {"ueks": [key_json(ALICE.encryption, ver=2)]},
        {"ueks": [key_json(ALICE.encryption), key_json(ALICE.encryption)]},
        {"ueks": [key_json(ALICE.encryption, more=1)]},
        {"archives": -1},
        {"more": 1},
    ],
    ids=repr,
)
def test_halves_that_do_not_belong_together_are_refused(changes):
    """Only somebody with the vault key writes such a vault: a broken client."""
    key = os.urandom(32)
    secrets = {
        "uik": b64(ALICE.identity.private_bytes_raw()),
        "uik_pub": b64(ALICE.keys.identity),
        "ueks": [key_json(ALICE.encryption)],
        **changes,
    }
    sent = {
        "v": 1,
        "version": 1,
        "ct": b64(aead.seal(key, dump(secrets), ctx("vault", ALICE.user, 1))),
        "slots": [{**RECOVERY_SLOT, "type": "pw", "kdf": KDF.json()}],
    }
    sent["slots"][0]["ct"] = b64(aead.seal(WRAP, key, ctx("slot", ALICE.user, "pw")))

    with pytest.raises(BadEncoding):
        open_with_password(sent, ALICE.user, WRAP)


def test_secrets_do_not_show(made):
    shown = repr(made) + repr(made.secrets) + repr(made.slots) + repr(made.secrets.newest)

    for secret in (made.key, made.secrets.identity.private_bytes_raw(), made.secrets.newest.private):
        assert repr(secret) not in shown
        assert secret.hex() not in shown
    assert issubclass(WrongSecret, CryptoError)
