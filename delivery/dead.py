"""Deliveries that were set aside: tried again, once what stopped them is mended."""

from collections.abc import Collection
from uuid import UUID

from django.db import connection, transaction

from delivery import wake
from delivery.models import Dead
from delivery.pending import NewPending, add_sql


@transaction.atomic
def retry(ids: Collection[int]) -> int:
    """Put these back among the pending deliveries, in their first order; answers how many there were.

    They come behind what is pending now. One that fails again is set aside again.
    """
    rows = list(Dead.objects.select_for_update().filter(id__in=ids).order_by("pending_id"))
    if not rows:
        return 0
    pending = [
        NewPending(
            row.slot,
            [str(user) for user in row.recipients],
            row.kind,
            message=_text(row.message_id),
            room=_text(row.room_id),
            sender=_text(row.sender_id),
            device=_text(row.device_id),
            connections_version=row.connections_version,
            payload=row.payload,
        )
        for row in rows
    ]
    with connection.cursor() as cursor:
        raw = cursor.cursor  # psycopg2's own, which alone can `mogrify`
        raw.execute(add_sql(raw, pending))
    Dead.objects.filter(id__in=[row.id for row in rows]).delete()
    slots = {row.slot for row in rows}
    transaction.on_commit(lambda: wake.slots(slots))
    return len(rows)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
