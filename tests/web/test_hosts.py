"""Several hosts: a client that was loaded from one of them may talk to the others, and to nobody else. And a host without a client."""

import httpx
import pytest

from tests.cast import new_id
from tests.services import services

OTHER = "http://127.0.0.1:18123"
STRANGER = "https://mallory.example"


@pytest.fixture(scope="module")
def host(web_client, system):
    """A web process that knows of another host."""
    yield from _host("with-hosts", system, HOST_ORIGINS=OTHER)


@pytest.fixture(scope="module")
def bare(web_client, system):
    """A web process that serves no client."""
    yield from _host("without-client", system, WEB_CLIENT="false")


def _host(name, system, *, web=1, **environment):
    shared = {"database_url": system.database_url, "valkey_url": system.valkey_url, "broker_url": system.broker_url}
    # Under a prefix of its own: nobody's devices are to be assigned to it.
    made = services().system(
        f"web-{name}", web=web, workers=0, beat=False, environment={"KEY_PREFIX": name, **environment}, **shared
    )
    yield made.url
    made.stop()


@pytest.fixture(scope="module")
def behind_a_gateway(web_client, system):
    """One of two web processes to which a gateway leads, the only way for devices."""
    yield from _host("behind-a-gateway", system, web=2, PUBLIC_URL="https://chat.example.com")


def preflight(url, origin, method="PUT"):
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type,if-match",
    }
    return httpx.options(f"{url}/api/v1/account", headers=headers)


def allowed(answer):
    return answer.headers.get("access-control-allow-origin")


def test_the_page_may_talk_to_the_other_host(host):
    policy = httpx.get(host).headers["content-security-policy"]
    own = host.replace("http", "ws")
    assert f"connect-src 'self' {own} {OTHER} {OTHER.replace('http', 'ws')};" in policy


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_page_of_the_other_host_may_ask(host, method):
    answer = preflight(host, OTHER, method)
    assert answer.status_code == 204
    assert allowed(answer) == OTHER
    assert method in answer.headers["access-control-allow-methods"]
    assert {"authorization", "content-type", "if-match"} <= set(
        answer.headers["access-control-allow-headers"].replace(" ", "").split(",")
    )
    assert "access-control-allow-credentials" not in answer.headers


def test_it_may_read_answers_and_refusals(host):
    for path, status in (("limits", 200), ("account", 401), (f"messages/{new_id()}", 401), ("nowhere", 404)):
        answer = httpx.get(f"{host}/api/v1/{path}", headers={"origin": OTHER})
        assert (answer.status_code, allowed(answer), answer.headers["vary"]) == (status, OTHER, "Origin")
        assert "Retry-After" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", [STRANGER, "null", OTHER + ".mallory.example", OTHER.upper(), ""])
def test_a_stranger_s_page_learns_nothing(host, origin):
    assert allowed(preflight(host, origin)) is None
    assert "access-control-allow-methods" not in preflight(host, origin).headers
    assert allowed(httpx.get(f"{host}/api/v1/limits", headers={"origin": origin})) is None


def test_where_there_is_one_host_nobody_has_to_be_let_in(bare):
    for origin in (bare, OTHER, STRANGER):
        assert allowed(preflight(bare, origin)) is None
        assert allowed(httpx.get(f"{bare}/api/v1/limits", headers={"origin": origin})) is None


def test_hosts_that_are_started_together_know_of_each_other(system):
    one, other = system.urls
    assert allowed(preflight(one, other)) == other
    assert other.replace("http", "ws") in httpx.get(one).headers["content-security-policy"]


def test_without_a_client_the_page_says_where_the_api_is(bare):
    page = httpx.get(bare)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "/api/v1/docs" in page.text
    for path in ("/sw.js", "/static/web/manifest.webmanifest"):
        assert httpx.get(bare + path).status_code == 404
    assert httpx.get(f"{bare}/api/v1/limits").status_code == 200


def test_behind_a_gateway_the_page_talks_to_the_gateway_alone(behind_a_gateway):
    as_the_gateway_asks = {"host": "chat.example.com", "x-forwarded-proto": "https"}

    policy = httpx.get(f"{behind_a_gateway}/", headers=as_the_gateway_asks).headers["content-security-policy"]

    assert "connect-src 'self' wss://chat.example.com; " in policy
