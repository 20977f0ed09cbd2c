"""`/metrics`: who may ask, and the answer."""

import hmac
import ipaddress
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from config import problems
from config.metrics import backlog, hosts, sharing
from kernel.errors import Forbidden, Unauthenticated

# What proxies add. Whoever comes through one is not on this machine, wherever the proxy is.
FORWARDED = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Forwarded", "Via")


class Everything(Collector):
    """All there is to tell, collected when asked."""

    def collect(self) -> Iterable[Metric]:
        """See `Collector`."""
        return self._all()

    def _all(self) -> Iterator[Metric]:
        yield from sharing.collect()
        yield from backlog.figures()
        yield from hosts.figures()


_registry = CollectorRegistry(auto_describe=False)
_registry.register(Everything())


def metrics(request: HttpRequest) -> HttpResponse:
    """The figures in Prometheus's text format, or in OpenMetrics where the scraper asks for it."""
    if refusal := _why_not(request):
        return problems.respond(refusal)
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(_registry), content_type=content_type)


def _why_not(request: HttpRequest) -> Forbidden | Unauthenticated | None:
    """With METRICS_TOKEN: whoever does not bring it. Without: whoever does not ask from this machine itself."""
    if settings.METRICS_TOKEN:
        brought = request.headers.get("Authorization", "").encode()
        is_ours = hmac.compare_digest(brought, f"Bearer {settings.METRICS_TOKEN}".encode())
        return None if is_ours else Unauthenticated("this is not METRICS_TOKEN")
    if any(name in request.headers for name in FORWARDED) or not _is_loopback(request.META.get("REMOTE_ADDR", "")):
        return Forbidden("figures are told to this machine only, or to whoever has METRICS_TOKEN")
    return None


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback
