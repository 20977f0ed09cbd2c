"""The Celery queues and how their broker is spoken to: one place, because a queue that is declared twice must be declared alike."""

from typing import Any
from urllib.parse import urlsplit

from kombu.entity import Exchange, Queue

from delivery.slots import QUEUE_NAMES

# Delivery's queues are named in its table (delivery.Queue); a queue exists in the broker once something is sent to it or reads it.
MAINTENANCE = "maintenance"
# A wake-up that nobody has taken for so long wakes nobody in time: sweepers have delivered. With RabbitMQ it bounds what gathers
# in the queues of a group that has no worker; with every broker, sweepers see to it that hardly any is published (delivery/wake.py).
WAKE_UP_MS = 60_000
# After so many workers died of a task it is dropped, on every version of RabbitMQ: before 4.0 the default was never.
DELIVERIES = 20
AMQP = {"amqp", "amqps", "pyamqp"}
REDIS = {"redis", "rediss", "redis+socket"}


def nodes(url: str) -> list[str]:
    """The broker's URLs: several nodes of one cluster are separated by semicolons."""
    return [node for node in url.split(";") if node]


def schemes(url: str) -> set[str]:
    """How the nodes are spoken to."""
    return {urlsplit(node).scheme for node in nodes(url)}


def is_amqp(url: str) -> bool:
    """Whether the broker is RabbitMQ; else it is Valkey or Redis."""
    return bool(schemes(url) & AMQP)


def arguments(url: str, name: str) -> dict[str, Any] | None:
    """What this queue is declared with. The one place: who declares it otherwise is refused by RabbitMQ (406).

    Quorum queues: they outlive the death of a node. Celery sees them and sets the prefetch for each consumer, as they ask.
    """
    if not is_amqp(url):
        return None
    found: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERIES}
    if name != MAINTENANCE:
        found["x-message-ttl"] = WAKE_UP_MS
    return found


def declare(url: str) -> list[Queue]:
    """Every queue that may be named, in the form that this broker wants."""
    names = [*QUEUE_NAMES, MAINTENANCE]
    exchange = Exchange("letterlock", type="direct", durable=True)
    return [Queue(name, exchange, routing_key=name, queue_arguments=arguments(url, name)) for name in names]


def transport_options(url: str, prefix: str) -> dict[str, Any]:
    """What kombu's transport is told. Timeouts are short: a wake-up that does not get through quickly is not worth waiting for."""
    if is_amqp(url):
        return {"confirm_publish": False, "connect_timeout": 2, "read_timeout": 5, "write_timeout": 2}
    return {
        # A wake-up whose worker died comes back after this; the sweeper has delivered long before.
        "visibility_timeout": 60,
        # One list per queue, not four, for each BRPOP to look at.
        "priority_steps": [0],
        "socket_connect_timeout": 1,
        "socket_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "retry_on_timeout": False,
        "global_keyprefix": f"{prefix}.broker.",
    }
