"""Combinations of settings that make no sense, and versions that we rely on: each a Django system check with an id."""

import ipaddress
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, Warning, register
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from chat.drafts import ALG, SEALED_ALG
from config import env, queues
from config.webclient import policy
from delivery.alerts import mail, webhook
from delivery.webpush import vapid

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


@register(Tags.security)
def hosts_are_reached_safely(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E050 to E053: devices are sent where tokens are as safe as at PUBLIC_URL, and nobody guesses SERVICE_TOKEN."""
    found: list[CheckMessage] = []
    url = urlsplit(settings.HOST_URL)
    if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
        found.append(Error(f"HOST_URL must be a http or https URL, not {settings.HOST_URL!r}.", id="letterlock.E050"))
    elif url.scheme == "http" and (settings.HTTPS or not is_loopback(url.hostname)):
        hint = "Devices that came by https go nowhere else; others would send their tokens in the clear."
        found.append(Error(f"HOST_URL is {settings.HOST_URL}: plain http.", hint=hint, id="letterlock.E051"))
    registry = urlsplit(settings.REGISTRY_URL)
    if settings.REGISTRY_URL != "valkey" and (registry.scheme != "zookeeper" or not registry.netloc):
        hint = "valkey, or zookeeper://host:port,host:port/path"
        found.append(Error(f"REGISTRY_URL is {settings.REGISTRY_URL!r}.", hint=hint, id="letterlock.E053"))
    if settings.SERVICE_TOKEN and len(settings.SERVICE_TOKEN) < 16:
        hint = "openssl rand -hex 24"
        found.append(Error("SERVICE_TOKEN must have at least 16 characters.", hint=hint, id="letterlock.E052"))
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
    if settings.DATABASE_POOL_URL and urlsplit(settings.DATABASE_POOL_URL).scheme not in ("postgresql", "postgres"):
        found.append(Error("DATABASE_POOL_URL must begin with postgresql://.", id="letterlock.E005"))
    if urlsplit(settings.VALKEY_URL).scheme not in ("redis", "rediss", "unix"):
        found.append(Error("VALKEY_URL must begin with redis://, rediss:// or unix://.", id="letterlock.E005"))
    brokers = queues.schemes(settings.BROKER_URL)
    if not brokers or not (brokers <= queues.AMQP or brokers <= queues.REDIS):
        known = "amqp:// or amqps:// (several nodes separated by semicolons), redis://, rediss:// or redis+socket://"
        hint = None if env.is_given("BROKER_URL") else "It is not set, so it is VALKEY_URL."
        found.append(Error(f"BROKER_URL must begin with {known}.", hint=hint, id="letterlock.E005"))
    if settings.RATE_SCALE > 10:
        found.append(
            Warning(
                f"RATE_SCALE is {settings.RATE_SCALE}: rate limits hardly hold.",
                hint="Meant for tests and load generators.",
                id="letterlock.W006",
            )
        )
    return found


@register(Tags.security)
def alerts_go_where_they_should(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E020 to E024, W025: what is set up for alerts can work, is signed, and crosses no network in the clear."""
    found: list[CheckMessage] = []
    url = urlsplit(settings.ABUSE_WEBHOOK_URL)
    if settings.ABUSE_WEBHOOK_URL:
        if url.scheme not in ("http", "https") or not url.hostname or url.username:
            found.append(
                Error("ABUSE_WEBHOOK_URL must be a http or https URL without credentials.", id="letterlock.E020")
            )
        elif url.scheme == "http" and not is_loopback(url.hostname):
            found.append(Error("ABUSE_WEBHOOK_URL is plain http beyond this machine.", id="letterlock.E021"))
        try:
            webhook.key_of(settings.ABUSE_WEBHOOK_SECRET)
        except ValueError as error:
            hint = "printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\""
            found.append(Error(f"ABUSE_WEBHOOK_SECRET: {error}.", hint=hint, id="letterlock.E022"))
    elif settings.ABUSE_WEBHOOK_SECRET:
        found.append(Error("ABUSE_WEBHOOK_SECRET is set, ABUSE_WEBHOOK_URL is not.", id="letterlock.E022"))
    server = urlsplit(settings.EMAIL_URL)
    if settings.EMAIL_URL and (server.scheme not in ("smtp", "smtp+tls", "smtps") or not server.hostname):
        found.append(
            Error("EMAIL_URL must be smtp://, smtp+tls:// or smtps:// and a server's name.", id="letterlock.E023")
        )
    elif server.scheme == "smtp" and not is_loopback(server.hostname or ""):
        hint = "Use smtp+tls:// (STARTTLS) or smtps://."
        found.append(Warning("EMAIL_URL has mail sent in the clear.", hint=hint, id="letterlock.W025"))
    wrong = [
        address for address in [*(to for _, to in settings.ADMINS), settings.SERVER_EMAIL] if not _is_mail(address)
    ]
    if wrong:
        found.append(Error(f"These are no mail addresses: {', '.join(wrong)}.", id="letterlock.E024"))
    if settings.ADMINS and not settings.EMAIL_URL:
        found.append(Error("ALERT_MAILS is set, EMAIL_URL is not: no mail would be sent.", id="letterlock.E024"))
    return found


@register("alerts")
def somebody_hears_of_alerts(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """I026: alerts wait in the admin for somebody to look."""
    if mail.is_on() or webhook.is_on():
        return []
    hint = "Set ALERT_MAILS and EMAIL_URL, or ABUSE_WEBHOOK_URL and ABUSE_WEBHOOK_SECRET."
    return [Info("Alerts of abuse are shown in the admin only: no mail, no webhook.", hint=hint, id="letterlock.I026")]


def _is_mail(address: str) -> bool:
    try:
        validate_email(address)
    except ValidationError:
        return False
    return True


@register(Tags.security)
def messages_are_sealed(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E040, W041: there is an algorithm, of a name that the protocol allows, and none that we do not know."""
    wrong = [alg for alg in settings.MESSAGE_ALGS if not ALG.fullmatch(alg)]
    if wrong or not settings.MESSAGE_ALGS:
        return [Error("MESSAGE_ALGS must be one or more of 1 to 32 of A-Z a-z 0-9 _ . : - each.", id="letterlock.E040")]
    if strangers := [alg for alg in settings.MESSAGE_ALGS if alg != SEALED_ALG]:
        hint = f"Only of {SEALED_ALG} does the server check that a body has the form of a sealed one."
        return [Warning(f"MESSAGE_ALGS allows {', '.join(strangers)}.", hint=hint, id="letterlock.W041")]
    return []


@register(Tags.security)
def clients_talk_to_our_hosts_alone(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E055, E056: the pages' policy names origins, and none that is reached in the clear."""
    found: list[CheckMessage] = []
    for origin in settings.HOST_ORIGINS:
        url = urlsplit(origin)
        if not policy.is_origin(origin):
            hint = "Scheme, host and port as browsers write them, without a slash behind: https://web-1.example.org."
            found.append(Error(f"HOST_ORIGINS has {origin!r}, which is no origin.", hint=hint, id="letterlock.E055"))
        elif url.scheme == "http" and not is_loopback(url.hostname or ""):
            found.append(Error(f"HOST_ORIGINS has {origin}: plain http beyond this machine.", id="letterlock.E056"))
    return found


@register(Tags.security)
def pushes_go_to_the_internet(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """W052, E054, E058: no push service on this machine, a secret that nobody guesses, and pushes that can be signed."""
    found: list[CheckMessage] = []
    if settings.WEB_PUSH_LOOPBACK:
        hint = "Meant for tests: whoever has an account can have POSTs sent to ports of this machine."
        found.append(Warning("WEB_PUSH_LOOPBACK is on.", hint=hint, id="letterlock.W052"))
    if len(settings.VAPID_SECRET) < 32:
        hint = "openssl rand -base64 48"
        found.append(Error("VAPID_SECRET must have at least 32 characters.", hint=hint, id="letterlock.E054"))
    try:
        vapid.token("https://push.example.org", at=time.time())
    except Exception as error:
        # Whatever it is, every push would meet it, and a worker only counts.
        hint = "The key comes from VAPID_SECRET; who we are, from PUBLIC_URL or ALERT_MAIL_FROM."
        found.append(Error(f"No push can be signed: {type(error).__name__}.", hint=hint, id="letterlock.E058"))
    return found


@register(Tags.security, deploy=True)
def hosts_have_the_same_secrets(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """W057: where there are several hosts, maybe on several machines, none goes by what it has made for itself."""
    if settings.HOST_URL == settings.PUBLIC_URL or not settings.MADE_HERE:
        return []
    hint = "Set it, alike on every machine: openssl rand -base64 48"
    return [
        Warning(f"HOST_URL is one of several, and {name} was made here.", hint=hint, id="letterlock.W057")
        for name in settings.MADE_HERE
    ]


@register(Tags.security)
def figures_are_not_for_the_world(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """E030: nobody guesses METRICS_TOKEN."""
    if not settings.METRICS_TOKEN or len(settings.METRICS_TOKEN) >= 16:
        return []
    hint = "openssl rand -hex 24"
    return [Error("METRICS_TOKEN must have at least 16 characters.", hint=hint, id="letterlock.E030")]
