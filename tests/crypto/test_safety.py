"""How people compare keys. Signal's published fingerprint is the vector."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.crypto.errors import BadEncoding
from client.crypto.safety import qr_text, read_qr, safety_number
from tests.crypto.people import person

ALICE, BOB, MALLORY = person("alice"), person("bob"), person("mallory")

# Source: libsignal, NumericFingerprintGeneratorTest: names, identity keys with their type byte, and the digits.
SIGNALS = (
    "+14152222222",
    "0506863bc66d02b40d27b8d49ca7c09e9239236f9d7d25d6fcca5ce13c7064d868",
    "+14153333333",
    "05f781b6fb32fed9ba1cf2de978d4d5da28dc34046ae814402b5c0dbd96fda907b",
)
SIGNALS_DIGITS = "300354477692869396892869876765458257569162576843440918079131"


def test_the_number_is_signals():
    one, one_key, other, other_key = SIGNALS

    assert safety_number(one, bytes.fromhex(one_key), other, bytes.fromhex(other_key)) == SIGNALS_DIGITS


def test_both_see_the_same_number():
    alices = safety_number(ALICE.user, ALICE.keys.identity, BOB.user, BOB.keys.identity)
    bobs = safety_number(BOB.user, BOB.keys.identity, ALICE.user, ALICE.keys.identity)

    assert alices == bobs
    assert len(alices) == 60
    assert alices.isdigit()


def test_another_key_or_another_user_is_another_number():
    number = safety_number(ALICE.user, ALICE.keys.identity, BOB.user, BOB.keys.identity)

    assert number != safety_number(ALICE.user, ALICE.keys.identity, BOB.user, MALLORY.keys.identity)
    assert number != safety_number(ALICE.user, ALICE.keys.identity, MALLORY.user, BOB.keys.identity)


@given(st.binary(min_size=32, max_size=32))
def test_a_code_says_who_and_which_key(identity):
    text = qr_text(ALICE.user, identity)

    assert text.startswith(f"chatverify:1:{ALICE.user}:")
    assert read_qr(text) == (ALICE.user, identity)


@pytest.mark.parametrize(
    "text",
    ["", "https://example.com", f"chatverify:2:{ALICE.user}:{'A' * 43}", "chatverify:1:alice:" + "A" * 43]
    + [f"chatverify:1:{ALICE.user}:{key}" for key in ("", "A" * 42, "A" * 43 + "=", "A" * 42 + "B")],
)  # fmt: skip
def test_other_codes_are_refused(text):
    with pytest.raises(BadEncoding):
        read_qr(text)
