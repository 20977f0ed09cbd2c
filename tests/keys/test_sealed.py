"""The server's half of the format, held against the specification's own vectors and against mathematics."""

import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from kernel import sealed
from kernel.errors import InvalidInput, TooLarge
from kernel.sealed import b64, ctx, pae, unb64

# docs/protocol.md §6.6: a record made by another implementation, with the key that signed it.
DEVICE = "dIZwCGorp8dkXbFKwjZFamG51GEdrwGYwtOeyay1wc0"
RECORD = (
    b'{"v":1,"room":"0192f1aa-0000-7000-8000-0000000000ff","epoch":1,"prev":"",'
    b'"creator":"0192f1aa-0000-7000-8000-00000000000a","device":"0192f1aa-0000-7000-8000-0000000000d1",'
    b'"roster":"UcIysG76qnmk4d4fEcXQDOQYD6fFhkx9sYL6wCiI574","commit":"G17bHo_OCVLGElptlOUOB6ydRhGKsvDRteNiqjYZsPg",'
    b'"ts":1763800001}'
)
SIGNATURE = "Mbr68lfQv0kBufBjgjOMl34_uZjykPMF58jy6MO-k4oTPD20muamSDyo8tC_FoBFCzUzKlownlywpsay90eWAA"
KIND = "chat.e2ee.v1.epoch"


def envelope(**changes):
    return {
        "payloadType": KIND,
        "payload": b64(RECORD),
        "signatures": [{"keyid": "d", "sig": SIGNATURE}],
    } | changes


def read(value, most=2_048):
    return sealed.read_envelope(value, "record", kind=KIND, keyid="d", most=most)


def test_pae_is_that_of_dsse():
    # https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_what_another_implementation_signed_holds():
    document = sealed.verified(read(envelope()), "record", unb64(DEVICE, "key", length=32))
    assert document["epoch"] == 1
    assert read(envelope()).json() == envelope()


@pytest.mark.parametrize("place", range(0, len(RECORD), 7))
def test_one_bit_more_or_less_and_it_does_not(place):
    changed = bytearray(RECORD)
    changed[place] ^= 1
    with pytest.raises(InvalidInput, match="signature"):
        sealed.verified(read(envelope(payload=b64(bytes(changed)))), "record", unb64(DEVICE, "key"))


def test_nobody_elses_signature_holds():
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for key in (other, bytes(31), b"\xff" * 32):
        assert not read(envelope()).is_signed_by(key)


def test_an_envelope_prints_nothing_of_its_payload():
    assert "room" not in repr(read(envelope())) and SIGNATURE not in repr(read(envelope()))


@given(st.binary(max_size=200))
def test_bytes_come_back(raw):
    assert unb64(b64(raw), "x") == raw == unb64(b64(raw), "x", length=len(raw))
    assert "=" not in b64(raw)


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=12))
def test_a_text_is_read_if_it_is_the_one_spelling_of_its_bytes(text):
    try:
        raw = unb64(text, "x")
    except InvalidInput:
        return
    assert b64(raw) == text


@pytest.mark.parametrize("text", ["A", "AA=", "AB", "AAB", "A A", "A+", "A/", "Ää", "AA\n", "AAAAA", 7, None, b"AA"])
def test_other_spellings_are_refused(text):
    with pytest.raises(InvalidInput) as refusal:
        unb64(text, "name")
    assert refusal.value.fields == {"field": "name"}


def test_lengths_are_exact_or_bounded():
    for wrong in (bytes(31), bytes(33), bytes(300), b""):
        with pytest.raises(InvalidInput):
            unb64(b64(wrong), "x", length=32)
    with pytest.raises(InvalidInput):
        unb64(b64(bytes(3)), "x", least=4, most=5)
    assert unb64(b64(bytes(5)), "x", least=4, most=5) == bytes(5)
    for wrong in (bytes(6), bytes(600)):
        with pytest.raises(TooLarge):
            unb64(b64(wrong), "x", least=4, most=5)


part = st.text(alphabet="abcXYZ019_.:-", max_size=5)


@given(st.lists(part, min_size=1, max_size=4), st.lists(part, min_size=1, max_size=4))
def test_two_contexts_are_the_same_only_if_their_parts_are(one, other):
    assert (ctx(*one) == ctx(*other)) == (one == other)


def test_a_context_has_no_other_characters():
    assert ctx("wrap", "r", 7) == b"chat.e2ee.v1\nwrap\nr\n7"
    for bad in ("a\nb", "a b", "ä", "a/b"):
        with pytest.raises(ValueError, match="character"):
            ctx(bad)


def test_honest_keys_pass():
    for _ in range(50):
        assert sealed.can_sign(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
        assert sealed.can_be_sealed_to(X25519PrivateKey.generate().public_key().public_bytes_raw())
    assert not sealed.can_sign(bytes(31)) and not sealed.can_be_sealed_to(bytes(31))


def test_under_a_refused_key_anybody_could_have_signed_anything():
    """Why they are refused: the neutral element as key, and as the signature's point, with the number 0."""
    neutral = b"\x01" + bytes(31)
    forged = neutral + bytes(32)
    assert all(sealed.is_signed(forged, os.urandom(20), neutral) for _ in range(5))
    assert not sealed.can_sign(neutral)


@pytest.mark.parametrize(
    "payload",
    [b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b"[]", b"1", b"{", b"\xff", b"[" * 30_000, b"\xef\xbb\xbf{}"],
)
def test_a_payload_reads_one_way(payload):
    with pytest.raises(InvalidInput):
        sealed.document_of(payload, "x")
