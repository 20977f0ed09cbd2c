"""The form of a message (docs/protocol.md §3.1), field by field."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.drafts import FIELDS, decode_bytes, id_of, parse
from kernel.errors import DomainError, InvalidInput, TooLarge
from kernel.limits import BODY_BYTES, ID_CLOCK_SKEW_S

NOW = 1_795_385_284_123
ALICE = "019ab0c4-0000-7000-8000-0000000000aa"
BOB = "019ab0c4-0000-7000-8000-0000000000bb"
ROOM = "019ab0c4-0000-7000-8000-000000000001"
A_DAY = ID_CLOCK_SKEW_S * 1000

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)

ALGS = ("chat.e2ee.v1", "opaque.v1")


def b64(raw):
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def id_at(ms):
    return f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7aaa-8bbb-0123456789ab"


def message(**fields):
    good = {
        "id": id_at(NOW),
        "room": ROOM,
        "sent_at": NOW,
        "alg": "opaque.v1",
        "epoch": 0,
        "ciphertext": b64(b"opaque"),
    }
    return {**good, **fields}


def parsed(**fields):
    return parse(message(**fields), sender=ALICE, now_ms=NOW, algs=ALGS)


def refused(raw):
    with pytest.raises(DomainError) as found:
        parse(raw, sender=ALICE, now_ms=NOW, algs=ALGS)
    return found.value


def test_a_good_one():
    draft = parsed()

    assert draft == (id_at(NOW), ROOM, NOW, "opaque.v1", 0, b"opaque", "")


def test_what_the_client_composed_beside_is_checked_and_taken():
    draft = parsed(sender=ALICE, recipient=BOB, delivered=False, read=False)

    assert draft.recipient == BOB
    assert parsed(recipient=None).recipient is None


@pytest.mark.parametrize("field", ["id", "room", "sent_at", "alg", "epoch", "ciphertext"])
def test_nothing_may_be_missing(field):
    raw = message()
    del raw[field]

    assert refused(raw).fields["field"] == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "019ab0c4-7d3e-4aaa-8bbb-0123456789ab"),  # version 4
        ("id", "019ab0c4-7d3e-7aaa-cbbb-0123456789ab"),  # another variant
        ("id", id_at(NOW).upper()),
        ("id", id_at(NOW) + "\n"),
        ("id", "{" + id_at(NOW) + "}"),
        ("id", id_at(NOW).replace("-", "")),
        ("id", 7),
        ("id", id_at(NOW + A_DAY + 1)),
        ("id", id_at(NOW - A_DAY - 1)),
        ("id", id_at(0)),
        ("id", id_at(2**48 - 1)),
        ("room", ROOM.upper()),
        ("room", None),
        ("room", "general"),
        ("sent_at", -1),
        ("sent_at", float(NOW)),
        ("sent_at", str(NOW)),
        ("sent_at", True),
        ("sent_at", 253_402_300_800_000),
        ("sent_at", 2**80),
        ("epoch", -1),
        ("epoch", 2**31),
        ("epoch", False),
        ("epoch", 0.0),
        ("alg", ""),
        ("alg", "x" * 33),
        ("alg", "chat e2ee"),
        ("alg", "chat\n"),
        ("alg", 'a"b'),
        ("alg", "ä"),
        ("alg", None),
        ("ciphertext", ""),
        ("ciphertext", None),
        ("ciphertext", 5),
        ("ciphertext", "a"),
        ("ciphertext", "b3Bh+XVl"),
        ("ciphertext", "b3Bh/XVl"),
        ("ciphertext", "b3BhcQ=="),
        ("ciphertext", "b3Bh\n"),
        ("ciphertext", "b3BhcR"),  # unused bits set
        ("ciphertext", "b3BhcXV"),  # unused bits set
        ("ciphertext", "b3Bé"),
        ("sender", BOB),
        ("sender", None),
        ("sender", ALICE.upper()),
        ("recipient", 7),
        ("recipient", [BOB]),
        ("recipient", ""),
        ("recipient", BOB.upper()),
        ("recipient", "x" * 40_000),
        ("delivered", True),
        ("delivered", 0),
        ("delivered", None),
        ("read", True),
        ("read", "false"),
    ],
)
def test_a_wrong_field_is_named(field, value):
    error = refused(message(**{field: value}))

    assert (error.code, error.status, error.fields["field"]) == ("invalid", 400, field)


@pytest.mark.parametrize("ms", [NOW - A_DAY, NOW + A_DAY])
def test_an_id_may_be_a_day_off(ms):
    assert parsed(id=id_at(ms)).id == id_at(ms)


def test_an_id_of_another_time_says_what_time_it_is():
    assert refused(message(id=id_at(NOW - A_DAY - 1))).fields["server_time"] == NOW


@pytest.mark.parametrize("name", ["plaintext", "body", "text", "", "Ciphertext", "device"])
def test_an_unknown_field_is_refused(name):
    error = refused(message(**{name: "hello"}))

    assert (error.code, error.fields["field"]) == ("unknown_field", name)


@pytest.mark.parametrize("raw", [None, 1, "hello", [], [message()], True])
def test_a_message_is_an_object(raw):
    assert refused(raw).code == "invalid"


class TestCiphertext:
    @given(raw=st.binary(min_size=1, max_size=100))
    def test_its_canonical_form_is_taken(self, raw):
        assert decode_bytes(b64(raw)) == raw

    @given(text=st.text("ABQZaz09-_", min_size=1, max_size=12))
    def test_what_does_not_decode_and_encode_back_is_refused(self, text):
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            raw = None
        if raw and b64(raw) == text:
            assert decode_bytes(text) == raw
        else:
            with pytest.raises(InvalidInput):
                decode_bytes(text)

    def test_the_largest_body_is_taken_and_one_byte_more_is_too_large(self):
        assert len(decode_bytes(b64(b"x" * BODY_BYTES))) == BODY_BYTES
        with pytest.raises(TooLarge) as found:
            decode_bytes(b64(b"x" * (BODY_BYTES + 1)))
        assert (found.value.status, found.value.fields["field"]) == (413, "ciphertext")


@given(raw=anything | st.dictionaries(st.sampled_from(sorted(FIELDS)), anything | st.just(id_at(NOW)) | st.just(NOW)))
def test_anything_is_a_draft_or_refused(raw):
    try:
        parse(raw, sender=ALICE, now_ms=NOW, algs=ALGS)
    except DomainError as error:
        assert error.status in (400, 413)
        error.problem()
    id = id_of(raw)
    assert id is None or raw["id"] == id


@pytest.mark.parametrize(
    ("raw", "id"), [({"id": ROOM}, ROOM), ({"id": "x"}, None), ({"id": 1}, None), ({}, None), (None, None)]
)
def test_a_refusal_names_an_id_only_if_it_is_one(raw, id):
    assert id_of(raw) == id


def test_only_what_the_settings_name_is_an_alg():
    error = refused(message(alg="none.v1"))

    assert (error.code, error.fields["field"]) == ("invalid", "alg")


@pytest.mark.parametrize("size", [156, 220, 348, 156 + 64 * 509])
def test_a_sealed_body_has_the_form_of_one(size):
    assert len(parsed(alg="chat.e2ee.v1", ciphertext=b64(bytes(size))).ciphertext) == size


@pytest.mark.parametrize("size", [1, 28, 92, 155, 157, 219, 32_768])
def test_anything_else_is_no_sealed_body(size):
    error = refused(message(alg="chat.e2ee.v1", ciphertext=b64(bytes(size))))

    assert (error.code, error.fields["field"]) == ("invalid", "ciphertext")
