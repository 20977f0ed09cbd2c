"""Alerts about blocked senders who write on: how they reach people."""

import logging
from collections.abc import Sequence

from delivery.blocks import Raised

logger = logging.getLogger("letterlock.abuse")


def log_raised(raised: Sequence[Raised]) -> None:
    """One line for each alert that a batch made or updated."""
    for alert in raised:
        logger.warning(
            "abuse alert %d: device %s wrote to %s, who blocks it or is blocked, %d times more, %d in all",
            alert.id,
            alert.device,
            alert.recipient,
            alert.new,
            alert.total,
            extra=alert._asdict(),
        )
