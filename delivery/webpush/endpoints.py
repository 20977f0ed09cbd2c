"""Where a push may go. The address comes from whoever has an account: without care it would be a way into our own network.

An endpoint is https on the usual port, of a name or address of the public internet. The name is looked up by us and every
address of it must be public; then that address is dialled, not the name again, which might answer differently. Answers are not
read, redirects not followed, proxies of the environment not asked.
"""

import ipaddress
import socket
from collections.abc import Iterable
from functools import cache
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpcore
from django.conf import settings

from kernel.errors import InvalidInput
from kernel.limits import PUSH_ENDPOINT_CHARACTERS

HTTPS_PORT: Final = 443

# Ranges that lead to addresses of version 4, perhaps private ones.
TRANSLATED: Final = tuple(
    map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


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
    if not _is_of_a_test(url) and (
        url.scheme != "https" or port not in (None, HTTPS_PORT) or not _looks_public(url.hostname)
    ):
        raise wrong


def origin(endpoint: str) -> str:
    """Scheme, host and port: whom a VAPID token is for."""
    url = urlsplit(endpoint)
    return f"{url.scheme}://{url.netloc}"


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


class PublicOnly(httpcore.NetworkBackend):
    """Dials nothing but public addresses (and, where a test says so, loopback)."""

    def __init__(self) -> None:
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """See `httpcore.NetworkBackend`. Raises `Forbidden`."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(type(error).__name__) from error
        addresses = [ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in found]
        if not addresses or not all(map(self._may_dial, addresses)):
            raise Forbidden("not an address of the public internet")
        return self._plain.connect_tcp(str(addresses[0]), port, timeout, local_address, socket_options)

    def connect_unix_socket(self, *args: Any, **kwargs: Any) -> httpcore.NetworkStream:
        """Never."""
        raise Forbidden("not a socket of this machine")

    def _may_dial(self, address: Address) -> bool:
        return _is_public(address) or (settings.WEB_PUSH_LOOPBACK and str(address) == "127.0.0.1")


@cache
def pool() -> httpcore.ConnectionPool:
    """This process's connections to push services."""
    return httpcore.ConnectionPool(
        network_backend=PublicOnly(), max_connections=32, max_keepalive_connections=8, keepalive_expiry=30
    )
