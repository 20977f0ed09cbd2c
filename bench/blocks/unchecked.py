"""A drain without its block step: the mailboxes are locked and read, and nobody asks who blocks whom."""

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig

MAILBOXES = """
SELECT b.user_id, b.last_seq, b.ctid, (SELECT sum(version) FROM delivery_slot)
FROM message_log_mailbox b WHERE b.user_id = ANY(%s::uuid[])
"""


class Unchecked(AppConfig):
    """Takes the step out of `delivery.drain` when Django starts."""

    name = "bench.blocks"
    label = "unchecked"

    def ready(self) -> None:
        """Called once per process."""
        from delivery import drain
        from kernel.database import uuid_array
        from messages import log

        def open_mailboxes(cursor: Any, deliveries: Sequence[Any]) -> tuple[log.Mailboxes, dict[Any, Any], int]:
            users = sorted({user for delivery in deliveries for user in delivery.recipients})
            read = log.lock_mailboxes_sql(cursor, users) + b";" + cursor.mogrify(MAILBOXES, (uuid_array(users),))
            cursor.execute(read)
            found = cursor.fetchall()
            if len(found) < len(users):
                missing = sorted(set(users) - {row[0] for row in found})
                cursor.execute(log.make_mailboxes_sql(cursor, missing) + b";" + read)
                found = cursor.fetchall()
            last_seqs = {user: last_seq for user, last_seq, *_ in found}
            return log.Mailboxes(last_seqs, {row[0]: row[2] for row in found}), {}, found[0][3]

        drain.open_mailboxes = open_mailboxes
