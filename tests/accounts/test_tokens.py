"""Access tokens say who asks, and cannot be made, changed or mixed up (docs/protocol.md §3.4)."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from django.conf import settings
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from accounts import tokens
from accounts.keys import keys_for
from accounts.revocations import Revocations
from kernel.errors import Unauthenticated
from kernel.ids import DeviceId, uuid7

ALICE, PHONE = uuid7(), uuid7()


def test_a_token_says_whose_it_is():
    token, expires_at_ms = tokens.issue(ALICE, PHONE)

    principal = tokens.verify(token)

    assert (principal.user_id, principal.device_id) == (ALICE, PHONE)
    assert principal.expires_at * 1000 == expires_at_ms
    assert 590 < principal.expires_at - time.time() <= 600


def test_a_token_holds_ten_minutes_and_not_longer():
    token, _ = tokens.issue(ALICE, PHONE, now=time.time() - 601)

    with pytest.raises(Unauthenticated, match="expired"):
        tokens.verify(token)


def test_a_token_that_was_good_is_asked_again_each_time():
    token, _ = tokens.issue(ALICE, PHONE, now=time.time() - 598.9)
    tokens.verify(token)

    deadline = time.time() + 5
    while time.time() < deadline:
        try:
            tokens.verify(token)
        except Unauthenticated:
            return
    pytest.fail("the token held on")


@given(where=st.integers(min_value=0), character=st.sampled_from("ABCabc012-_.=~ \n"))
def test_no_character_of_a_token_can_be_changed(where, character):
    token, _ = tokens.issue(ALICE, PHONE)
    where %= len(token)
    changed = token[:where] + character + token[where + 1 :]

    if _means_the_same(changed, token):
        return
    with pytest.raises(Unauthenticated):
        tokens.verify(changed)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_nothing_that_is_not_a_token_passes(text):
    with pytest.raises(Unauthenticated):
        tokens.verify(text)


CLAIMS = {"user": str(ALICE), "device": str(PHONE), "iat": 1, "exp": 2**40, "use": "access"}
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)
)


@given(claims=st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "aud", "sub"]), VALUES, max_size=5))
def test_signed_nonsense_is_refused_and_never_an_error(claims):
    """Whoever signs is us; still, what is signed must be what we issue."""
    token = jwt.encode({**CLAIMS, **claims}, keys_for("access token")[0], "HS256")

    try:
        principal = tokens.verify(token)
    except Unauthenticated:
        return
    assert (principal.user_id, principal.device_id) == (ALICE, PHONE)


@pytest.mark.parametrize("missing", CLAIMS)
def test_every_claim_is_needed(missing):
    token = jwt.encode({k: v for k, v in CLAIMS.items() if k != missing}, keys_for("access token")[0], "HS256")

    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_a_token_for_another_use_is_refused():
    token = jwt.encode({**CLAIMS, "use": "host"}, keys_for("access token")[0], "HS256")

    with pytest.raises(Unauthenticated):
        tokens.verify(token)


@pytest.mark.parametrize("algorithm", ["none", "HS384", "HS512"])
def test_only_one_algorithm_signs(algorithm):
    key = keys_for("access token")[0]
    token = jwt.encode(CLAIMS, None if algorithm == "none" else key * 2, algorithm)

    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_the_secret_key_itself_signs_nothing():
    secret = settings.SECRET_KEY.encode()
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(CLAIMS)}"
    token = f"{signed}.{_base64url(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_tokens_outlive_a_change_of_the_secret_key_as_long_as_it_falls_back():
    token, _ = tokens.issue(ALICE, PHONE)
    old = settings.SECRET_KEY

    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=[old]):
        assert tokens.verify(token).user_id == ALICE
    with override_settings(SECRET_KEY="another"), pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_a_device_is_forgotten_only_when_its_last_token_has_expired():
    revoked = Revocations()
    lately, long_ago = DeviceId(uuid7()), DeviceId(uuid7())

    revoked.learn({lately: 601, long_ago: 700})
    revoked.forget()

    assert revoked.is_revoked(lately)
    assert not revoked.is_revoked(long_ago)


def _means_the_same(changed: str, token: str) -> bool:
    # The last character of a signature has two bits that no decoder reads.
    def decoded(text: str) -> list[bytes]:
        return [base64.urlsafe_b64decode(part + "==") for part in text.split(".")]

    if any(c not in "-_." and not (c.isascii() and c.isalnum()) for c in changed):
        return False
    try:
        return decoded(changed) == decoded(token)
    except ValueError:
        return False


def _part(content: dict) -> str:
    return _base64url(json.dumps(content).encode())


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
