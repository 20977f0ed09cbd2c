"""What waits, from PostgreSQL, for `/metrics`: kept for seconds, never waited for, and left out when PostgreSQL is away."""

import logging
import threading
import time
from collections.abc import Iterator

import psycopg2
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from delivery import backlog
from kernel import metrics
from kernel.database import Session

logger = logging.getLogger(__name__)

# Several scrapers, or one that asks several hosts, cost one look.
KEPT_S = 3.0
# A scrape waits so long for a look; one that takes longer is there for the next scrape.
PATIENCE_S = 0.1
# What is older says nothing about now; and a look that takes longer than this is none.
STALE_S = 60.0
FROZEN_S = 2.0


class Looker:
    """Looks when asked, in a thread of its own: a frozen PostgreSQL holds up that thread and no scrape."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked = threading.Event()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._session = Session("metrics", statement_timeout="2000")
        self._found: backlog.Figures | None = None
        self._at = -STALE_S
        # When the look that is under way began.
        self._since: float | None = None

    def look(self) -> backlog.Figures | None:
        """What was found within the last seconds, if need be after a short wait; None when nothing was."""
        if time.monotonic() - self._at < KEPT_S:
            return self._found
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="figures", daemon=True)
                self._thread.start()
            self._done.clear()
            self._asked.set()
        self._done.wait(PATIENCE_S)
        now, since = time.monotonic(), self._since
        is_frozen = since is not None and now - since > FROZEN_S
        return self._found if now - self._at < STALE_S and not is_frozen else None

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            self._since = time.monotonic()
            try:
                with self._session.cursor() as cursor:
                    self._found, self._at = backlog.figures(cursor), time.monotonic()
            except psycopg2.Error as error:
                logger.info("the backlog could not be read: %s", type(error).__name__)
                self._found = None
                self._session.close()
            except Exception:
                logger.exception("the backlog could not be read")
                self._found = None
                self._session.close()
            self._since = None
            self._done.set()


_looker = Looker()


def figures() -> Iterator[Metric]:
    """What PostgreSQL knows, and whether it does."""
    found = _looker.look()
    yield gauge(metrics.DATABASE_UP, {(): 0.0 if found is None else 1.0})
    if found is not None:
        yield gauge(metrics.PENDING, {(queue,): line.pending for queue, line in found.queues.items()})
        yield gauge(metrics.PENDING_AGE, {(queue,): line.oldest_s for queue, line in found.queues.items()})
        yield gauge(metrics.DEAD, {(queue,): line.dead for queue, line in found.queues.items()})
        yield gauge(metrics.OPEN_ALERTS, {(): found.open_alerts})


def gauge(figure: metrics.Figure, samples: dict[tuple[str, ...], float]) -> Metric:
    """A figure's values by its labels."""
    family = GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
    for labels, value in samples.items():
        family.add_metric(labels, value)
    return family
