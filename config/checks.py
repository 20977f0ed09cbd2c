"""Combinations of settings that make no sense, and versions that we rely on: each a Django system check with an id."""

import ipaddress
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

# Wire formats that we write ourselves (docs/adr/0011): another version may read them differently.
PINNED = {"celery": "5.7.", "channels": "4.3.", "channels-redis": "4.3.", "daphne": "4.2."}


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    if host in ("localhost", ""):
        return host == "localhost"
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@register(Tags.security)
def plain_http_stays_on_loopback(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E001: tokens and cookies never cross a network in the clear."""
    public = urlsplit(settings.PUBLIC_URL)
    found: list[CheckMessage] = []
    if public.scheme not in ("http", "https") or not public.hostname:
        found.append(
            Error(f"PUBLIC_URL must be a http or https URL, not {settings.PUBLIC_URL!r}.", id="letterlock.E002")
        )
    elif public.scheme == "http" and not is_loopback(public.hostname):
        found.append(
            Error(
                f"PUBLIC_URL is {settings.PUBLIC_URL}: plain http beyond this machine.",
                hint="Put a proxy that speaks TLS in front and set PUBLIC_URL=https://…",
                id="letterlock.E001",
            )
        )
    strangers = [host for host in settings.ALLOWED_HOSTS if not is_loopback(host)]
    if public.scheme == "http" and strangers:
        found.append(
            Error(
                f"ALLOWED_HOSTS has {', '.join(strangers)} while PUBLIC_URL is plain http.",
                hint="Set PUBLIC_URL=https://…",
                id="letterlock.E003",
            )
        )
    return found


@register(Tags.compatibility)
def versions_are_those_we_know(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E004: the libraries whose formats we write are the ones that were tested."""
    return [
        Error(f"{name} is {version(name)}, known to work is {known}x.", id="letterlock.E004")
        for name, known in PINNED.items()
        if not version(name).startswith(known)
    ]


@register(Tags.compatibility)
def one_broker_is_chosen(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E005, W006: URLs that lead somewhere."""
    found: list[CheckMessage] = []
    if urlsplit(settings.DATABASE_URL).scheme not in ("postgresql", "postgres"):
        found.append(Error("DATABASE_URL must begin with postgresql://.", id="letterlock.E005"))
    if urlsplit(settings.VALKEY_URL).scheme not in ("redis", "rediss", "unix"):
        found.append(Error("VALKEY_URL must begin with redis://, rediss:// or unix://.", id="letterlock.E005"))
    if settings.RATE_SCALE > 10:
        found.append(
            Warning(
                f"RATE_SCALE is {settings.RATE_SCALE}: rate limits hardly hold.",
                hint="Meant for tests and load generators.",
                id="letterlock.W006",
            )
        )
    return found
