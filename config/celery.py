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


class FollowMap(bootsteps.StartStopStep):
    """Has the worker read the queues that its group gets while it runs (`manage.py queues add`)."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Called with each new connection to the broker."""
        self._timer = parent.timer.call_repeatedly(1.0, self._follow, (parent,))

    def stop(self, parent: Any) -> None:
        """The connection is lost, or the worker ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _follow(self, consumer: Any) -> None:
        from delivery import sweeper

        if consumer.task_consumer is None:
            return
        try:
            for name in sweeper.queues():
                if not consumer.task_consumer.consuming_from(name):
                    consumer.add_task_queue(name)
        except consumer.connection_errors:
            pass  # the worker's loop meets the same error, and connects again


class MissBroker(bootsteps.StartStopStep):
    """Has the worker's sweeper look at once when the broker is lost: wake-ups may have been lost with it."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._is_connected = False

    def start(self, parent: Any) -> None:
        """Called with each new connection to the broker."""
        self._is_connected = True

    def stop(self, parent: Any) -> None:
        """The connection is lost, or the worker ends; Celery may call it more than once."""
        from delivery import sweeper

        if self._is_connected:
            self._is_connected = False
            sweeper.lose_broker()


@signals.setup_logging.connect
def leave_logs_alone(**_: Any) -> None:
    """That somebody listens here is why Celery keeps its hands off: settings.LOGGING holds for workers and beat too."""


app = Celery("letterlock", amqp=QuickAMQP, task_cls=PromptTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["worker"].add(Tick)
app.steps["consumer"].update({FollowMap, MissBroker})
