"""What looks for traces finds them: else a clean system would say nothing."""

import base64
import json

import pytest

from tests.sealed.traces import needles

SECRET = "the marker of Messina é".encode()


@pytest.mark.parametrize(
    "around", [(b"", b""), (b"a", b"z"), (b"ab", b"zz"), (b"abc", b"zzz"), (b'{"body":"', b'","ts":1}')]
)
@pytest.mark.parametrize(
    "written",
    [bytes, base64.b64encode, base64.urlsafe_b64encode, lambda raw: raw.hex().encode(), lambda raw: repr(raw).encode()],
)
def test_however_it_is_written_it_is_found(around, written):
    before, after = around

    assert any(needle in written(before + SECRET + after) for needle in needles(SECRET).values())


def test_in_json_too():
    text = json.dumps({"body": SECRET.decode()}).encode()

    assert any(needle in text for needle in needles(SECRET).values())


def test_and_not_where_it_is_not():
    other = "the marker of Verona é and much else, long enough".encode()

    for written in (other, base64.b64encode(other), other.hex().encode()):
        assert not [how for how, needle in needles(SECRET).items() if needle in written]
