"""Every metric of the product, once. Served at `/metrics` (config/metrics), described for operators in docs/operations.md.

Whoever counts does it per batch and not per message: `ACCEPTED.inc(len(batch))`. An inc costs 1 to 2 µs (docs/adr/0033).
What the processes of one machine count is added up by config/metrics/sharing.py; elsewhere (tests, commands) it stays in
the process. `Figure`s are not counted but looked up when somebody asks.
"""

from bisect import bisect_left
from collections import Counter as CounterOf
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY: Final = CollectorRegistry()

# From a commit on an idle machine to a queue that stood still for ten minutes.
SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 600)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 320, 500)


class Histogram(prometheus_client.Histogram):
    """One that can observe a whole batch at the cost of its distinct values."""

    def observe_counted(self, counted: Mapping[float, int]) -> None:
        """Observe each amount as many times as it says."""
        for amount, times in counted.items():
            self._sum.inc(amount * times)
            self._buckets[bisect_left(self._upper_bounds, amount)].inc(times)


class Figure(NamedTuple):
    """Something that is looked up at a scrape: a gauge, or a counter that somebody else keeps."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


def _counter(name: str, help: str, *labels: str) -> Counter:
    return Counter(f"letterlock_{name}", help, labels, registry=REGISTRY)


def _gauge(name: str, help: str) -> Gauge:
    """The sum over the processes that live."""
    return Gauge(f"letterlock_{name}", help, registry=REGISTRY, multiprocess_mode="livesum")


def _histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...] = SECONDS) -> Histogram:
    return Histogram(f"letterlock_{name}", help, labels, registry=REGISTRY, buckets=buckets)


# --- accepting: web processes ------------------------------------------------------------------------------------------
ACCEPTED = _counter("messages_accepted", "Messages that were stored.")
REPEATED = _counter("messages_repeated", "Sends of a message that was stored already, answered as the first time.")
REFUSED = _counter("messages_refused", "Sends that were refused, by the code of docs/protocol.md §2.", "code")
COMMIT_MESSAGES = _histogram("commit_messages", "Sends in one commit of the committer.", buckets=SIZES)
COMMIT_SECONDS = _histogram("commit_seconds", "How long a commit took, with everything that belongs to it.")
WAITING = _gauge("committer_waiting_messages", "Sends that wait for the committers.")
ACKS = _counter("acks_written", "Acknowledgements that were written; each may cover many entries.")

# --- the API: web processes -----------------------------------------------------------------------------------------------
REQUESTS = _counter("http_requests", "Requests to the API that were answered, by status.", "status")
REQUEST_SECONDS = _histogram("http_request_seconds", "How long they took.")

# --- sockets: web processes --------------------------------------------------------------------------------------------
SOCKETS = _gauge("sockets_open", "Sockets that are signed in.")
SOCKETS_OPENED = _counter("sockets_opened", "Sockets that were signed in.")
SOCKETS_CLOSED = _counter("sockets_closed", "Sockets that the server closed, by close code.", "code")
ENTRIES_RECEIVED = _counter("push_entries_received", "Pushed entries that came to a host with a socket for them.")
GAP_REPAIRS = _counter(
    "gap_repairs",
    "Reads of a mailbox because a push was missing; found by a later push or by the comparison.",
    "found_by",
)
PAGES = _counter("mailbox_pages", "Pages of a mailbox read for sockets, whatever for.")

# --- waking: web processes, and workers that go on ---
WAKE_UPS = _counter("wake_ups", "Tasks that were published to wake the drains of a group of queues.")

# --- delivering: workers -------------------------------------------------------------------------------------------------
# Its `_count` are the drains, its `_sum` what they delivered.
DRAINED = _histogram("drain_deliveries", "Deliveries in one drain, by who drained.", "by", buckets=SIZES)
DRAIN_SECONDS = _histogram("drain_seconds", "How long a drain took, with its push.")
DRAIN_FAILURES = _counter("drain_failures", "Drains that failed and were tried again, smaller.")
SET_ASIDE = _counter("deliveries_set_aside", "Deliveries that failed alone and became dead ones.")
STOPPED = _counter("deliveries_stopped", "Messages that a block kept from their recipient.")
HELD = _counter("deliveries_held", "Deliveries that a request box holds.")
ACCEPT_TO_PUSH = _histogram("accept_to_push_seconds", "From a message's acceptance to the push of its entries.")
PUSHES = _counter("pushes", "Channel-layer messages published to hosts.", "kind")
PUSHES_LOST = _counter("pushes_lost", "Channel-layer messages that could not be published.", "kind")
ALERTS_OPENED = _counter("abuse_alerts_opened", "Alerts of abuse that were opened.")
ALERT_MESSAGES = _counter("abuse_alert_messages", "Messages that were counted in alerts of abuse.")
WEB_PUSHES = _counter("web_pushes", "Web Push: devices that were told, could not be told, or are gone.", "result")

# With labels that are known from the start: made once, and shown as 0 before the first.
DRAINED_BY = {by: DRAINED.labels(by) for by in ("worker", "sweeper")}
REPAIRED = {by: GAP_REPAIRS.labels(by) for by in ("push", "comparison")}
RUNG = {result: WEB_PUSHES.labels(result) for result in ("sent", "failed", "gone")}
PUSHED = {kind: PUSHES.labels(kind) for kind in ("push", "hints")}
PUSH_LOST = {kind: PUSHES_LOST.labels(kind) for kind in ("push", "hints")}

# --- looked up at a scrape: the whole system's, from PostgreSQL ----------------------------------------------------------
PENDING = Figure(
    "letterlock_pending_deliveries", "Deliveries that wait, an estimate beyond a few thousand.", ("queue",)
)
PENDING_AGE = Figure(
    "letterlock_pending_oldest_age_seconds", "Age of the oldest delivery that waits; 0: none.", ("queue",)
)
DEAD = Figure(
    "letterlock_dead_deliveries", "Deliveries that were set aside and wait for somebody, 10000 at most.", ("queue",)
)
OPEN_ALERTS = Figure("letterlock_abuse_alerts_open", "Alerts of abuse that nobody has acknowledged, 10000 at most.")
DATABASE_UP = Figure("letterlock_database_up", "1 if PostgreSQL gave these figures within the last seconds, else 0.")

# --- and from the registry ------------------------------------------------------------------------------------------------
HOST_USERS = Figure("letterlock_host_users", "Users that a live host has, or is about to have.", ("host",))
HOST_SOCKETS = Figure("letterlock_host_sockets", "Sockets that a live host has.", ("host",))
HOST_CAPACITY = Figure("letterlock_host_capacity_users", "Users that a host takes at most; 0: no limit.", ("host",))
HOST_DRAINING = Figure("letterlock_host_draining", "1 if the host moves its users away and takes nobody.", ("host",))
REGISTRY_UP = Figure("letterlock_registry_up", "1 if the registry of hosts answers, else 0.")

# --- and of each process of this machine -----------------------------------------------------------------------------------
PROCESS = Figure(
    "letterlock_process_info", "A web process or worker that lives.", ("process", "pid", "version", "python")
)
PROCESS_CPU = Figure("letterlock_process_cpu_seconds_total", "CPU time, user and system.", ("process", "pid"))
PROCESS_MEMORY = Figure("letterlock_process_resident_memory_bytes", "Resident memory.", ("process", "pid"))
PROCESS_START = Figure("letterlock_process_start_time_seconds", "When it started, in Unix time.", ("process", "pid"))
PROCESS_FILES = Figure("letterlock_process_open_fds", "Open file descriptors, sockets among them.", ("process", "pid"))

FIGURES: Final = tuple(value for value in list(globals().values()) if isinstance(value, Figure))


def refused(codes: Iterable[str]) -> None:
    """Count one refusal for each of these codes."""
    for code, times in CounterOf(codes).items():
        REFUSED.labels(code).inc(times)
