"""What PostgreSQL holds at the end of a run, read without any code of the server's."""

import time
from collections import defaultdict

import psycopg2

from tests.faults import wire
from tests.faults.ledger import Message, Truth

STORED = """
SELECT id::text, room_id::text, sender_id::text, device_id::text, ciphertext, (extract(epoch FROM accepted_at) * 1000)::bigint
FROM message_log_message
"""
MAILBOXES = """
SELECT user_id::text, seq, message_id::text FROM message_log_entry ORDER BY user_id, seq
"""


def read(database_url: str, *, patience_s: float = 10.0) -> Truth:
    """Wait until nothing is pending, at most `patience_s`, and read all."""
    connection = psycopg2.connect(database_url)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            deadline = time.monotonic() + patience_s
            while pending := _count(cursor, "delivery_pending"):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            cursor.execute(STORED)
            stored = {
                id: (Message(id, room, sender, device, wire.number_in(bytes(body))), accepted_at)
                for id, room, sender, device, body, accepted_at in cursor
            }
            mailboxes: dict[str, list[tuple[int, str | None]]] = defaultdict(list)
            cursor.execute(MAILBOXES)
            for user, seq, message in cursor:
                mailboxes[user].append((seq, message))
            cursor.execute("SELECT device_id::text, seq FROM message_log_cursor")
            cursors = dict(cursor.fetchall())
            return Truth(stored, dict(mailboxes), cursors, pending, _count(cursor, "delivery_dead"))
    finally:
        connection.close()


def _count(cursor: "psycopg2.extensions.cursor", table: str) -> int:
    cursor.execute(f"SELECT count(*) FROM {table}")
    (rows,) = cursor.fetchone() or (0,)
    return int(rows)
