"""One push, and what a push service can make of it: nothing that holds us up, nothing that is written down."""

import logging
import os
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
from textwrap import dedent
from uuid import uuid4

import pytest

from delivery.webpush import endpoints, sending
from delivery.webpush.models import Subscription
from tests.deploy.gateway import certify
from tests.push_service import PATIENCE_S, PushService, unb64

# For a push that ends because its time is up.
SECONDS = 1.0


def subscription(told, **fields):
    given = {"endpoint": told["endpoint"]} | {name: unb64(told[name]) for name in ("p256dh", "auth")}
    return Subscription(device_id=uuid4(), user_id=uuid4(), **given | fields)


class Hostile:
    """A server on loopback that answers its first request with `head`, and then with `again` and again."""

    def __init__(self, *, head=b"", again):
        self._head, self._again = head, again
        self._over, self.asked, self.hung_up = threading.Event(), threading.Event(), threading.Event()

    def __enter__(self):
        self._server = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._server.getsockname()[1]}/x"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._server.close()
        self._thread.join()

    def _serve(self):
        peer, _ = self._server.accept()
        gives_up = time.monotonic() + PATIENCE_S
        with peer:
            peer.recv(65_536)
            self.asked.set()
            try:
                peer.sendall(self._head)
                while not self._over.wait(0.02) and time.monotonic() < gives_up:
                    peer.sendall(self._again)
            except OSError:
                self.hung_up.set()


HOSTILE = {
    "a header byte by byte": {"head": b"HTTP/1.1 201 Created\r\nX-Slow: ", "again": b"x"},
    "header after header": {"head": b"HTTP/1.1 201 Created\r\n", "again": b"X-Slow: x\r\n"},
    "answers before the answer, without end": {"again": b"HTTP/1.1 103 Early Hints\r\n\r\n"},
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE.keys())
def test_an_answer_without_end_is_not_waited_for(service, answer):
    with Hostile(**answer) as hostile:
        told = service.browser().subscription
        assert sending.send(subscription(told, endpoint=hostile.endpoint), seconds=SECONDS).why == "ReadTimeout"
        assert hostile.hung_up.wait(PATIENCE_S)


def test_nor_is_one_that_comes_fast_read(service):
    """Before the time is up there has been enough of it."""
    with Hostile(again=b"HTTP/1.1 103 Early Hints\r\n\r\n" * 2_000) as hostile:
        told = service.browser().subscription
        assert sending.send(subscription(told, endpoint=hostile.endpoint), seconds=PATIENCE_S).why == "ReadError"


def test_a_name_whose_look_up_hangs_is_not_waited_for(service, monkeypatch):
    let_go = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: let_go.wait(PATIENCE_S) and [])
    told = subscription(service.browser().subscription, endpoint="https://push.example.org/x")
    outcome = sending.send(told, seconds=0.2)
    let_go.set()
    assert outcome == sending.Outcome(why="ConnectTimeout")


@pytest.mark.parametrize(
    "wrong",
    [
        {"p256dh": b""},
        {"p256dh": b"\x04" + bytes(64)},
        {"endpoint": "gopher://push.example.org/x"},
        {"endpoint": "https://push..example.org/x"},
        {"endpoint": "https://"},
        {"endpoint": ""},
    ],
    ids=str,
)
def test_whatever_is_wrong_with_one_is_its_outcome(service, wrong):
    outcome = sending.send(subscription(service.browser().subscription, **wrong))
    assert not outcome.is_sent and not outcome.is_gone
    assert outcome.why.isidentifier()


def test_what_cannot_be_signed_is_an_outcome_too(service, settings):
    settings.VAPID_SUBJECT = object()
    assert sending.send(subscription(service.browser().subscription)).why == "TypeError"


# --- by https ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    """Of 127.0.0.1, with its key beside it."""
    certify(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return tmp_path / "certificate.pem"


@pytest.fixture
def secured(certificate):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with PushService(tls) as made:
        yield made


def test_pushes_go_by_tls_to_whom_the_name_belongs(secured, certificate, monkeypatch):
    browser = secured.browser()
    assert sending.send(subscription(browser.subscription)).why == "ConnectError"
    assert browser.tries == 0

    ours = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(endpoints, "tls", lambda: ours)
    for _ in range(2):
        assert sending.send(subscription(browser.subscription)).is_sent
    assert [push.payload for push in browser.pushes] == [{"v": 1}] * 2


def test_a_handshake_without_end_is_not_waited_for(service):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        told = subscription(service.browser().subscription, endpoint=f"https://127.0.0.1:{silent.getsockname()[1]}/x")
        assert sending.send(told, seconds=SECONDS).why == "ConnectTimeout"


# --- what stays with us ------------------------------------------------------------------------------------------------


def test_no_log_learns_an_endpoint_or_a_key(service, caplog):
    """However much is logged: neither from us nor from the libraries, whether it is taken, sent elsewhere, or fails."""
    caplog.set_level(logging.DEBUG)
    browser = service.browser()
    told = browser.subscription
    assert sending.send(subscription(told)).is_sent
    browser.will_answer(307, Location=told["endpoint"])
    assert sending.send(subscription(told)).why == "answered 307"
    assert sending.send(subscription(told, endpoint=told["endpoint"].replace("//127.0.0.1", "//127.0.0.2"))).why
    assert browser.tries == 2
    for secret in (browser.path, told["p256dh"], told["auth"], repr(unb64(told["auth"]))):
        assert secret not in caplog.text


def test_a_push_that_is_under_way_does_not_hold_up_the_end_of_its_process(service):
    """A worker that is told to end ends, whatever a push service is doing."""
    pushes = """
        import sys, threading, uuid, django
        django.setup()
        from delivery.webpush import ringing
        from delivery.webpush.models import Subscription
        keys = {"p256dh": bytes.fromhex(sys.argv[2]), "auth": bytes.fromhex(sys.argv[3])}
        row = Subscription(device_id=uuid.uuid4(), user_id=uuid.uuid4(), endpoint=sys.argv[1], **keys)
        threading.Thread(target=lambda: list(ringing._send_all([row])), daemon=True).start()
        sys.stdin.read()
    """
    keys = [unb64(service.browser().subscription["p256dh"]).hex(), secrets.token_hex(16)]
    with Hostile(again=b"HTTP/1.1 103 Early Hints\r\n\r\n") as hostile:
        command = [sys.executable, "-c", dedent(pushes), hostile.endpoint, *keys]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ) as process:
            try:
                assert hostile.asked.wait(PATIENCE_S)
                process.stdin.close()
                assert process.wait(sending.PUSH_S / 2) == 0
            finally:
                process.kill()
