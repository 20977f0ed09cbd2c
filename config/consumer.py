"""Celery's consumer without what quorum queues bring along and we never use. Named in the settings, so only workers load it."""

from celery.worker.consumer import Consumer


class PlainConsumer(Consumer):
    """No native delayed delivery: for each worker's start it would declare 28 quorum queues, and wait for every broker that is away.

    That is for tasks with an ETA or a countdown. Ours have none: a wake-up is for now (docs/adr/0055).
    """

    class Blueprint(Consumer.Blueprint):
        """The same steps but that one."""

        default_steps = [step for step in Consumer.Blueprint.default_steps if not step.endswith(":DelayedDelivery")]
