"""The Celery app. Its messages are wake-ups: PostgreSQL holds what must not be lost."""

import os
from typing import Any

from celery import Celery, Task, bootsteps, signals
from celery.app.amqp import AMQP
from celery.worker.request import Request
from kombu.connection import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


class QuickConnection(Connection):
    """Comes back soon after the broker does: waits 0.2 s at first and 2 s at most between tries, where kombu goes up to 30 s."""

    def _ensure_connection(self, *args: Any, **kwargs: Any) -> Any:
        return super()._ensure_connection(
            *args, **{**kwargs, "interval_start": 0.2, "interval_step": 0.4, "interval_max": 2}
        )


class QuickAMQP(AMQP):
    """Makes every connection of the app a quick one."""

    Connection = QuickConnection


class PromptRequest(Request):
    """A task whose acknowledgement ends the connection when it fails, so that the worker connects again.

    Celery only logs it. But then the message counts as unacknowledged for ever, with a prefetch of 1 nothing more is asked
    of the broker, and so its loss is never noticed: after a restart of the broker the worker would sleep until its own.
    """

    acknowledged: bool

    def acknowledge(self) -> None:
        """See `celery.worker.request.Request`. Raises what the broker's connection raises."""
        if not self.acknowledged:
            self.message.ack()
            self.acknowledged = True


class PromptTask(Task):
    """The base of all tasks."""

    Request = PromptRequest


class Tick(bootsteps.StartStopStep):
    """A timer twice a second. An idle worker on AMQP else sleeps up to 10 s before it notices a signal."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        """Called once, when the worker's timer is there."""
        parent.timer.call_repeatedly(0.5, lambda: None)


@signals.setup_logging.connect
def leave_logs_alone(**_: Any) -> None:
    """That somebody listens here is why Celery keeps its hands off: settings.LOGGING holds for workers and beat too."""


app = Celery("letterlock", amqp=QuickAMQP, task_cls=PromptTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(Tick)
