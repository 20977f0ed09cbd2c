"""Figures are not for the world."""

import httpx
import pytest
from django.test import RequestFactory, override_settings

from config.metrics.views import metrics
from tests.metrics.scrape import Scrape
from tests.up.test_settings import check

TOKEN = "a-long-token-of-the-scraper"


def asked(address: str = "127.0.0.1", **headers: str) -> int:
    """The status for a request from this address."""
    request = RequestFactory(headers=headers).get("/metrics", REMOTE_ADDR=address)
    return metrics(request).status_code


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_ask(address):
    assert asked(address) == 200


@pytest.mark.parametrize(
    "address", ["10.0.0.7", "::ffff:10.0.0.7", "2001:db8::1", "", "unknown", "127.0.0.1.example.org"]
)
def test_others_may_not(address):
    assert asked(address) == 403


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via", "X-Forwarded-Proto"])
@pytest.mark.parametrize("trust", [True, False])
def test_nobody_comes_from_this_machine_through_a_proxy(name, trust):
    with override_settings(TRUST_PROXY=trust):
        assert asked("127.0.0.1", **{name: "127.0.0.1"}) == 403


@override_settings(METRICS_TOKEN=TOKEN)
def test_with_a_token_it_is_the_token_that_counts():
    right = {"Authorization": f"Bearer {TOKEN}"}

    assert asked("10.0.0.7", **right) == 200
    assert asked("127.0.0.1", **{"X-Forwarded-For": "10.0.0.7"}, **right) == 200
    for wrong in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer é"},
    ):
        assert asked("10.0.0.7", **wrong) == 401
        assert asked("127.0.0.1", **wrong) == 401


def test_on_a_live_system(system):
    through_a_proxy = httpx.get(f"{system.url}/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
    as_somebody_else = httpx.get(f"{system.url}/metrics", headers={"Host": "evil.example.org"})

    assert Scrape.of(system.url)["letterlock_process_info"] >= 3
    assert through_a_proxy.status_code == 403
    assert through_a_proxy.json()["code"] == "forbidden"
    assert "letterlock_" not in through_a_proxy.text
    # A browser on this machine that was led astray by DNS.
    assert as_somebody_else.status_code == 400


def test_a_token_that_can_be_guessed_is_refused():
    assert "letterlock.E030" in check(METRICS_TOKEN="short")[1]
    assert check(METRICS_TOKEN=TOKEN)[0] == 0
