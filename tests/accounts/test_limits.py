"""Who asks too often is told when to come back, over the same envelope as every refusal (docs/protocol.md §2)."""

import secrets

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from accounts import users
from kernel.errors import TooManyRequests
from kernel.limits import RATES


@pytest.fixture
def alice():
    """Her session, in this process."""
    return users.register(
        username=f"alice.{secrets.token_hex(5)}", password="x", device_name="phone", address="x", now=timezone.now()
    )


@pytest.fixture
def address() -> str:
    """One that no other test uses."""
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"


def test_a_device_that_asks_too_often_is_told_when_to_come_back(alice):
    client = Client(headers={"Authorization": f"Bearer {alice.access}"})

    with override_settings(RATE_SCALE=0.02):
        answers = [client.get("/api/v1/account") for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
    refusal = answers[-1].json()
    assert refusal["code"] == "rate_limited"
    assert int(answers[-1].headers["Retry-After"]) == refusal["retry_after"] >= 1


def test_another_device_is_not_held_up(alice):
    with override_settings(RATE_SCALE=0.02):
        for _ in range(8):
            Client(headers={"Authorization": f"Bearer {alice.access}"}).get("/api/v1/account")
        other = users.register(
            username=f"bob.{secrets.token_hex(5)}", password="x", device_name="phone", address="y", now=timezone.now()
        )

        assert Client(headers={"Authorization": f"Bearer {other.access}"}).get("/api/v1/account").status_code == 200


def test_strangers_are_counted_by_address(address):
    stranger = Client(REMOTE_ADDR=address)
    burst = round(RATES["address"].burst * 0.002)

    with override_settings(RATE_SCALE=0.002):
        answers = [
            stranger.post("/api/v1/accounts/refresh", {"refresh": "x"}, content_type="application/json").status_code
            for _ in range(burst + 2)
        ]

    assert answers == [401] * burst + [429] * 2


def test_nobody_registers_by_the_hundred(address):
    def register():
        users.register(
            username=f"mallory.{secrets.token_hex(5)}",
            password="x",
            device_name="phone",
            address=address,
            now=timezone.now(),
        )

    with override_settings(RATE_SCALE=0.1):
        for _ in range(5):
            register()
        with pytest.raises(TooManyRequests):
            register()


def test_nobody_tries_out_names(alice):
    asked_by = alice.user.pk

    with override_settings(RATE_SCALE=0.1):
        for _ in range(6):
            assert users.find_by_name(alice.user.username, asked_by=asked_by) == alice.user
        with pytest.raises(TooManyRequests):
            users.find_by_name(alice.user.username, asked_by=asked_by)
