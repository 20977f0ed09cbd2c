"""A user's document: what it may say, and whose it is."""

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.crypto import userkeys
from client.crypto.encoding import Signed, pae, sign
from client.crypto.errors import BadChange, BadEncoding, BadKey, BadSignature, CryptoError, WrongUser
from client.crypto.keys import EncryptionKey
from client.crypto.userkeys import KIND, MAX_DEVICES, MAX_LIVE, follow_back, read
from tests.crypto.people import NOW_S, a_device_key, b64, flips, person, tampered

ALICE, MALLORY = person("alice"), person("mallory")


def written(**changes):
    """A document by Alice's own hand with one thing in it that should not be."""
    document = json.loads(ALICE.keys.signed.payload)
    document.update(changes)
    return sign(KIND, {name: value for name, value in document.items() if value is not ...}, ALICE.identity).json("uik")


def device_json(**changes):
    (device,) = json.loads(ALICE.keys.signed.payload)["devices"]
    return {name: value for name, value in {**device, **changes}.items() if value is not ...}


def test_a_document_travels():
    keys = ALICE.keys.next().with_device(a_device_key("laptop", box=False)).sign(ALICE.identity)
    fresh = read(json.loads(json.dumps(keys.json())), ALICE.user)

    assert fresh == keys
    assert (fresh.seq, fresh.prev, fresh.identity) == (2, ALICE.keys.digest, ALICE.keys.identity)
    assert fresh.encryption == ALICE.encryption.announced
    assert [device.box is None for device in fresh.devices] == [False, True]
    assert fresh.devices[0].is_live()


def test_it_is_written_as_the_protocol_shows_it():
    keys = ALICE.keys

    assert json.loads(keys.signed.payload) == {
        "v": 1,
        "user": ALICE.user,
        "seq": 1,
        "prev": "",
        "uik": b64(keys.identity),
        "uek": {"ver": 1, "suite": "x25519", "pk": b64(ALICE.encryption.public)},
        "devices": [
            {
                "id": ALICE.device,
                "key": b64(ALICE.signer.public_key().public_bytes_raw()),
                "since": NOW_S,
                "until": None,
                "box": b64(ALICE.box.public_key().public_bytes_raw()),
            }
        ],
    }
    assert keys.json()["payloadType"] == "chat.e2ee.v1.userkeys"
    assert keys.json()["signatures"][0]["keyid"] == "uik"


def test_another_users_document_is_refused():
    with pytest.raises(WrongUser):
        read(MALLORY.keys.json(), ALICE.user)


def test_a_document_that_the_identity_did_not_sign_is_refused():
    payload = ALICE.keys.signed.payload
    forged = Signed(KIND, payload, MALLORY.identity.sign(pae(KIND, payload)))

    with pytest.raises(BadSignature):
        read(forged.json("uik"), ALICE.user)
    with pytest.raises(BadSignature):
        read(
            tampered(
                ALICE.keys.json(),
                lambda it: it.update(uek={"ver": 1, "suite": "x25519", "pk": b64(MALLORY.encryption.public)}),
            ),
            ALICE.user,
        )
    with pytest.raises(BadSignature):
        ALICE.keys.next().sign(MALLORY.identity)


def test_every_changed_byte_is_noticed():
    signed = ALICE.keys.signed

    for payload in (*flips(signed.payload), signed.payload[:-1], signed.payload + b" "):
        with pytest.raises(CryptoError):
            read(Signed(KIND, payload, signed.signature).json("uik"), ALICE.user)
    for signature in flips(signed.signature):
        with pytest.raises(BadSignature):
            read(Signed(KIND, signed.payload, signature).json("uik"), ALICE.user)


MALFORMED = [
    {"v": 2},
    {"v": True},
    {"user": "alice"},
    {"user": ALICE.user.upper()},
    {"seq": 0},
    {"seq": "1"},
    {"seq": 1.0},
    {"seq": 2**31},
    {"seq": 2},  # the second document follows another
    {"prev": b64(bytes(32))},  # and the first none
    {"prev": None},
    {"seq": 2, "prev": b64(bytes(31))},
    {"uik": ...},
    {"uik": b64(bytes(31))},
    {"uek": {"ver": 1, "suite": "mlkem768x25519", "pk": b64(ALICE.encryption.public)}},
    {"uek": {"ver": 0, "suite": "x25519", "pk": b64(ALICE.encryption.public)}},
    {"uek": {"ver": 1, "suite": "x25519", "pk": b64(ALICE.encryption.public), "more": 1}},
    {"uek": None},
    {"devices": {}},
    {"devices": []},
    {"devices": [device_json(until=NOW_S - 1)]},
    {"devices": ...},
    {"devices": [device_json(), device_json()]},
    {"devices": [device_json(id="phone")]},
    {"devices": [device_json(since=-1)]},
    {"devices": [device_json(since=None)]},
    {"devices": [device_json(until=...)]},
    {"devices": [device_json(until="never")]},
    {"devices": [device_json(box=None)]},
    {"devices": [device_json(name="my phone")]},
    {"pruned": None},
    {"pruned": {"seq": 1, "hash": b64(bytes(32))}},  # nothing came before this one
    {"more": 1},
]


@pytest.mark.parametrize("changes", MALFORMED, ids=repr)
def test_a_document_of_another_form_is_refused(changes):
    with pytest.raises(BadEncoding):
        read(written(**changes), ALICE.user)


def test_a_name_that_comes_twice_is_refused():
    payload = ALICE.keys.signed.payload[:-1] + b',"seq":1}'
    twice = Signed(KIND, payload, ALICE.identity.sign(pae(KIND, payload)))

    with pytest.raises(BadEncoding):
        read(twice.json("uik"), ALICE.user)


_P = 2**255 - 19
LOW_ORDER_X25519 = [
    0,
    1,
    _P - 1,
    _P,
    _P + 1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
]


@pytest.mark.parametrize("point", LOW_ORDER_X25519, ids=hex)
@pytest.mark.parametrize("top", [0, 1 << 255])
def test_encryption_keys_of_low_order_are_refused(point, top):
    bad = b64((point | top).to_bytes(32, "little"))

    with pytest.raises(BadKey):
        read(written(uek={"ver": 1, "suite": "x25519", "pk": bad}), ALICE.user)


def low_order_ed25519():
    """Every encoding whose point has order 1, 2, 4 or 8, worked out on the curve."""
    d = -121665 * pow(121666, -1, _P) % _P

    def x_of(y):
        square = (y * y - 1) * pow(d * y * y + 1, -1, _P) % _P
        root = pow(square, (_P + 3) // 8, _P)
        if (root * root - square) % _P:
            root = root * pow(2, (_P - 1) // 4, _P) % _P
        return root if (root * root - square) % _P == 0 else None

    def add(one, other):
        (a, b), (e, f) = one, other
        k = d * a * e * b * f % _P
        return (a * f + b * e) * pow(1 + k, -1, _P) % _P, (b * f + a * e) * pow(1 - k, -1, _P) % _P

    order = 2**252 + 27742317777372353535851937790883648493
    y, found = 2, set()
    while len(found) < 8:  # the large subgroup's order times a point is a point of low order
        if (x := x_of(y)) is not None:
            point, result = (x, y), (0, 1)
            for bit in f"{order:b}":
                result = add(result, result)
                result = add(result, point) if bit == "1" else result
            torsion = (0, 1)
            for _ in range(8):
                found.add(torsion)
                torsion = add(torsion, result)
        y += 1
    for _, y in found:
        for same in (y, y + _P):
            if same < 2**255:
                yield same.to_bytes(32, "little")
                yield (same | 1 << 255).to_bytes(32, "little")


@pytest.mark.parametrize("key", sorted(set(low_order_ed25519())), ids=bytes.hex)
def test_signing_keys_of_low_order_are_refused(key):
    with pytest.raises(BadKey):
        read(written(uik=b64(key)), ALICE.user)
    with pytest.raises(BadKey):
        read(written(devices=[device_json(key=b64(key))]), ALICE.user)


def test_a_revoked_device_stays_listed_for_what_it_said_before():
    keys = ALICE.keys.next().with_device(a_device_key("laptop")).sign(ALICE.identity)
    keys = keys.next().with_revoked(ALICE.device, NOW_S + 60).sign(ALICE.identity)
    phone = keys.device(ALICE.device)

    assert phone.until == NOW_S + 60
    assert not phone.is_live()
    assert phone.is_live((NOW_S + 60) * 1000 - 1)
    assert not phone.is_live((NOW_S + 60) * 1000)
    assert [device.id for device in keys.live] == [a_device_key("laptop").id]


def test_builders_refuse_what_makes_no_sense():
    content = ALICE.keys.next()

    with pytest.raises(BadChange):
        content.with_device(ALICE.keys.devices[0])
    with pytest.raises(BadChange):
        content.with_revoked(a_device_key("laptop").id, NOW_S)
    with pytest.raises(BadChange):
        content.with_revoked(ALICE.device, NOW_S).with_revoked(ALICE.device, NOW_S)
    with pytest.raises(BadChange):
        content.with_encryption_key(EncryptionKey.fresh(3).announced)


def test_50_devices_may_be_live():
    content = ALICE.keys.next()
    for number in range(MAX_LIVE - 1):
        content = content.with_device(a_device_key(f"device {number}"))
    keys = content.sign(ALICE.identity)

    assert len(read(keys.json(), ALICE.user).live) == 50
    with pytest.raises(BadChange):
        keys.next().with_device(a_device_key("one more"))
    one_more = replace(keys.next(), devices=(*keys.devices, a_device_key("one more")))
    with pytest.raises(BadEncoding):
        one_more.sign(ALICE.identity)


def a_full_document():
    """100 devices, of which the first is live."""
    revoked = tuple(replace(a_device_key(f"device {number}"), until=NOW_S) for number in range(MAX_DEVICES - 1))
    return replace(ALICE.keys.next(), devices=(ALICE.keys.devices[0], *revoked)).sign(ALICE.identity)


def test_a_full_list_leaves_revoked_devices_out_and_says_where_they_are():
    full = a_full_document()
    pruned = full.next().with_device(a_device_key("laptop")).sign(ALICE.identity)

    assert full.is_full
    assert [device.id for device in pruned.devices] == [ALICE.device, a_device_key("laptop").id]
    assert (pruned.pruned.seq, pruned.pruned.digest) == (full.seq, full.digest)
    # Who looks for an old message's device goes back.
    assert follow_back(pruned, full.json()) == full
    # From then on the place is carried over.
    later = pruned.next().with_device(a_device_key("tablet")).sign(ALICE.identity)
    assert later.pruned == pruned.pruned
    assert follow_back(later, full.json()).device(a_device_key("device 7").id) is not None


def test_a_list_with_room_leaves_nobody_out_unless_asked():
    keys = ALICE.keys.next().with_device(a_device_key("laptop")).with_revoked(ALICE.device, NOW_S).sign(ALICE.identity)

    assert keys.next().devices == keys.devices
    assert keys.next().pruned is None
    assert len(keys.next(prune=True).devices) == 1
    assert keys.next(prune=True).sign(ALICE.identity).pruned.digest == keys.digest
    assert ALICE.keys.next(prune=True).pruned is None


def test_101_devices_are_refused():
    full = a_full_document()
    too_many = replace(full.next(prune=False), devices=(*full.devices, a_device_key("one more")))

    with pytest.raises(BadEncoding):
        too_many.sign(ALICE.identity)


def test_only_the_named_document_is_followed_back():
    full = a_full_document()
    pruned = full.next().sign(ALICE.identity)
    other = replace(full.next(prune=False), seq=full.seq, prev=full.prev).with_revoked(ALICE.device, NOW_S)

    with pytest.raises(BadChange):
        follow_back(pruned, other.sign(ALICE.identity).json())  # the same number, another list
    with pytest.raises(BadChange):
        follow_back(pruned, ALICE.keys.json())  # another number
    with pytest.raises(WrongUser):
        follow_back(pruned, MALLORY.keys.json())
    with pytest.raises(BadChange):
        follow_back(ALICE.keys, full.json())  # nothing was left out


def test_a_reset_begins_anew():
    identity = Ed25519PrivateKey.generate()
    public = identity.public_key().public_bytes_raw()
    keys = userkeys.first(ALICE.user, public, EncryptionKey.fresh(1).announced, a_device_key("phone")).sign(identity)

    assert (keys.seq, keys.prev) == (1, b"")
    assert read(keys.json(), ALICE.user).identity != ALICE.keys.identity
