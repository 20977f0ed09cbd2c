"""Where a push may go. The address comes from whoever has an account: without care it would be a way into our own network.

An endpoint is https on the usual port, of a name or address of the public internet. The name is looked up by us and every
address of it must be public; then those addresses are dialled, not the name again, which might answer differently. Answers are
not read, redirects not followed, proxies of the environment not asked.

Nor does a push service have more of our time than a push is worth: its `Deadline` holds for the look-up, for all addresses, for
TLS, and for an answer that comes byte by byte.
"""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future
from functools import cache
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpcore
from django.conf import settings

from kernel.errors import InvalidInput
from kernel.limits import PUSH_ENDPOINT_CHARACTERS

HTTPS_PORT: Final = 443
USUAL_PORTS: Final = {"https": HTTPS_PORT, "http": 80}
# An address that does not answer leaves time for the next.
DIAL_S: Final = 5.0
# What says more than this before its answer's header has ended is no push service.
MOST_READ: Final = 65_536
# Names that are being looked up. The resolver cannot be interrupted: one that hangs keeps its thread until it gives up.
LOOKUPS: Final = 32

# Ranges that lead to addresses of version 4, perhaps private ones.
TRANSLATED: Final = tuple(
    map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_lookups = threading.BoundedSemaphore(LOOKUPS)


class Forbidden(httpcore.ConnectError):
    """The name leads to an address where no push service is."""


def check(endpoint: str) -> None:
    """Raises `InvalidInput` for what cannot be the endpoint of a push service, by its looks."""
    wrong = InvalidInput(
        f"endpoint must be an https URL of at most {PUSH_ENDPOINT_CHARACTERS} characters", field="endpoint"
    )
    if (
        len(endpoint) > PUSH_ENDPOINT_CHARACTERS
        or not endpoint.isascii()
        or not endpoint.isprintable()
        or " " in endpoint
    ):
        raise wrong
    try:
        url = urlsplit(endpoint)
        port = url.port
    except ValueError as error:
        raise wrong from error
    if not url.hostname or url.username is not None or url.password is not None or url.fragment or "\\" in endpoint:
        raise wrong
    # An address's zone, or a name in another spelling.
    if "%" in url.hostname:
        raise wrong
    if not _is_of_a_test(url) and (
        url.scheme != "https" or port not in (None, HTTPS_PORT) or not _looks_public(url.hostname)
    ):
        raise wrong


def origin(endpoint: str) -> str:
    """Whom a VAPID token is for: scheme, host and port in the one form that RFC 6454 (§6.2) gives them."""
    url = urlsplit(endpoint)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    port = "" if url.port in (None, USUAL_PORTS[url.scheme]) else f":{url.port}"
    return f"{url.scheme}://{host}{port}"


def _is_of_a_test(url: SplitResult) -> bool:
    """A push service of a test's own, where that is allowed."""
    return settings.WEB_PUSH_LOOPBACK and url.scheme == "http" and url.hostname == "127.0.0.1"


def _looks_public(host: str) -> bool:
    try:
        return _is_public(ipaddress.ip_address(host))
    except ValueError:
        # Names without a dot are of a local network; a last part of digits is an address in one of its other spellings.
        last = host.rstrip(".").rpartition(".")[2]
        return "." in host.rstrip(".") and not last[:1].isdigit() and last not in ("local", "localhost", "internal")


def _is_public(address: Address) -> bool:
    if any(address in network for network in TRANSLATED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


class Deadline:
    """When a push is over, whatever its service does."""

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self, over: type[httpcore.TimeoutException]) -> float:
        """Seconds, more than none. Raises `over`."""
        left = self._at - time.monotonic()
        if left <= 0:
            raise over("the push took too long")
        return left


class PublicOnly(httpcore.NetworkBackend):
    """Dials nothing but public addresses (and, where a test says so, loopback), for one push, until its deadline."""

    def __init__(self, deadline: Deadline, plain: httpcore.NetworkBackend | None = None) -> None:
        self._deadline = deadline
        self._plain = plain or httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See `httpcore.NetworkBackend`; of timeouts, the deadline's alone holds. Raises `Forbidden`."""
        addresses = self._look_up(host, port)
        if not all(map(self._may_dial, addresses)):
            raise Forbidden("not an address of the public internet")
        failed: Exception = httpcore.ConnectError("a name without addresses")
        for address in addresses:
            seconds = min(DIAL_S, self._deadline.left(httpcore.ConnectTimeout))
            try:
                stream = self._plain.connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Hurried(stream, self._deadline)
        raise failed

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Never."""
        raise Forbidden("not a socket of this machine")

    def _look_up(self, host: str, port: int) -> list[Address]:
        """The addresses of this name. getaddrinfo knows no timeout: a thread asks, and is left alone when the time is up."""
        if not _lookups.acquire(timeout=self._deadline.left(httpcore.ConnectTimeout)):
            raise httpcore.ConnectTimeout("too many look-ups hang")
        answer: Future[list[Any]] = Future()

        def ask() -> None:
            try:
                answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except Exception as error:
                answer.set_exception(error)
            finally:
                _lookups.release()

        try:
            threading.Thread(target=ask, name="web-push-name", daemon=True).start()
        except RuntimeError:
            _lookups.release()
            raise
        try:
            found = answer.result(timeout=self._deadline.left(httpcore.ConnectTimeout))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the look-up took too long") from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(type(error).__name__) from error
        return [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]

    def _may_dial(self, address: Address) -> bool:
        return _is_public(address) or (settings.WEB_PUSH_LOOPBACK and str(address) == "127.0.0.1")


class _Hurried(httpcore.NetworkStream):
    """A connection that the push's deadline ends. httpcore's own timeouts are each read's: who sends a byte now and then has for ever."""

    def __init__(self, plain: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._plain = plain
        self._deadline = deadline
        self._was_read = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """See `httpcore.NetworkStream`, here as below."""
        data = self._plain.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))
        self._was_read += len(data)
        if self._was_read > MOST_READ:
            raise httpcore.ReadError("the answer has no end")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._plain.write(buffer, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._plain.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            left = self._deadline.left(httpcore.ConnectTimeout)
        except httpcore.ConnectTimeout:
            self.close()
            raise
        return _Hurried(self._plain.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._plain.get_extra_info(info)


@cache
def tls() -> ssl.SSLContext:
    """Reading all the certificates that we trust takes as long as several pushes."""
    return httpcore.default_ssl_context()
