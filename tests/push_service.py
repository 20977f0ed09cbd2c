"""A push service of the tests' own, on loopback: it takes what the product sends and opens it as a browser would.

It opens pushes by RFC 8291 and RFC 8188 as they stand there, and checks VAPID by RFC 8292, without the libraries that the
product sends with.

    with PushService() as service:
        browser = service.browser()
        await bob.phone.http.put("push/subscription", json=browser.subscription)
        ...
        push = await browser.push()
"""

import asyncio
import json
import secrets
import ssl
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PATIENCE_S = 40.0


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: Any) -> bytes:
    return bytes(key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


class Push(NamedTuple):
    """What came: its headers in lower case, and its payload opened."""

    headers: dict[str, str]
    payload: Any
    claims: dict[str, Any]
    sealed: bytes


class Browser:
    """One subscription, with its private key."""

    def __init__(self, service: "PushService") -> None:
        self.service = service
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.auth = secrets.token_bytes(16)
        self.path = f"/push/{secrets.token_urlsafe(24)}"
        self.pushes: list[Push] = []
        # Answers to come, each a status and headers; then 201.
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.tries = 0
        # Whoever pushes waits for its answer until this is set.
        self.answers_now = threading.Event()
        self.answers_now.set()

    @property
    def subscription(self) -> dict[str, str]:
        """The body of `PUT /push/subscription`."""
        return {"endpoint": self.service.url + self.path, "p256dh": b64(point(self.key)), "auth": b64(self.auth)}

    def will_answer(self, status: int, **headers: str) -> None:
        """The next push gets this."""
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}))

    async def push(self, number: int = 1) -> Push:
        """The push of this number, once it is here."""
        return (await self._until(lambda: len(self.pushes) >= number, f"push {number}")) or self.pushes[number - 1]

    async def tried(self, times: int) -> None:
        """So many pushes have been answered, one way or another."""
        await self._until(lambda: self.tries >= times, f"try {times}")

    async def _until(self, true: Any, what: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                await asyncio.sleep(0.02)

    def open(self, body: bytes) -> bytes:
        """RFC 8291 §4 and RFC 8188 §2, for one record."""
        salt, size, length = body[:16], int.from_bytes(body[16:20], "big"), body[20]
        theirs, record = body[21 : 21 + length], body[21 + length :]
        assert length == 65 and len(record) <= size
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), theirs)
        shared = self.key.exchange(ec.ECDH(), public)
        info = b"WebPush: info\0" + point(self.key) + theirs
        secret = HKDF(SHA256(), 32, self.auth, info).derive(shared)
        key = HKDF(SHA256(), 16, salt, b"Content-Encoding: aes128gcm\0").derive(secret)
        nonce = HKDF(SHA256(), 12, salt, b"Content-Encoding: nonce\0").derive(secret)
        plain = AESGCM(key).decrypt(nonce, record, None).rstrip(b"\0")
        assert plain.endswith(b"\x02")  # the last record's mark
        return plain[:-1]


class PushService:
    """Listens on a free port of 127.0.0.1 for as long as the context lasts; with `tls`, by https."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls

    def __enter__(self) -> Self:
        self.browsers: dict[str, Browser] = {}
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status, headers = service.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def browser(self) -> Browser:
        """A browser that has subscribed here."""
        made = Browser(self)
        self.browsers[made.path] = made
        return made

    def take(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """A push has come. What is wrong with it is answered 400, and told the test by `failures`."""
        browser = self.browsers[path]
        browser.answers_now.wait(PATIENCE_S)
        status, answer = browser.answers.pop(0) if browser.answers else (201, {})
        if status == 201:
            browser.pushes.append(Push(headers, json.loads(browser.open(body)), self.claims(headers), body))
        browser.tries += 1
        return status, answer

    def claims(self, headers: dict[str, str]) -> dict[str, Any]:
        """The VAPID token's (RFC 8292 §3), checked with the key that comes beside it."""
        scheme, _, rest = headers["authorization"].partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(","))
        assert scheme == "vapid"
        key: Any = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), unb64(parts["k"]))
        claims = jwt.decode(parts["t"], key, algorithms=["ES256"], audience=self.url)
        return claims | {"key": parts["k"]}
