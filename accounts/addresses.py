"""Where a request or a socket comes from, as far as limits are concerned."""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest

# Whoever has one IPv6 address has 2^64 of them.
_IPV6_NETWORK: Final = 64


def address_of(request: HttpRequest) -> str:
    """The client's IPv4 address, or the /64 network of its IPv6 address.

    Behind a proxy (TRUST_PROXY) it is the one that the proxy names last in X-Forwarded-For: what stands before is
    what the client claims.
    """
    return _counted(request.META.get("REMOTE_ADDR") or "", request.META.get("HTTP_X_FORWARDED_FOR", ""))


def address_of_socket(scope: Mapping[str, Any]) -> str:
    """The same for a socket, from its ASGI scope."""
    peer = str((scope.get("client") or [""])[0])
    named = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"x-forwarded-for"]
    return _counted(peer, ",".join(named))


def _counted(peer: str, forwarded: str) -> str:
    last = forwarded.rpartition(",")[2].strip() if settings.TRUST_PROXY else ""
    return network_of(last or peer)


def network_of(address: str) -> str:
    """The subject that limits count an address under; `unknown` for what is not an IP address."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> _IPV6_NETWORK << _IPV6_NETWORK)) + f"/{_IPV6_NETWORK}"
    return str(parsed)
