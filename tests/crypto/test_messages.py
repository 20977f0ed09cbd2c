"""A message: who reads it, who wrote it, and where it belongs."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.crypto import messages
from client.crypto.encoding import ctx, pae
from client.crypto.errors import BadEncoding, BadMessage, TooLong
from client.crypto.messages import LONGEST, MAX_PAYLOAD, SHORTEST, EpochKey, Payload, seal
from tests.crypto.people import (
    MESSAGE,
    OTHER_ROOM,
    ROOM,
    SENT_AT,
    a_device,
    epoch_key,
    flips,
    person,
    seed,
    text,
)

ALICE, BOB, MALLORY = person("alice"), person("bob"), person("mallory")
OTHER_MESSAGE = "0192f1aa-0000-7000-8000-000000000002"


def sealed(payload=None, key=None):
    return seal(key or epoch_key(), ALICE.user, ALICE.device, ALICE.signer, payload or text())


def opened(ciphertext, *, key=None, sender=ALICE, device=None, public=None, id=MESSAGE, sent_at=SENT_AT):
    return messages.open(
        key or epoch_key(),
        sender.user,
        device or sender.device,
        public or sender.public,
        ciphertext,
        id=id,
        sent_at=sent_at,
    )


def written(payload, *, padding=None, signer=ALICE.signer, signed=None):
    """A ciphertext by somebody with the epoch's key and a client of their own."""
    lane = epoch_key().lane(ALICE.user, ALICE.device)
    signature = signer.sign(pae("chat.e2ee.v1.msg", lane.aad + b"\n\n" + (payload if signed is None else signed)))
    spaces = b" " * (-(64 + len(payload)) % 64) if padding is None else padding
    return messages.aead.seal(messages.aead.hkdf(seed("epoch key"), lane.aad), signature + payload + spaces, lane.aad)


def said(**changes):
    document = {"v": 1, "id": MESSAGE, "type": "text", "body": "hello", "ts": SENT_AT, **changes}
    return json.dumps({name: value for name, value in document.items() if value is not ...}).encode()


@given(st.text())
def test_any_text_comes_back(body):
    assert opened(sealed(text(body))).body == body


@given(st.integers(0, 40_000), st.sampled_from(["a", "é", "€", "😀", '"', "\n", "\0"]))
@settings(deadline=None, max_examples=60)
def test_any_length_up_to_the_limit_comes_back(length, character):
    payload = text(character * length)
    try:
        ciphertext = sealed(payload)
    except TooLong:
        assert len(json.dumps({"body": payload.body}, ensure_ascii=False).encode()) > MAX_PAYLOAD - 200
        return
    assert SHORTEST <= len(ciphertext) <= LONGEST
    assert (len(ciphertext) - 28) % 64 == 0
    assert opened(ciphertext) == payload


def test_the_longest_body_fits_and_one_byte_more_does_not():
    room = MAX_PAYLOAD - len(messages.encode(text("")))

    assert len(sealed(text("a" * room))) == LONGEST == 32_732
    assert opened(sealed(text("a" * room))).body == "a" * room
    with pytest.raises(TooLong):
        sealed(text("a" * (room + 1)))


def test_a_length_tells_its_step_only():
    lengths = {len(sealed(text("a" * length))) for length in range(120)}

    assert len(lengths) == 3
    assert all((length - 28) % 64 == 0 for length in lengths)
    assert min(lengths) >= SHORTEST == 156


def test_sealing_twice_gives_other_bytes():
    assert sealed() != sealed()


def test_every_changed_byte_is_noticed():
    ciphertext = sealed(text("a text of some length, so that there is padding behind it"))

    for changed in (*flips(ciphertext), *flips(ciphertext, 0x80)):
        with pytest.raises(BadMessage):
            opened(changed)


@given(st.integers(0, 155), st.integers(1, 255))
def test_no_change_of_a_byte_passes(at, difference):
    ciphertext = sealed(text(""))
    assert len(ciphertext) > at

    with pytest.raises(BadMessage):
        opened(ciphertext[:at] + bytes([ciphertext[at] ^ difference]) + ciphertext[at + 1 :])


def test_what_is_cut_off_or_added_is_noticed():
    ciphertext = sealed()

    for length in range(len(ciphertext)):
        with pytest.raises(BadMessage):
            opened(ciphertext[:length])
    for more in (b"\0", bytes(64), bytes(16), bytes(40_000)):
        with pytest.raises(BadMessage):
            opened(ciphertext + more)


def test_a_message_is_for_one_room_epoch_user_and_device():
    ciphertext = sealed()

    for where in (
        {"key": epoch_key(room=OTHER_ROOM)},
        {"key": epoch_key(epoch=2)},
        {"key": epoch_key(secret=bytes(32))},
        {"sender": BOB},
        {"sender": BOB, "public": ALICE.public},
        {"sender": BOB, "device": ALICE.device, "public": ALICE.public},
        {"device": a_device("alice laptop")},
        {"public": MALLORY.public},
        {"public": ALICE.keys.identity},
    ):
        with pytest.raises(BadMessage):
            opened(ciphertext, **where)
    assert opened(ciphertext, public=ALICE.keys.devices[0].key) == text()


def test_a_member_cannot_write_in_anothers_name():
    # Mallory is a member and has the epoch's key, so everything but the signature can be made.
    forged = written(said(body="I owe Mallory 100"), signer=MALLORY.signer)

    with pytest.raises(BadMessage):
        opened(forged)


def test_a_member_cannot_put_a_signature_under_another_text():
    with pytest.raises(BadMessage):
        opened(written(said(body="yes"), signed=said(body="no.")))


def test_a_signature_of_another_place_does_not_fit():
    # What Alice said in this room, sealed anew for another one where Mallory has the key, too.
    key, other = epoch_key(), epoch_key(room=OTHER_ROOM)
    lane, payload = key.lane(ALICE.user, ALICE.device), messages.encode(text())
    signature = ALICE.signer.sign(pae("chat.e2ee.v1.msg", lane.aad + b"\n\n" + payload))
    there = other.lane(ALICE.user, ALICE.device)
    padding = b" " * (-(64 + len(payload)) % 64)
    moved = messages.aead.seal(messages.aead.hkdf(other.secret, there.aad), signature + payload + padding, there.aad)

    with pytest.raises(BadMessage):
        opened(moved, key=other)


def test_a_message_answers_to_its_id_and_time():
    ciphertext = sealed()

    with pytest.raises(BadMessage):
        opened(ciphertext, id=OTHER_MESSAGE)
    with pytest.raises(BadMessage):
        opened(ciphertext, sent_at=SENT_AT + 1)


@given(st.integers(0, 5))
def test_padding_is_spaces_of_any_number(steps):
    payload = said()
    padding = b" " * (-(64 + len(payload)) % 64 + 64 * steps)

    assert opened(written(payload, padding=padding)).body == "hello"


def test_padding_of_anything_else_is_refused():
    payload = said()
    width = -(64 + len(payload)) % 64

    for character in (b"\0", b"\n", b"\t", b"}", b"x"):
        with pytest.raises(BadMessage):
            opened(written(payload, padding=character * width))


def test_a_body_that_ends_with_spaces_keeps_them():
    assert opened(sealed(text("  a  "))).body == "  a  "


def test_spaces_are_no_part_of_what_is_signed():
    # Signed with its padding: another text than the one that is read.
    payload = said()
    padded = payload + b" " * (-(64 + len(payload)) % 64)

    with pytest.raises(BadMessage):
        opened(written(payload, signed=padded))


@pytest.mark.parametrize(
    "payload",
    [
        said(v=2),
        said(v=...),
        said(id=...),
        said(id=1),
        said(type=...),
        said(type=""),
        said(type="Text!"),
        said(type="a" * 65),
        said(body=...),
        said(body=None),
        said(body=["hello"]),
        said(body="\ud800"),
        said(ts=...),
        said(ts=float(SENT_AT)),
        said(ts=str(SENT_AT)),
        said()[:-1] + b',"body":"other"}',
        b"[]",
        b"no JSON",
        b'{"body":"\xff"}',
        b"",
    ],
    ids=lambda payload: repr(payload)[-40:],
)
def test_a_payload_of_another_form_is_refused(payload):
    width = -(64 + len(payload)) % 64 + 64

    with pytest.raises(BadMessage):
        opened(written(payload, padding=b" " * width))


def test_what_a_newer_client_adds_is_skipped():
    assert opened(written(said(reply_to=OTHER_MESSAGE))) == text()
    assert opened(written(said(type="reaction", body="👍"))).type == "reaction"


def test_what_would_not_be_opened_is_not_sealed():
    for payload in (
        text("\ud800"),
        text(id="1"),
        text(ts=-1),
        text(ts=1.5),
        Payload(MESSAGE, "Text!", "hello", SENT_AT),
    ):
        with pytest.raises(BadEncoding):
            sealed(payload)


def test_each_device_has_a_message_key_of_its_own():
    key = epoch_key()
    ours, other = key.lane(ALICE.user, ALICE.device), key.lane(ALICE.user, a_device("alice laptop"))

    assert ours.aad == ctx("msg", ROOM, 1, ALICE.user, ALICE.device)
    assert ours.aad != other.aad
    nonce = bytes(12)
    assert ours.cipher.encrypt(nonce, b"", b"") != other.cipher.encrypt(nonce, b"", b"")
    assert key.lane(ALICE.user, ALICE.device) is ours


def test_kept_message_keys_are_bounded(monkeypatch):
    monkeypatch.setattr(messages, "_MAX_LANES", 3)
    key = EpochKey(ROOM, 1, bytes(32))

    for number in range(10):
        key.lane(ALICE.user, a_device(str(number)))
    assert len(key._lanes) <= 3


def test_bodies_and_keys_do_not_show():
    shown = repr(text("a secret")) + repr(epoch_key())

    assert "a secret" not in shown
    assert repr(epoch_key().secret) not in shown
    with pytest.raises(BadMessage) as refusal:
        opened(written(said(body="a secret", id=OTHER_MESSAGE)))
    assert "a secret" not in str(refusal.value)
