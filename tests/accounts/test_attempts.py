"""Guessing passwords is slow, however it is done (docs/protocol.md §3.4)."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from statistics import median

import pytest
from django.db import connection
from django.test import override_settings

from accounts import attempts, hashers, users
from accounts.attempts import PER_ACCOUNT, PER_ADDRESS, WINDOW, TooManyAttempts
from accounts.credentials import BadCredentials
from accounts.models import SignInAttempt, User

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
PASSWORD = "a string that her client derived"


def address() -> str:
    """One that no other test uses."""
    return f"198.51.{secrets.randbelow(256)}.{secrets.randbelow(256)}:{secrets.token_hex(4)}"


@pytest.fixture
def alice() -> str:
    """Her user name."""
    name = f"alice.{secrets.token_hex(5)}"
    users.register(username=name, password=PASSWORD, device_name="phone", address=address(), now=NOW)
    return name


def sign_in(name, password=PASSWORD, *, come_from=None, now=NOW):
    return users.sign_in(
        username=name, password=password, device_name="laptop", address=come_from or address(), now=now
    )


def guess(name, times, *, come_from=None, now=NOW):
    for number in range(times):
        with pytest.raises(BadCredentials):
            sign_in(name, f"guess {number}", come_from=come_from, now=now)


def test_after_ten_wrong_passwords_even_the_right_one_waits(alice):
    guess(alice, PER_ACCOUNT)

    with pytest.raises(TooManyAttempts) as refusal:
        sign_in(alice)

    assert refusal.value.retry_after == WINDOW.total_seconds()
    assert sign_in(alice, now=NOW + WINDOW).user.username == alice


def test_the_right_password_clears_the_account(alice):
    guess(alice, PER_ACCOUNT - 1)
    sign_in(alice)

    guess(alice, PER_ACCOUNT)


def test_waiting_attempts_do_not_make_the_wait_longer(alice):
    guess(alice, PER_ACCOUNT)

    for minute in range(1, 15):
        with pytest.raises(TooManyAttempts) as refusal:
            sign_in(alice, now=NOW + timedelta(minutes=minute))
        assert refusal.value.retry_after == (15 - minute) * 60

    sign_in(alice, now=NOW + WINDOW)


def test_a_name_that_nobody_has_is_limited_alike():
    nobody = f"nobody.{secrets.token_hex(5)}"
    guess(nobody, PER_ACCOUNT)

    with pytest.raises(TooManyAttempts):
        sign_in(nobody)


@pytest.fixture
def narrow():
    """A tenth of the attempts per address: 10."""
    with override_settings(RATE_SCALE=0.1):
        yield PER_ADDRESS // 10


def test_one_address_cannot_try_many_names(narrow):
    home = address()
    for _ in range(narrow):
        attempts.count(username=f"nobody.{secrets.token_hex(5)}", address=home, now=NOW)

    with pytest.raises(TooManyAttempts):
        attempts.count(username=f"nobody.{secrets.token_hex(5)}", address=home, now=NOW)
    attempts.count(username=f"nobody.{secrets.token_hex(5)}", address=address(), now=NOW)


def test_who_knows_the_password_uses_up_nothing(narrow, alice):
    home = address()

    for _ in range(narrow + 2):
        attempts.count(username=alice, address=home, now=NOW)
        attempts.forgive(username=alice, address=home)


def test_guesses_side_by_side_count_too(alice):
    def one(number):
        try:
            sign_in(alice, f"guess {number}")
        except BadCredentials:
            return "looked at"
        except TooManyAttempts:
            return "refused"
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(24)))

    assert answers.count("looked at") == PER_ACCOUNT


def test_rows_of_yesterday_go():
    guess(f"nobody.{secrets.token_hex(5)}", 1, now=NOW - timedelta(days=2))
    old = SignInAttempt.objects.filter(window_started_at__lt=NOW - timedelta(days=1))
    assert old.exists()

    guess(f"nobody.{secrets.token_hex(5)}", 1)

    assert not old.exists()


def test_an_unknown_name_takes_as_long_as_a_wrong_password(alice):
    def seconds(name):
        started = time.thread_time()
        guess(name, 1)
        return time.thread_time() - started

    known, unknown = [], []
    for _ in range(5):
        known.append(seconds(alice))
        unknown.append(seconds(f"nobody.{secrets.token_hex(5)}"))

    assert 0.7 < median(known) / median(unknown) < 1.4


def test_a_password_is_kept_by_the_hasher_of_the_settings_and_moves_to_a_new_one(alice):
    stored = User.objects.get(username=alice)
    assert stored.password.startswith("pbkdf2_sha256_derived$120000$")
    assert PASSWORD not in stored.password

    with override_settings(USER_PASSWORD_HASHER="scrypt"):
        sign_in(alice)

    stored.refresh_from_db()
    assert stored.password.startswith("scrypt$")
    assert sign_in(alice).user.username == alice


def test_a_password_is_taken_as_it_is():
    """No trimming, no normalising: it is a string of bits."""
    kept = hashers.keep(" e\u0301 ")

    assert hashers.matches("\x00", hashers.keep("\x00"))[0]
    assert hashers.matches(" e\u0301 ", kept)[0]
    assert not hashers.matches("e\u0301", kept)[0]
    assert not hashers.matches(" \u00e9 ", kept)[0]


def test_forgiving_somebody_who_never_failed_is_harmless():
    attempts.forgive(username="nobody.at.all", address=address())
