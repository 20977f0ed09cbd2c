"""A room's key: one for all members, for this epoch, by this creator."""

import json
from dataclasses import replace

import pytest

from client.crypto import epochs
from client.crypto.encoding import Signed, pae, sign
from client.crypto.epochs import RosterLine, check_follows, check_roster, open_wrap, read, read_roster
from client.crypto.errors import BadCommit, BadEncoding, BadEpoch, BadKey, BadSignature, BadWrap, CryptoError
from client.crypto.keys import EncryptionKey, PublicEncryptionKey
from client.crypto.messages import EpochKey
from tests.crypto.people import (
    NOW_S,
    OTHER_ROOM,
    ROOM,
    a_device,
    an_epoch,
    b64,
    flips,
    person,
    raw,
    tampered,
)

ALICE, BOB, MALLORY = person("alice"), person("bob"), person("mallory")
MADE = an_epoch(ALICE, BOB, MALLORY)


def place(**changes):
    alices = {"room": ROOM, "epoch": 1, "creator": ALICE.user, "device": ALICE.device, "public": ALICE.public}
    return {**alices, **changes}


def test_every_member_gets_the_same_key():
    sent = json.loads(json.dumps(MADE.json(41)))
    record = read(sent["record"], **place())

    assert record == MADE.record
    for person_ in (ALICE, BOB, MALLORY):
        wrap = sent["wraps"][person_.user]
        assert wrap["ver"] == 1
        assert open_wrap(record, raw(wrap["ct"]), person_.user, person_.encryption) == MADE.key
    assert sent["members_version"] == 41
    check_roster(record, read_roster(sent["roster"]))


def test_a_wrap_has_80_bytes_and_a_record_is_small():
    assert {len(wrap) for wrap in MADE.wraps.values()} == {80}
    assert len(MADE.record.signed.payload) < 500
    assert MADE.record.json()["signatures"][0]["keyid"] == ALICE.device


def test_keys_are_new_each_time():
    assert an_epoch(ALICE, BOB).key != an_epoch(ALICE, BOB).key


@pytest.mark.parametrize(
    "change",
    [
        {"room": OTHER_ROOM},
        {"epoch": 2},
        {"creator": MALLORY.user},
        {"device": MALLORY.device},
    ],
    ids=repr,
)
def test_a_record_of_another_place_is_refused(change):
    with pytest.raises(BadEpoch):
        read(MADE.record.json(), **place(**change))


def test_an_unknown_signer_is_refused():
    with pytest.raises(BadSignature):
        read(MADE.record.json(), **place(public=MALLORY.public))
    forged = Signed(
        epochs.KIND, MADE.record.signed.payload, MALLORY.signer.sign(pae(epochs.KIND, MADE.record.signed.payload))
    )
    with pytest.raises(BadSignature):
        read(forged.json(ALICE.device), **place())


def test_a_record_in_anothers_name_is_refused():
    # Mallory, a member, signs with the own device and says it was Alice's.
    document = json.loads(MADE.record.signed.payload)

    with pytest.raises(BadSignature):
        read(sign(epochs.KIND, document, MALLORY.signer).json(ALICE.device), **place())
    with pytest.raises(BadEpoch):
        read(
            sign(epochs.KIND, document, MALLORY.signer).json(MALLORY.device),
            **place(creator=MALLORY.user, device=MALLORY.device, public=MALLORY.public),
        )


def test_a_users_document_is_no_record():
    with pytest.raises(BadEncoding):
        read(ALICE.keys.json(), **place())
    # Nor under its name: the kind is signed too.
    with pytest.raises(BadSignature):
        read({**ALICE.keys.json(), "payloadType": epochs.KIND}, **place(public=ALICE.keys.identity))


def test_every_changed_byte_of_a_record_is_noticed():
    signed = MADE.record.signed

    for payload in (*flips(signed.payload), signed.payload[:-1], signed.payload + b" "):
        with pytest.raises(BadSignature):
            read(Signed(epochs.KIND, payload, signed.signature).json(ALICE.device), **place())
    for signature in flips(signed.signature):
        with pytest.raises(BadSignature):
            read(Signed(epochs.KIND, signed.payload, signature).json(ALICE.device), **place())
    with pytest.raises(BadSignature):
        read(tampered(MADE.record.json(), lambda it: it.update(ts=1)), **place())


MALFORMED = [
    {"v": 2},
    {"room": "lobby"},
    {"epoch": 0},
    {"epoch": "1"},
    {"epoch": True},
    {"prev": None},
    {"prev": b64(bytes(31))},
    {"creator": None},
    {"roster": b64(bytes(31))},
    {"commit": b64(bytes(33))},
    {"commit": ...},
    {"ts": -1},
    {"ts": 1.5},
    {"more": 1},
]


def written(changes):
    """A record by Alice's own device with one thing in it that should not be."""
    document = {**json.loads(MADE.record.signed.payload), **changes}
    document = {name: value for name, value in document.items() if value is not ...}
    return sign(epochs.KIND, document, ALICE.signer).json(ALICE.device)


@pytest.mark.parametrize(
    "changes",
    [
        *MALFORMED,
        {"epoch": 2},  # follows none
        {"prev": b64(bytes(32))},  # follows one, and is the first
    ],
    ids=repr,
)
def test_a_record_of_another_form_is_refused(changes):
    with pytest.raises(BadEncoding):
        read(written(changes), **place())


def test_a_name_that_comes_twice_is_refused():
    payload = MADE.record.signed.payload[:-1] + b',"epoch":1}'
    twice = Signed(epochs.KIND, payload, ALICE.signer.sign(pae(epochs.KIND, payload)))

    with pytest.raises(BadEncoding):
        read(twice.json(ALICE.device), **place())


def test_every_changed_byte_of_a_wrap_is_noticed():
    wrap = MADE.wraps[BOB.user]

    for changed in (*flips(wrap), *flips(wrap, 0x80), wrap[:-1], wrap + b"\0", b"", bytes(80)):
        with pytest.raises(BadWrap):
            open_wrap(MADE.record, changed, BOB.user, BOB.encryption)


def test_a_wrap_is_for_one_user_one_room_one_epoch_and_one_version():
    wrap = MADE.wraps[BOB.user]
    later = EncryptionKey.of(2, BOB.encryption.private)

    assert epochs.unwrap(wrap, ROOM, 1, BOB.user, BOB.encryption) == MADE.key.secret
    for room, epoch, user, key in (
        (OTHER_ROOM, 1, BOB.user, BOB.encryption),
        (ROOM, 2, BOB.user, BOB.encryption),
        (ROOM, 1, MALLORY.user, BOB.encryption),
        (ROOM, 1, BOB.user, MALLORY.encryption),
        (ROOM, 1, BOB.user, later),
    ):
        with pytest.raises(BadWrap):
            epochs.unwrap(wrap, room, epoch, user, key)


def test_a_wrap_of_an_older_epoch_is_not_taken_for_the_newer():
    newer = an_epoch(ALICE, BOB, epoch=2, prev=MADE.record.digest)

    with pytest.raises(BadWrap):
        open_wrap(newer.record, MADE.wraps[BOB.user], BOB.user, BOB.encryption)


def test_a_creator_cannot_give_members_different_keys():
    # Mallory wraps another key for Bob, for the right place: only the record's commitment shows it.
    other = epochs.wrap(bytes(32), ROOM, 1, BOB.user, BOB.keys.encryption)

    assert epochs.unwrap(other, ROOM, 1, BOB.user, BOB.encryption) == bytes(32)
    with pytest.raises(BadCommit):
        open_wrap(MADE.record, other, BOB.user, BOB.encryption)


def test_who_shares_history_cannot_lie_about_the_key():
    with pytest.raises(BadCommit):
        epochs.check_commit(MADE.record, EpochKey(ROOM, 1, bytes(32)))
    epochs.check_commit(MADE.record, MADE.key)


def test_a_key_is_not_committed_to_for_another_place():
    assert epochs.commitment(bytes(32), ROOM, 1) != epochs.commitment(bytes(32), ROOM, 2)
    assert epochs.commitment(bytes(32), ROOM, 1) != epochs.commitment(bytes(32), OTHER_ROOM, 1)


def test_records_follow_each_other():
    second = an_epoch(BOB, ALICE, epoch=2, prev=MADE.record.digest).record
    check_follows(second, MADE.record)

    for other in (
        an_epoch(BOB, ALICE, epoch=2, prev=bytes(32)).record,
        an_epoch(BOB, ALICE, epoch=3, prev=MADE.record.digest).record,
        an_epoch(BOB, ALICE, epoch=2, prev=MADE.record.digest, room=OTHER_ROOM).record,
        MADE.record,
    ):
        with pytest.raises(BadEpoch):
            check_follows(other, MADE.record)


def test_the_roster_is_the_signed_one():
    roster = MADE.roster
    check_roster(MADE.record, reversed(roster))

    ghost = RosterLine(person("carol").user, person("carol").keys.identity, 1)
    for other in (
        roster[:-1],
        (*roster, ghost),
        (*roster, roster[0]),
        (replace(roster[0], version=2), *roster[1:]),
        (replace(roster[0], identity=MALLORY.keys.identity), *roster[1:]),
        (),
    ):
        with pytest.raises(BadEpoch):
            check_roster(MADE.record, other)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [1],
        [[ALICE.user]],
        [[ALICE.user, b64(bytes(31)), 1]],
        [[ALICE.user, b64(bytes(32)), 0]],
        [["alice", b64(bytes(32)), 1]],
        [[ALICE.user, b64(bytes(32)), 1, 1]],
        [[ALICE.user, b64(bytes(32)), 1]] * 2,
        [MADE.roster[0].json()] * 1001,
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_roster_of_another_form_is_refused(value):
    with pytest.raises(BadEncoding):
        read_roster(value)


def test_an_epoch_has_members_and_none_twice():
    alices = (ROOM, 1, b"", ALICE.user, ALICE.device, ALICE.signer)

    for members in ([], [ALICE.keys, ALICE.keys], [ALICE.keys] * 1001):
        with pytest.raises(BadEpoch):
            epochs.create(*alices, members, NOW_S)
    with pytest.raises(BadEpoch):
        an_epoch(ALICE, BOB, epoch=2)
    with pytest.raises(BadEpoch):
        an_epoch(ALICE, BOB, prev=bytes(32))


def test_nothing_is_wrapped_to_a_point_of_low_order():
    for point in (0, 1):
        key = PublicEncryptionKey(1, "x25519", point.to_bytes(32, "little"))
        with pytest.raises(BadKey):
            epochs.wrap(bytes(32), ROOM, 1, BOB.user, key)


def test_a_field_that_would_break_the_context_is_refused():
    with pytest.raises(BadEncoding):
        epochs.wrap(bytes(32), "room\n1", 1, BOB.user, BOB.keys.encryption)
    with pytest.raises(BadEncoding):
        EpochKey(ROOM, 1, bytes(31))


def test_keys_do_not_show():
    shown = repr(MADE)

    assert MADE.key.secret.hex() not in shown
    assert repr(MADE.key.secret) not in shown
    assert repr(MADE.wraps[BOB.user]) not in shown
    assert a_device("alice phone") in shown
    assert issubclass(BadCommit, CryptoError)
