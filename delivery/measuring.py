"""What is counted of a batch of deliveries, and what the log says of it at DEBUG: ids, counts and times, never what was written."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from delivery import load
from delivery.drain import Batch
from kernel import metrics
from kernel.entries import Entry

logger = logging.getLogger(__name__)


def drained(batch: Batch, *, by: str, seconds: float) -> None:
    """A drain has committed and pushed this batch."""
    load.drained(batch.slots)
    metrics.DRAINED_BY[by].observe(batch.rows)
    metrics.DRAIN_SECONDS.observe(seconds)
    metrics.ACCEPT_TO_PUSH.observe_counted(_ages(batch, time.time()))
    if batch.stopped:
        metrics.STOPPED.inc(len(batch.stopped))
    if batch.held:
        metrics.HELD.inc(len(batch.held))
    if batch.alerts:
        metrics.ALERT_MESSAGES.inc(sum(alert.new for alert in batch.alerts))
        metrics.ALERTS_OPENED.inc(sum(alert.new == alert.total for alert in batch.alerts))
    if logger.isEnabledFor(logging.DEBUG):
        messages = [origin.message for origin in batch.origins if origin]
        counts = {"rows": batch.rows, "entries": len(batch.to), "stopped": len(batch.stopped), "held": len(batch.held)}
        logger.debug("drained", extra={"messages": messages, "by": by, "seconds": seconds, **counts})


def _ages(batch: Batch, now: float) -> dict[float, int]:
    """How long ago the pushed messages were accepted: seconds, and how many messages. All of one commit share one time."""
    accepted: Iterable[int] = batch.accepted
    if batch.stopped or batch.held:
        accepted = [batch.accepted[index] for index in {index for _, _, index in batch.to}]
    return {max(0.0, now - at / 1000): times for at, times in Counter(accepted).items() if at}


def received(entries: Mapping[str, Sequence[Entry]]) -> None:
    """A push has come to this host, for the sockets of these users."""
    if not entries:
        return
    metrics.ENTRIES_RECEIVED.inc(sum(map(len, entries.values())))
    if logger.isEnabledFor(logging.DEBUG):
        messages = {entry.origin.message for batch in entries.values() for entry in batch if entry.origin}
        logger.debug("pushed", extra={"messages": sorted(messages), "users": len(entries)})
