"""The Celery tasks. They carry no message, only "group 0 has work" or "look": lost, doubled or late, they harm nothing."""

import threading

from celery import shared_task
from django.conf import settings

from delivery.alerts.notices import notify_soon
from delivery.drainer import Drainer, serve

_local = threading.local()


@shared_task(name="delivery.fan_out", acks_late=True, ignore_result=True)
def fan_out(*, group: int = 0, **_newer: object) -> None:
    """Deliver what is pending for one worker group."""
    serve(_drainer(group))


def _drainer(group: int) -> Drainer:
    """This thread's drainer for the group; it keeps its database session between tasks."""
    drainers: dict[int, Drainer] = _local.__dict__.setdefault("drainers", {})
    if group not in drainers:
        drainers[group] = Drainer(f"drain {group} {settings.PART_NAME}", [group])
    return drainers[group]


@shared_task(name="delivery.tell_alerts", ignore_result=True)
def tell_alerts(**_newer: object) -> None:
    """Tell people of what has alerted since. Missing a turn harms nothing: see delivery/alerts/notices.py."""
    notify_soon()
