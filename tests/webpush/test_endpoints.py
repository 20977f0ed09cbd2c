"""Where a push may go: nobody gets us to send anything into our own network."""

import socket

import httpcore
import pytest

from delivery.webpush import endpoints
from kernel.errors import InvalidInput


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
    ],
)
def test_push_services_are_taken(settings, endpoint):
    settings.WEB_PUSH_LOOPBACK = False
    endpoints.check(endpoint)


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
    return endpoints.PublicOnly().connect_tcp(host, port, timeout=2)


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
        endpoints.PublicOnly().connect_unix_socket("/run/docker.sock")
