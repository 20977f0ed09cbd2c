"""What beat has done for the log from time to time. Missing a turn harms nothing: see messages/partitions.py."""

from celery import shared_task

from messages import partitions


@shared_task(name="messages.make_partitions", ignore_result=True)
def make_partitions(**_newer: object) -> None:
    """Make the coming months' partitions."""
    partitions.ensure()


@shared_task(name="messages.drop_old_partitions", ignore_result=True)
def drop_old_partitions(**_newer: object) -> None:
    """Drop what retention lets go."""
    partitions.drop_old()
