"""The password's two keys, and parameters that a server must not choose."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.crypto.errors import BadEncoding, WeakKdf
from client.crypto.kdf import CEILING, FLOOR, STANDARD, Kdf, split
from tests.crypto.people import b64

SALT = bytes(range(16))
CHEAP = Kdf(*FLOOR, SALT)
WIRE = {"alg": "argon2id", "m": 65_536, "t": 3, "p": 4, "salt": b64(SALT)}


def test_parameters_travel():
    assert Kdf.read(WIRE) == Kdf(65_536, 3, 4, SALT)
    assert Kdf.read(WIRE).json() == WIRE


def test_new_parameters_are_standard_with_a_salt_of_their_own():
    one, other = Kdf.fresh(), Kdf.fresh()

    assert (one.memory_kib, one.passes, one.lanes) == STANDARD
    assert one.salt != other.salt
    assert len(one.salt) == 16


@pytest.mark.parametrize(
    "change",
    [{"m": 19_455}, {"t": 1}, {"p": 0}, {"m": 8}, {"alg": "argon2i"}, {"alg": "pbkdf2"}, {"m": 0}],
    ids=repr,
)
def test_a_downgrade_is_refused(change):
    with pytest.raises(WeakKdf):
        Kdf.read({**WIRE, **change})


@pytest.mark.parametrize("change", [{"m": 1_048_577}, {"t": 11}, {"p": 17}], ids=repr)
def test_parameters_beyond_the_ceiling_are_refused(change):
    with pytest.raises(WeakKdf):
        Kdf.read({**WIRE, **change})


def test_floor_and_ceiling_are_within():
    Kdf(*FLOOR, SALT)
    Kdf(*CEILING, SALT)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {**WIRE, "m": "65536"},
        {**WIRE, "m": 65_536.0},
        {**WIRE, "t": True},
        {**WIRE, "p": -1},
        {**WIRE, "m": 2**40},
        {**WIRE, "salt": b64(bytes(15))},
        {**WIRE, "salt": b64(bytes(17))},
        {**WIRE, "salt": WIRE["salt"] + "=="},
        {**WIRE, "pepper": "x"},
        {name: value for name, value in WIRE.items() if name != "salt"},
    ],
    ids=lambda value: repr(value)[:60],
)
def test_parameters_of_another_form_are_refused(value):
    with pytest.raises(BadEncoding):
        Kdf.read(value)


def test_two_keys_come_of_one_password():
    keys = split("correct horse battery staple", CHEAP)

    assert len(keys.auth) == 43
    assert len(keys.wrap) == 32
    assert keys == split("correct horse battery staple", CHEAP)
    assert b64(keys.wrap) != keys.auth


def test_password_salt_and_strength_all_matter():
    keys = split("correct horse battery staple", CHEAP)

    for other in (
        split("correct horse battery stapler", CHEAP),
        split("correct horse battery staple", Kdf(*FLOOR, bytes(16))),
        split("correct horse battery staple", Kdf(19_456, 3, 1, SALT)),
    ):
        assert other.auth != keys.auth
        assert other.wrap != keys.wrap


@pytest.mark.parametrize(("one", "other"), [("é", "e\u0301"), ("Å", "\u212b"), ("ﬁsh", "fish"), ("１", "1")])
def test_keyboards_that_write_a_letter_differently_make_the_same_password(one, other):
    assert split(one, CHEAP) == split(other, CHEAP)


def test_a_password_that_is_no_text_is_refused():
    with pytest.raises(BadEncoding):
        split("\ud800", CHEAP)


@given(st.text(max_size=20))
@settings(max_examples=10, deadline=None)
def test_keys_do_not_show(password):
    keys = split(password, CHEAP)

    assert keys.auth not in repr(keys)
    assert repr(keys) == "PasswordKeys()"
