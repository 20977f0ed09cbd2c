"""A map that a test may change: as it was again behind it."""

import pytest
from django.db import connection

from delivery import wake
from delivery.models import Queue
from tests.delivery import depot

FIRST_QUEUES = 8


@pytest.fixture
def own_map(depot):
    """The first map, of one group and eight queues, before and behind the test; nothing pending."""
    # This process's waker reads the map where it has read it before, and that may be another test's database.
    wake.stop()
    reset_map()
    yield
    wake.stop()
    reset_map()


def reset_map():
    """Slot n in queue n mod 8, all in group 0. Versions never fall, here neither."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE delivery_pending, delivery_dead")
    depot.query(
        "UPDATE delivery_slot SET version = version + 1, queue_id = 'recipients.' || lpad((slot %% %s)::text, 2, '0')",
        FIRST_QUEUES,
    )
    Queue.objects.exclude(name__in=[f"recipients.{n:02d}" for n in range(FIRST_QUEUES)]).delete()
