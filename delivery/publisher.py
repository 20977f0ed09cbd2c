"""Publishing wake-ups to RabbitMQ: only what it has confirmed is out, and a connection that fails in it is given up.

While a quorum queue has no leader, because the node that led it has died, a channel may still send to the dead one, and
go on so: RabbitMQ 3.10 takes whatever is published there, for minutes, and it reaches no queue. Confirmed, it is refused at
once, and the next connection is told who leads now (docs/adr/0055).
"""

import threading

from celery import current_app
from kombu.messaging import Producer

# How long a confirmation may take; and as long again until a connection that says nothing is closed.
CONFIRM_S = 2.0
OPTIONS = {"confirm_publish": True, "read_timeout": CONFIRM_S}


class Publisher(threading.local):
    """Of each thread its own connection: py-amqp's cannot be shared (it takes any confirmation for the one it waits for)."""

    _producer: Producer | None = None

    def send(self, task: str, *, queue: str, kwargs: dict[str, object]) -> None:
        """Publish a task and wait, for `CONFIRM_S` at most, until it is in the queue; raises what the broker raises."""
        if self._producer is None:
            connection = current_app.connection_for_write(transport_options=OPTIONS)
            self._producer = Producer(connection, auto_declare=False)
        try:
            current_app.send_task(
                task, kwargs=kwargs, queue=queue, retry=False, producer=self._producer, confirm_timeout=CONFIRM_S
            )
        except Exception:
            self.forget()
            raise

    def forget(self) -> None:
        """Close this thread's connection. What comes late on it would be taken for an answer to something else."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.connection.release()
