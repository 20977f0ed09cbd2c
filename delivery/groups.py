"""Which Celery queues there are, and which group of workers reads them."""

from delivery.models import Queue


def queues_of(group: int) -> list[str]:
    """The names of a group's queues, sorted."""
    return list(Queue.objects.filter(group=group).order_by("name").values_list("name", flat=True))
