"""The Celery tasks. They carry nothing: which devices are to be told, `Subscription.due_at` says."""

from celery import shared_task

from delivery.webpush.ringing import ring_soon


@shared_task(name="delivery.ring", ignore_result=True)
def ring(**_newer: object) -> None:
    """Tell the devices that are due. Missing a turn harms nothing: beat's comes within the minute."""
    ring_soon(find_missed=False)


@shared_task(name="delivery.ring_missed", ignore_result=True)
def ring_missed(**_newer: object) -> None:
    """The same, and find those that nobody has marked."""
    ring_soon(find_missed=True)
