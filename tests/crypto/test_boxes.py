"""A new encryption key reaches the other devices without the password, and nobody else."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from client.crypto import aead, boxes
from client.crypto.encoding import ctx
from client.crypto.errors import BadKey, BadSeal
from client.crypto.keys import EncryptionKey
from tests.crypto.people import NOW_S, a_device, a_device_key, flips, person, seed

ALICE, BOB = person("alice"), person("bob")
NEW_KEY = EncryptionKey.of(2, seed("uek alice 2"))
LAPTOP = a_device("laptop")
LAPTOPS_BOX = X25519PrivateKey.from_private_bytes(seed("box laptop"))


def a_rotation():
    content = ALICE.keys.next()
    for device in (a_device_key("laptop"), a_device_key("old tablet", box=False), a_device_key("stolen")):
        content = content.with_device(device)
    return content.with_revoked(a_device("stolen"), NOW_S).with_encryption_key(NEW_KEY.announced)


def test_each_other_live_device_with_a_box_key_gets_one():
    made = boxes.seal_boxes(NEW_KEY, a_rotation(), except_for=ALICE.device)

    assert set(made) == {LAPTOP}
    assert len(made[LAPTOP]) == 80
    keys = a_rotation().sign(ALICE.identity)
    assert boxes.open_box(made[LAPTOP], ALICE.user, LAPTOP, keys.encryption, LAPTOPS_BOX) == NEW_KEY


def test_a_box_is_for_one_user_one_version_and_one_device():
    box = boxes.seal_box(NEW_KEY, ALICE.user, LAPTOP, LAPTOPS_BOX.public_key().public_bytes_raw())

    for user, device, announced, private in (
        (BOB.user, LAPTOP, NEW_KEY.announced, LAPTOPS_BOX),
        (ALICE.user, ALICE.device, NEW_KEY.announced, LAPTOPS_BOX),
        (ALICE.user, LAPTOP, ALICE.encryption.announced, LAPTOPS_BOX),
        (ALICE.user, LAPTOP, NEW_KEY.announced, ALICE.box),
    ):
        with pytest.raises(BadSeal):
            boxes.open_box(box, user, device, announced, private)


def test_every_changed_byte_is_noticed():
    box = boxes.seal_box(NEW_KEY, ALICE.user, LAPTOP, LAPTOPS_BOX.public_key().public_bytes_raw())

    for changed in (*flips(box), *flips(box, 0x80), box[:-1], box + b"\0", b"", bytes(80)):
        with pytest.raises(BadSeal):
            boxes.open_box(changed, ALICE.user, LAPTOP, NEW_KEY.announced, LAPTOPS_BOX)


def test_a_key_that_the_document_does_not_announce_is_refused():
    # A server can seal to the box, too: a key of its own, under which it would read everything.
    servers = EncryptionKey.of(2, seed("the server's"))
    box = boxes.seal_box(servers, ALICE.user, LAPTOP, LAPTOPS_BOX.public_key().public_bytes_raw())

    with pytest.raises(BadSeal):
        boxes.open_box(box, ALICE.user, LAPTOP, NEW_KEY.announced, LAPTOPS_BOX)


def test_nothing_is_sealed_to_a_point_of_low_order():
    for point in (0, 1):
        with pytest.raises(BadKey):
            boxes.seal_box(NEW_KEY, ALICE.user, LAPTOP, point.to_bytes(32, "little"))


def test_a_device_with_a_bad_box_key_does_not_stop_the_others():
    bad = replace(a_device_key("tablet"), box=bytes(32))
    content = ALICE.keys.next().with_device(bad).with_device(a_device_key("laptop")).sign(ALICE.identity)

    assert set(boxes.seal_boxes(NEW_KEY, content, except_for=ALICE.device)) == {LAPTOP}


def test_a_box_is_no_wrap():
    wrapped = aead.wrap(NEW_KEY.private, LAPTOPS_BOX.public_key(), ctx("wrap", "room", 1, ALICE.user, 2))

    with pytest.raises(BadSeal):
        boxes.open_box(wrapped, ALICE.user, LAPTOP, NEW_KEY.announced, LAPTOPS_BOX)
