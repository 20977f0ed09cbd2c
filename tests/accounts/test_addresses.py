"""What a limit counts as one address."""

import pytest
from django.test import RequestFactory, override_settings

from accounts.addresses import address_of, address_of_socket, network_of


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("x' OR 1=1", "unknown"),
    ],
)
def test_an_address_counts_as_its_network(address, counted):
    assert network_of(address) == counted


def asked(peer, *forwarded):
    """The address that counts for a request and, the same, for a socket, from this peer with these headers."""
    headers = [(b"host", b"chat.example.com"), *((b"x-forwarded-for", value.encode()) for value in forwarded)]
    meta = {"HTTP_X_FORWARDED_FOR": ",".join(forwarded)} if forwarded else {}
    found = {
        address_of(RequestFactory().get("/", REMOTE_ADDR=peer, **meta)),
        address_of_socket({"type": "websocket", "client": [peer, 1234], "headers": headers}),
    }
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        ((), "10.0.0.1"),
        (("",), "10.0.0.1"),
        (("203.0.113.9",), "203.0.113.9"),
        (("198.51.100.1, 203.0.113.9",), "203.0.113.9"),
        (("198.51.100.1", "203.0.113.9"), "203.0.113.9"),
        (("198.51.100.1, 2001:db8:1:2:3:4:5:6",), "2001:db8:1:2::/64"),
    ],
)
def test_a_socket_counts_as_a_request_does(forwarded, counted):
    with override_settings(TRUST_PROXY=True):
        assert asked("10.0.0.1", *forwarded) == counted
    with override_settings(TRUST_PROXY=False):
        assert asked("10.0.0.1", *forwarded) == "10.0.0.1"


def test_without_a_proxy_nobody_chooses_an_address():
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="203.0.113.9")

    with override_settings(TRUST_PROXY=False):
        assert address_of(request) == "192.0.2.7"


def test_behind_a_proxy_only_what_the_proxy_added_counts():
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.1, 203.0.113.9")

    with override_settings(TRUST_PROXY=True):
        assert address_of(request) == "203.0.113.9"
