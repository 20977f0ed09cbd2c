"""Where a request comes from, as far as limits are concerned."""

from ipaddress import IPv6Address, ip_address
from typing import Final

from django.conf import settings
from django.http import HttpRequest

# Whoever has one IPv6 address has 2^64 of them.
_IPV6_NETWORK: Final = 64


def address_of(request: HttpRequest) -> str:
    """The client's IPv4 address, or the /64 network of its IPv6 address.

    Behind a proxy (TRUST_PROXY) it is the one that the proxy names last in X-Forwarded-For: what stands before is
    what the client claims.
    """
    found = request.META.get("REMOTE_ADDR") or ""
    if settings.TRUST_PROXY:
        found = request.META.get("HTTP_X_FORWARDED_FOR", found).rpartition(",")[2].strip() or found
    return network_of(found)


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
