"""Alerts about devices that write on to somebody who blocks them: from the drain to the people who look after it.

    drain (one row per device and recipient, counted) | commit | log_raised: a line in the log
    every minute: notices.notify_due | what is due, claimed | mail, webhook | what was told, or when to try again
    delivery/admin.py: the queue of open alerts, and what staff do about them

The row is the truth; whatever else dies, the next run finds in it what has not been told (docs/adr/0032).
"""

import logging
from collections.abc import Sequence

from delivery.judging import Raised

logger = logging.getLogger("letterlock.abuse")


def log_raised(raised: Sequence[Raised]) -> None:
    """One line for each alert that a batch made or updated. Call after the commit."""
    for alert in raised:
        logger.warning(
            "abuse alert %d: device %s wrote to %s in spite of a block that it knew, %d more, %d in all",
            alert.id,
            alert.device,
            alert.recipient,
            alert.new,
            alert.total,
            extra={
                "alert": alert.id,
                "device": alert.device,
                "sender": alert.sender,
                "recipient": alert.recipient,
                "new": alert.new,
                "total": alert.total,
            },
        )
