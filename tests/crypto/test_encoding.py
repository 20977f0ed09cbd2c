"""One value has one text, and one document one reading."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.crypto.encoding import Signed, b64, ctx, dump, pae, parse, sign, unb64
from client.crypto.errors import BadEncoding, BadSignature
from tests.crypto.people import b64 as encoded
from tests.crypto.people import flips, person

ALICE, MALLORY = person("alice"), person("mallory")
ALICES = ALICE.keys.identity
KIND = "chat.e2ee.v1.test"


@given(st.binary(max_size=200))
def test_bytes_come_back(value):
    assert unb64(b64(value)) == value
    assert unb64(b64(value), len(value)) == value


@pytest.mark.parametrize(
    "text",
    ["AA==", "AA=", "A", "AAAAA", "AB", "AAB", "A A", "AA\n", "AA+/", "é", "ＡＡ", " AA", None, 1, b"AA", ["AA"]],
    ids=repr,
)
def test_base64_that_is_not_canonical_is_refused(text):
    with pytest.raises(BadEncoding):
        unb64(text)


@given(st.text(alphabet="ABCDEFwxyz0189-_", max_size=12))
def test_what_is_read_is_what_would_be_written(text):
    try:
        value = unb64(text)
    except BadEncoding:
        return
    assert b64(value) == text


def test_another_length_is_refused():
    with pytest.raises(BadEncoding):
        unb64(b64(bytes(31)), 32)


fields = st.lists(st.text(alphabet="abzAZ09_.:-", max_size=4), max_size=4)


@given(fields, fields)
def test_contexts_are_the_same_for_the_same_fields_only(one, other):
    assert (ctx(*one) == ctx(*other)) == (one == other)


def test_a_context_begins_with_the_protocols_name():
    assert ctx("msg", 7) == b"chat.e2ee.v1\nmsg\n7"


@pytest.mark.parametrize("field", ["a\nb", "a\n", "\n", "a b", "é", "a/b", "\0"], ids=repr)
def test_a_field_that_could_be_mistaken_for_two_is_refused(field):
    with pytest.raises(BadEncoding):
        ctx("msg", field)


def test_what_is_signed_is_dsses():
    # The example of the DSSE specification, protocol.md.
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
    # Lengths are in bytes.
    assert pae("é", "é".encode()) == b"DSSEv1 2 \xc3\xa9 2 \xc3\xa9"


documents = st.dictionaries(st.text(max_size=5), st.integers(-5, 5) | st.text(max_size=5) | st.none(), max_size=4)


@given(documents)
def test_a_signed_document_comes_back(document):
    sent = json.loads(json.dumps(sign(KIND, document, ALICE.identity).json("uik")))

    assert Signed.read(sent, KIND).verify(ALICES) == document


def test_the_payload_travels_byte_for_byte():
    # Somebody else's JSON has spaces, escapes and another order; it is signed as it is written.
    payload = b'{ "b" : "\\u00e9",\n "a":1 }'
    signed = Signed(KIND, payload, ALICE.identity.sign(pae(KIND, payload)))

    assert Signed.read(signed.json("uik"), KIND) == signed
    assert signed.verify(ALICES) == {"a": 1, "b": "é"}


def test_a_change_anywhere_is_noticed():
    signed = sign(KIND, {"a": 1, "b": "text"}, ALICE.identity)

    for payload in (*flips(signed.payload), signed.payload[:-1], signed.payload + b" ", b""):
        with pytest.raises(BadSignature):
            Signed(KIND, payload, signed.signature).verify(ALICES)
    for signature in (*flips(signed.signature), *flips(signed.signature, 0x80)):
        with pytest.raises(BadSignature):
            Signed(KIND, signed.payload, signature).verify(ALICES)


def test_another_key_or_another_kind_did_not_sign_it():
    signed = sign(KIND, {"a": 1}, ALICE.identity)

    with pytest.raises(BadSignature):
        signed.verify(MALLORY.keys.identity)
    with pytest.raises(BadSignature):
        Signed("chat.e2ee.v1.other", signed.payload, signed.signature).verify(ALICES)
    with pytest.raises(BadSignature):
        signed.verify(bytes(31))
    with pytest.raises(BadEncoding):
        Signed.read(signed.json("uik"), "chat.e2ee.v1.other")


def test_nothing_is_parsed_before_it_is_verified():
    with pytest.raises(BadSignature):
        Signed(KIND, b"{no JSON", bytes(64)).verify(ALICES)


def envelope(**changes):
    return {**sign(KIND, {"a": 1}, ALICE.identity).json("uik"), **changes}


A_SIGNATURE = envelope()["signatures"][0]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        envelope(payload=1),
        envelope(payload="AB"),
        envelope(payload="A" * 100_000),
        envelope(signatures=[]),
        envelope(signatures=[A_SIGNATURE, A_SIGNATURE]),
        envelope(signatures=[{**A_SIGNATURE, "sig": A_SIGNATURE["sig"][:-2]}]),
        envelope(signatures=[{**A_SIGNATURE, "sig": A_SIGNATURE["sig"] + "AA"}]),
        envelope(signatures=[{"sig": A_SIGNATURE["sig"]}]),
        envelope(signatures=A_SIGNATURE),
        envelope(payloadType=None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_envelope_is_refused(value):
    with pytest.raises(BadEncoding):
        Signed.read(value, KIND)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b"[1]",
        b"1",
        b"",
        b"{",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1}x',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        b"[" * 60_000,
        b'{"a":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda value: repr(value)[:30],
)
def test_json_with_two_readings_or_none_is_refused(payload):
    with pytest.raises(BadEncoding):
        parse(payload)


def test_half_a_surrogate_pair_is_not_written():
    with pytest.raises(BadEncoding):
        dump({"a": "\ud800"})


def test_encoders_agree():
    assert b64(bytes(range(256))) == encoded(bytes(range(256)))
