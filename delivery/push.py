"""From a committed batch to the hosts: one channel-layer message per host and batch.

The messages are written with a plain PUBLISH in the channel layer's own wire format: `async_to_sync(group_send)` costs
a new event loop and a new connection per call. tests/delivery/test_push.py holds the format against the layer.
Nothing here raises: what is not pushed is found by the sockets in their mailboxes.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from channels.layers import get_channel_layer
from django.conf import settings

from delivery import registry
from delivery.drain import Batch
from delivery.registry import RegistryAway
from kernel import metrics, valkey

logger = logging.getLogger(__name__)

HOSTS_KEPT_S = 0.5


def group_of(host: str) -> str:
    """The channel-layer group of a host: its one receiver is the only member."""
    return f"host.{host}"


class _Hosts:
    """The live hosts, asked for at most twice a second; the last known ones while the registry is away."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: list[str] = []
        self._until = 0.0

    def live(self) -> list[str]:
        with self._lock:
            if time.monotonic() >= self._until:
                try:
                    # None at all: the registry was wiped, and the hosts come back to it within seconds.
                    self._hosts = registry.current().hosts() or self._hosts
                except RegistryAway:
                    if not self._hosts:
                        raise
                    logger.debug("the registry is away; the last known hosts serve on")
                self._until = time.monotonic() + HOSTS_KEPT_S
            return self._hosts


_hosts = _Hosts()


def live_hosts() -> list[str]:
    """The live hosts, half a second old at most; the last known ones while the registry is away.

    Raises `RegistryAway` if there are none of these.
    """
    return _hosts.live()


def entries(batch: Batch) -> None:
    """Push the batch's entries to the hosts that hold its recipients."""
    if not batch.to:
        return
    try:
        hosts = live_hosts()
        if len(hosts) == 1:
            # Asking costs a round trip; a single host finds its sockets itself.
            publish({hosts[0]: _message(batch, batch.to)})
            return
        holding = registry.current().holding(hosts, {user for user, _, _ in batch.to}) if hosts else {}
    except RegistryAway:
        lost("push")
        return
    messages = {}
    for host, users in holding.items():
        to = [line for line in batch.to if line[0] in users]
        if to:
            messages[host] = _message(batch, to)
    publish(messages)


def lost(kind: str) -> None:
    """Nobody can say for which hosts this would have been: it counts once."""
    metrics.PUSH_LOST[kind].inc()


def _message(batch: Batch, to: Sequence[tuple[str, int, int]]) -> dict[str, Any]:
    """The push for one host: only the texts that its users need."""
    if len(to) == len(batch.to):
        return {
            "type": "push",
            "taken_at": batch.taken_at,
            "texts": batch.texts,
            "origins": batch.origins,
            "to": to,
        }
    needed = sorted({index for _, _, index in to})
    place = {index: n for n, index in enumerate(needed)}
    return {
        "type": "push",
        "taken_at": batch.taken_at,
        "texts": [batch.texts[index] for index in needed],
        "origins": [batch.origins[index] for index in needed],
        "to": [(user, seq, place[index]) for user, seq, index in to],
    }


def publish(messages: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Send one channel-layer message to each of these hosts, in one round trip; the hosts that listened."""
    client = valkey.client()
    if not messages:
        return set()
    kind = next(iter(messages.values()))["type"]
    if client.is_away:
        metrics.PUSH_LOST[kind].inc(len(messages))
        return set()
    layer: Any = get_channel_layer()
    pipe = client.pipeline(transaction=False)
    for host, message in messages.items():
        pipe.publish(f"{settings.KEY_PREFIX}__group__{group_of(host)}", layer.serialize(message))
    try:
        listeners = pipe.execute()
    except redis.RedisError as error:
        client.tripped()
        metrics.PUSH_LOST[kind].inc(len(messages))
        logger.info("a push was lost (%s); the sockets will find it in their mailboxes", type(error).__name__)
        return set()
    metrics.PUSHED[kind].inc(len(messages))
    return {host for host, heard in zip(messages, listeners, strict=True) if heard}
