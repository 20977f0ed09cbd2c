"""What a server can try with documents that users did sign: substitute, roll back, fork, mix up."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.crypto import userkeys
from client.crypto.errors import BadChange, Forked, IdentityChanged, RolledBack, WrongUser
from client.crypto.keys import EncryptionKey
from client.crypto.pins import Pin, check_change, check_own, follow
from client.crypto.userkeys import Pruned
from client.crypto.vault import Secrets
from tests.crypto.people import NOW_S, a_device_key, person

ALICE, BOB, MALLORY = person("alice"), person("bob"), person("mallory")
FIRST = ALICE.keys
SECOND = FIRST.next().with_device(a_device_key("laptop")).sign(ALICE.identity)
NEW_KEY = EncryptionKey.fresh(2)
THIRD = SECOND.next().with_revoked(ALICE.device, NOW_S).with_encryption_key(NEW_KEY.announced).sign(ALICE.identity)


def signed(content):
    return content.sign(ALICE.identity)


def test_newer_documents_are_taken():
    pin = Pin.of(FIRST)
    assert follow(pin, FIRST, FIRST) == pin

    pin = follow(pin, SECOND, FIRST)
    assert pin == Pin(ALICE.keys.identity, 2, SECOND.digest)
    assert follow(pin, THIRD, SECOND) == Pin.of(THIRD)


def test_a_jump_is_taken():
    # Who was away for long sees the newest document only; the chain between is the server's word.
    assert follow(Pin.of(FIRST), THIRD, FIRST).seq == 3
    assert follow(Pin.of(FIRST), THIRD).seq == 3


def test_over_a_jump_too_no_version_is_another_key_and_nobody_who_was_revoked_is_back():
    later = signed(SECOND.next().with_device(a_device_key("tablet")))
    other_key = signed(replace(later.next(), encryption=EncryptionKey.fresh(FIRST.encryption.version).announced))
    with pytest.raises(BadChange):
        follow(Pin.of(SECOND), other_key, SECOND)

    gone = THIRD.device(ALICE.device)
    back = tuple(replace(each, until=None) if each == gone else each for each in THIRD.devices)
    returned = signed(replace(signed(THIRD.next()).next(), devices=back))
    with pytest.raises(BadChange):
        follow(Pin.of(THIRD), returned, THIRD)


def test_a_substituted_identity_is_refused():
    mallorys = userkeys.first(
        ALICE.user, MALLORY.keys.identity, MALLORY.encryption.announced, MALLORY.keys.devices[0]
    ).sign(MALLORY.identity)

    for seq in (1, 3):
        fake = replace(mallorys, seq=seq)
        with pytest.raises(IdentityChanged):
            follow(Pin.of(SECOND), fake)


def test_an_older_document_is_refused():
    with pytest.raises(RolledBack):
        follow(Pin.of(THIRD), SECOND)
    with pytest.raises(RolledBack):
        follow(Pin.of(SECOND), FIRST, SECOND)


def test_two_documents_of_one_number_are_refused():
    other = signed(FIRST.next().with_device(a_device_key("tablet")))

    assert other.seq == SECOND.seq
    with pytest.raises(Forked):
        follow(Pin.of(SECOND), other)


def test_the_successor_of_another_document_is_refused():
    other = signed(signed(FIRST.next().with_device(a_device_key("tablet"))).next())

    assert other.seq == SECOND.seq + 1
    with pytest.raises(Forked):
        follow(Pin.of(SECOND), other)


def test_a_store_that_disagrees_with_itself_is_noticed():
    with pytest.raises(Forked):
        follow(Pin.of(SECOND), THIRD, FIRST)


def test_after_a_jump_the_encryption_key_is_not_an_older_one():
    later = signed(replace(THIRD.next(), seq=9, encryption=FIRST.encryption))

    with pytest.raises(BadChange):
        follow(Pin.of(THIRD), later, THIRD)


LAPTOP = a_device_key("laptop")


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("another key of the same version", replace(SECOND.next(), encryption=EncryptionKey.fresh(1).announced)),
        ("the same key as another version", replace(SECOND.next(), encryption=replace(FIRST.encryption, version=2))),
        ("a version too many", replace(SECOND.next(), encryption=EncryptionKey.fresh(3).announced)),
        ("a live device left out", replace(SECOND.next(), devices=SECOND.devices[:1])),
        ("a live device left out, and said", replace(SECOND.next(), devices=SECOND.devices[:1], pruned=Pruned(2, SECOND.digest))),
        ("other keys for a device", replace(SECOND.next(), devices=(SECOND.devices[0], replace(LAPTOP, key=BOB.keys.devices[0].key)))),
        ("another box for a device", replace(SECOND.next(), devices=(SECOND.devices[0], replace(LAPTOP, box=None)))),
        ("another beginning", replace(SECOND.next(), devices=(SECOND.devices[0], replace(LAPTOP, since=1)))),
        ("pruned, and nobody left out", replace(SECOND.next(), pruned=Pruned(2, SECOND.digest))),
        ("an older place for nobody", replace(SECOND.next(), pruned=Pruned(1, FIRST.digest))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_step_against_the_rules_is_refused(what, content):
    with pytest.raises(BadChange):
        follow(Pin.of(SECOND), signed(content), SECOND)


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("a revoked device is back", replace(THIRD.next(), devices=(FIRST.devices[0], *THIRD.devices[1:]))),
        ("it left at another time", replace(THIRD.next(), devices=(replace(THIRD.devices[0], until=NOW_S + 1), THIRD.devices[1]))),
        ("left out, and not said", replace(THIRD.next(prune=True), pruned=None)),
        ("left out, and said wrongly", replace(THIRD.next(prune=True), pruned=Pruned(2, SECOND.digest))),
        ("an older encryption key", replace(THIRD.next(), encryption=FIRST.encryption)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_revocation_is_not_taken_back(what, content):
    with pytest.raises(BadChange):
        follow(Pin.of(THIRD), signed(content), THIRD)


def test_a_place_of_left_out_devices_is_carried_over():
    pruned = signed(THIRD.next(prune=True))

    check_change(THIRD, pruned)
    check_change(pruned, pruned.next())
    with pytest.raises(BadChange):
        check_change(pruned, replace(pruned.next(), pruned=None))


def test_a_step_is_one_users_and_one_step():
    with pytest.raises(WrongUser):
        check_change(FIRST, BOB.keys.next())
    with pytest.raises(IdentityChanged):
        check_change(FIRST, replace(FIRST.next(), identity=MALLORY.keys.identity))
    with pytest.raises(Forked):
        check_change(FIRST, SECOND.next())
    with pytest.raises(Forked):
        check_change(FIRST, replace(FIRST.next(), prev=bytes(32)))


def secrets(*keys):
    return Secrets(ALICE.identity, keys)


def test_ones_own_document_agrees_with_the_vault():
    check_own(FIRST, secrets(ALICE.encryption))
    check_own(THIRD, secrets(ALICE.encryption, NEW_KEY))


def test_an_old_vault_is_noticed():
    # The document names the second key, and the vault that the server gave has the first only.
    with pytest.raises(RolledBack):
        check_own(THIRD, secrets(ALICE.encryption))


def test_an_old_document_is_noticed():
    with pytest.raises(RolledBack):
        check_own(SECOND, secrets(ALICE.encryption, NEW_KEY))


def test_a_document_by_somebody_else_is_noticed():
    with pytest.raises(IdentityChanged):
        check_own(FIRST, Secrets(Ed25519PrivateKey.generate(), (ALICE.encryption,)))
    with pytest.raises(Forked):
        check_own(FIRST, secrets(EncryptionKey.fresh(1)))
