"""Where a push may go: nobody gets us to send anything into our own network."""

import socket
import threading

import httpcore
import pytest

from delivery.webpush import endpoints, vapid
from kernel.errors import InvalidInput
from tests.push_service import PATIENCE_S


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://fcm.googleapis.com/fcm/send/abc:def-123_x",
        "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
        "https://web.push.apple.com/QGuQyavXutnMH",
        "https://wns2-par02p.notify.windows.com/w/?token=BQYAAACx%2b",
        "https://push.example.org:443/x",
        "https://8.8.8.8/x",
        "https://[2606:4700::1111]/x",
        "https://push.example.org:/x",
    ],
)
def test_push_services_are_taken(settings, endpoint):
    """And what is taken can be signed."""
    settings.WEB_PUSH_LOOPBACK = False
    endpoints.check(endpoint)
    assert vapid.authorization(endpoints.origin(endpoint)).startswith("vapid t=")


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://push.example.org/x", "https://push.example.org"),
        ("https://push.example.org:443/x", "https://push.example.org"),
        ("https://push.example.org:/x", "https://push.example.org"),
        ("https://Push.Example.org/x", "https://push.example.org"),
        ("https://[2606:4700::1111]:443/x", "https://[2606:4700::1111]"),
        ("https://push.example.org?x", "https://push.example.org"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9"),
    ],
)
def test_an_origin_has_one_form(endpoint, origin):
    assert endpoints.origin(endpoint) == origin


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.org/x",
        "https://push.example.org:8443/x",
        "https://push.example.org:22/x",
        "https://push.example.org:port/x",
        "https://alice:secret@push.example.org/x",
        "https://push.example.org/x#y",
        "https://push.example.org\\@10.0.0.1/",
        "https://push.example.org/ x",
        "https://push.example.org/\r\nHost: 10.0.0.1",
        "https://push.exämple.org/x",
        "https://push%2eexample.org/x",
        "https://[2606:4700::1111%25eth0]/x",
        "https:///x",
        "//push.example.org/x",
        "ftp://push.example.org/x",
        "file:///etc/passwd",
        "https://localhost/x",
        "https://localhost./x",
        "https://printer.local/x",
        "https://metadata.google.internal/x",
        "https://intranet/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://2130706433/x",
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://10.1.2.3/x",
        "https://172.16.0.1/x",
        "https://192.168.1.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/x",
        "https://0.0.0.0/x",
        "https://224.0.0.1/x",
        "https://[::1]/x",
        "https://[::ffff:127.0.0.1]/x",
        "https://[fd00::1]/x",
        "https://[fe80::1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://[2002:7f00:1::]/x",
        "http://127.0.0.1:9/x",
        "https://push.example.org/" + "x" * 1_000,
        "",
    ],
)
def test_nothing_else_is(settings, endpoint):
    settings.WEB_PUSH_LOOPBACK = False
    with pytest.raises(InvalidInput) as refused:
        endpoints.check(endpoint)
    assert refused.value.problem()["field"] == "endpoint"


def test_a_test_s_own_service_is_taken_where_that_is_allowed(settings):
    settings.WEB_PUSH_LOOPBACK = True
    endpoints.check("http://127.0.0.1:9/x")
    for other in ("http://127.0.0.2:9/x", "http://10.0.0.1/x", "https://10.0.0.1/x", "http://localhost:9/x"):
        with pytest.raises(InvalidInput):
            endpoints.check(other)


def dial(host, port):
    return endpoints.PublicOnly(endpoints.Deadline(2)).connect_tcp(host, port)


def test_a_name_that_leads_to_this_machine_is_not_dialled(settings):
    """The name looked harmless when it was given; what it leads to is looked at when it is dialled."""
    settings.WEB_PUSH_LOOPBACK = False
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for name in ("localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1", "2130706433", "0.0.0.0", "0"):
            with pytest.raises(httpcore.ConnectError):
                dial(name, port)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_where_a_test_may_only_127_0_0_1_is_dialled(settings):
    settings.WEB_PUSH_LOOPBACK = True
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        dial("127.0.0.1", port).close()
        for name in ("127.0.0.2", "10.0.0.1", "::1"):
            with pytest.raises(endpoints.Forbidden):
                dial(name, port)
    with pytest.raises(endpoints.Forbidden):
        endpoints.PublicOnly(endpoints.Deadline(2)).connect_unix_socket("/run/docker.sock")


# --- a name with several addresses -------------------------------------------------------------------------------------


@pytest.fixture
def leads_to(monkeypatch):
    """Every name leads to these addresses."""

    def lead(*addresses):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    return lead


class Phone(httpcore.NetworkBackend):
    """Dials nobody: answers which addresses it was to dial, and with how much patience."""

    def __init__(self, *dead):
        self.dead, self.dialled, self.patience = dead, [], []

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):
        self.dialled.append(host)
        self.patience.append(timeout)
        if host in self.dead:
            raise httpcore.ConnectTimeout
        return httpcore.NetworkStream()


def test_an_address_that_does_not_answer_is_followed_by_the_next(leads_to):
    leads_to("2606:4700::1111", "2606:4700::1112", "8.8.8.8", "8.8.4.4")
    phone = Phone("2606:4700::1111", "2606:4700::1112")
    endpoints.PublicOnly(endpoints.Deadline(60), phone).connect_tcp("push.example.org", 443)
    assert phone.dialled == ["2606:4700::1111", "2606:4700::1112", "8.8.8.8"]
    assert all(0 < seconds <= endpoints.DIAL_S for seconds in phone.patience)


def test_when_none_answers_that_is_said(leads_to):
    leads_to("8.8.8.8", "8.8.4.4")
    phone = Phone("8.8.8.8", "8.8.4.4")
    with pytest.raises(httpcore.ConnectTimeout):
        endpoints.PublicOnly(endpoints.Deadline(60), phone).connect_tcp("push.example.org", 443)
    assert phone.dialled == ["8.8.8.8", "8.8.4.4"]


def test_one_private_address_among_them_and_none_is_dialled(settings, leads_to):
    settings.WEB_PUSH_LOOPBACK = False
    for private in ("10.0.0.1", "127.0.0.1", "fe80::1%eth0", "::ffff:10.0.0.1"):
        leads_to("8.8.8.8", private)
        phone = Phone()
        with pytest.raises(endpoints.Forbidden):
            endpoints.PublicOnly(endpoints.Deadline(60), phone).connect_tcp("push.example.org", 443)
        assert phone.dialled == []


def test_no_address_is_dialled_behind_the_deadline(leads_to):
    leads_to("8.8.8.8", "8.8.4.4")
    phone = Phone()
    with pytest.raises(httpcore.ConnectTimeout):
        endpoints.PublicOnly(endpoints.Deadline(0), phone).connect_tcp("push.example.org", 443)
    assert phone.dialled == []


# --- a resolver that hangs -----------------------------------------------------------------------------------------------


def test_look_ups_that_hang_are_left_alone_and_bounded(monkeypatch):
    asked, let_go = [], threading.Event()

    def hangs(*names, **_):
        asked.append(names)
        assert let_go.wait(PATIENCE_S)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    places = threading.BoundedSemaphore(2)
    monkeypatch.setattr(endpoints, "_lookups", places)
    for _ in range(3):
        with pytest.raises(httpcore.ConnectTimeout):
            endpoints.PublicOnly(endpoints.Deadline(0.2)).connect_tcp("push.example.org", 443)
    assert len(asked) == 2
    let_go.set()
    # Once they have ended, others may ask.
    with pytest.raises(httpcore.ConnectError, match="without addresses"):
        endpoints.PublicOnly(endpoints.Deadline(PATIENCE_S)).connect_tcp("push.example.org", 443)
    # Each gives its place back, and before the test's semaphore is put away.
    assert all(places.acquire(timeout=PATIENCE_S) for _ in range(2))
