"""The live hosts, from the registry, for `/metrics`."""

from collections.abc import Iterator

from prometheus_client import Metric

from config.metrics.backlog import gauge
from delivery import registry
from delivery.registry import RegistryAway
from kernel import metrics


def figures() -> Iterator[Metric]:
    """What the registry knows, and whether it answers."""
    try:
        states = registry.current().states()
    except RegistryAway:
        yield gauge(metrics.REGISTRY_UP, {(): 0.0})
        return
    yield gauge(metrics.REGISTRY_UP, {(): 1.0})
    yield gauge(metrics.HOST_USERS, {(state.id,): state.users for state in states})
    yield gauge(metrics.HOST_SOCKETS, {(state.id,): state.facts.sockets for state in states})
    yield gauge(metrics.HOST_CAPACITY, {(state.id,): state.facts.capacity for state in states})
    yield gauge(metrics.HOST_DRAINING, {(state.id,): float(state.draining) for state in states})
