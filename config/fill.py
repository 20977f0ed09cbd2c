"""A made-up population and its messages, written straight into the tables: for measuring pages and queries at size.

Nobody can sign in as one of these users (their password hash is no hash), and the bodies are noise. Rows are written as the
product would have left them: every mailbox dense, cursors within their mailboxes, what is pending not yet in any mailbox.
"""

import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

from django.db import connection, transaction

from delivery.slots import slot_of
from kernel.ids import now_ms, uuid7

BATCH: Final = 50_000
# So many rooms hold a tenth of all messages: pages must stand long histories too.
BUSY_ROOMS: Final = 10
GROUP_MEMBERS: Final = 20
LARGE_GROUP: Final = 1_000

PEOPLE: Final = """
CREATE TEMP TABLE fill_people (n int PRIMARY KEY, id uuid, phone uuid, laptop uuid, slot smallint, username text);
CREATE TEMP TABLE fill_rooms (n int PRIMARY KEY, id uuid, first int, second int);
CREATE TEMP TABLE fill_fresh (place int PRIMARY KEY, id uuid, room int, sender int, other int, at bigint);
"""

USERS: Final = """
INSERT INTO accounts_user (id, username, password, created_at, read_receipts)
    SELECT id, username, '!', now() - interval '40 days', true FROM fill_people;
INSERT INTO accounts_device (id, user_id, name, client_name, client_version, created_at, last_seen_at, revoked_at, connections_version)
    SELECT phone, id, 'phone', 'fill', '1', now() - interval '40 days', now() - (n % 1000) * interval '1 minute', NULL, 0 FROM fill_people
    UNION ALL
    SELECT laptop, id, 'laptop', 'fill', '1', now() - interval '30 days', now() - interval '20 days',
           CASE WHEN n % 50 = 0 THEN now() - interval '19 days' END, 0 FROM fill_people;
INSERT INTO message_log_mailbox (user_id) SELECT id FROM fill_people;
"""

ROOMS: Final = """
INSERT INTO chat_room (id, kind, first_user, second_user, members_version, epoch, created_at)
    SELECT r.id, 'direct', least(a.id, b.id), greatest(a.id, b.id), 1, 0, now() - interval '35 days'
    FROM fill_rooms r JOIN fill_people a ON a.n = r.first JOIN fill_people b ON b.n = r.second;
INSERT INTO chat_membership (room_id, user_id, role, joined_at)
    SELECT r.id, p.id, 'member', now() - interval '35 days'
    FROM fill_rooms r JOIN fill_people p ON p.n IN (r.first, r.second);
"""

# A group of people that sit side by side; its first one owns it.
GROUP: Final = """
WITH room AS (
    INSERT INTO chat_room (id, kind, members_version, epoch, created_at) VALUES (%s, 'group', 1, 0, now() - interval '30 days') RETURNING id
)
INSERT INTO chat_membership (room_id, user_id, role, joined_at)
    SELECT room.id, p.id, CASE WHEN p.n = %s THEN 'owner' ELSE 'member' END, now() - interval '30 days'
    FROM room, fill_people p WHERE p.n >= %s AND p.n < %s
"""

# Ids as clients make them: 48 bits of time, version 7, the rest noise (RFC 9562 §5.7).
FRESH: Final = """
TRUNCATE fill_fresh;
INSERT INTO fill_fresh
SELECT place, (lpad(to_hex(at), 12, '0') || '7' || substr(noise, 1, 3) || 'a' || substr(noise, 4, 15))::uuid, room,
       CASE WHEN side THEN r.first ELSE r.second END, CASE WHEN side THEN r.second ELSE r.first END, at
FROM (SELECT place, %(start)s + (place::bigint * %(span)s / %(count)s) AS at, md5(%(seed)s || place) AS noise,
             get_byte(decode(md5(place::text), 'hex'), 0) < 128 AS side,
             CASE WHEN place %% 10 = 0 THEN place / 10 %% %(busy)s
                  ELSE ('x' || substr(md5(place || 'room'), 1, 7))::bit(28)::int %% %(rooms)s END AS room
      FROM generate_series(%(first)s, %(last)s) AS place) m
JOIN fill_rooms r ON r.n = m.room;
INSERT INTO message_log_message (id, room_id, sender_id, device_id, recipient_id, sent_at, accepted_at, alg, epoch, ciphertext)
SELECT f.id, r.id, s.id, s.phone, o.id, f.at, to_timestamp(f.at / 1000.0), 'chat.e2ee.v1', 0, decode(repeat(md5(f.place::text), 12), 'hex')
FROM fill_fresh f JOIN fill_rooms r ON r.n = f.room JOIN fill_people s ON s.n = f.sender JOIN fill_people o ON o.n = f.other
ORDER BY f.id;
"""

ENTRIES: Final = """
WITH lines AS (
    SELECT f.id, f.place, r.id AS room, p.id AS user_id, row_number() OVER (PARTITION BY p.id ORDER BY f.place) AS nth
    FROM fill_fresh f JOIN fill_rooms r ON r.n = f.room JOIN fill_people p ON p.n IN (f.sender, f.other)
), written AS (
    INSERT INTO message_log_entry (user_id, seq, kind, message_id, room_id)
    SELECT l.user_id, b.last_seq + l.nth, 1, l.id, l.room FROM lines l JOIN message_log_mailbox b USING (user_id)
    ORDER BY 1, 2
    RETURNING user_id, seq
), newest AS (SELECT user_id, max(seq) AS seq FROM written GROUP BY 1)
UPDATE message_log_mailbox b SET last_seq = n.seq FROM newest n WHERE n.user_id = b.user_id
"""

# A few in a thousand were refused as late.
REJECTIONS: Final = """
INSERT INTO message_log_rejection (user_id, message_id, reason, later_id, rejected_at)
SELECT o.id, f.id, 'late', f.later, to_timestamp(f.at / 1000.0)
FROM (SELECT place, id, other, at, lead(id) OVER (PARTITION BY room, sender ORDER BY place) AS later FROM fill_fresh) f
JOIN fill_people o ON o.n = f.other
WHERE f.later IS NOT NULL AND f.place % 300 = 0
"""

# What is accepted and in no mailbox yet; or given up.
WAITING: Final = """
INSERT INTO delivery_{table} ({more}slot, recipients, kind, message_id, room_id, sender_id, device_id, connections_version, created_at)
SELECT {values}p.slot, ARRAY[p.id], 1, f.id, r.id, s.id, s.phone, 0, to_timestamp(f.at / 1000.0)
FROM fill_fresh f JOIN fill_rooms r ON r.n = f.room JOIN fill_people s ON s.n = f.sender JOIN fill_people p ON p.n IN (f.sender, f.other)
ORDER BY f.place
"""
PENDING: Final = WAITING.format(table="pending", more="", values="")
DEAD: Final = WAITING.format(
    table="dead", more="pending_id, failed_at, error, ", values="f.place, now(), 'NumericValueOutOfRange: made up', "
)

POSITIONS: Final = """
INSERT INTO message_log_cursor (device_id, user_id, seq)
    SELECT d.id, d.user_id, CASE d.name WHEN 'phone' THEN b.last_seq ELSE b.last_seq / 2 END
    FROM fill_people p JOIN accounts_device d ON d.user_id = p.id JOIN message_log_mailbox b ON b.user_id = p.id;
INSERT INTO message_log_readposition (user_id, room_id, seq, disclosed_seq)
    SELECT m.user_id, m.room_id, b.last_seq, b.last_seq
    FROM fill_people p JOIN chat_membership m ON m.user_id = p.id JOIN message_log_mailbox b ON b.user_id = p.id;
ANALYZE;
"""


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    messages: int
    users: int
    pending: int
    dead: int


def fill(sizes: Sizes) -> Iterator[int]:
    """Write it all, one transaction per batch; yields how many messages are written after each."""
    seed = secrets.token_hex(4)
    with connection.cursor() as cursor:
        # Losing the last batch to a crash would cost nothing here.
        cursor.execute("SET synchronous_commit = off")
        cursor.execute(PEOPLE)
        with transaction.atomic():
            _people(cursor, sizes.users, seed)
            rooms = _rooms(cursor, sizes.users)
        delivered = sizes.messages - sizes.pending - sizes.dead
        for first, last, then in _batches(sizes.messages, delivered, delivered + sizes.pending):
            with transaction.atomic():
                cursor.execute(FRESH, _stretch(first, last, sizes.messages, rooms, seed))
                cursor.execute((f"{ENTRIES}; {REJECTIONS}", PENDING, DEAD)[then])
            yield last
        cursor.execute(POSITIONS)


def _people(cursor: Any, users: int, seed: str) -> None:
    """Users with two devices each. The slot is CRC-32 of the id, which PostgreSQL before 18 cannot say."""
    lines = io.StringIO()
    for n in range(users):
        id = uuid7()
        lines.write(f"{n}\t{id}\t{uuid7()}\t{uuid7()}\t{slot_of(id)}\tfill-{seed}.{n:07d}\n")
    lines.seek(0)
    cursor.copy_expert("COPY fill_people FROM STDIN", lines)
    cursor.execute(USERS)


def _rooms(cursor: Any, users: int) -> int:
    """A ring of direct rooms, each user in two, and groups beside it; answers how many direct ones."""
    lines = io.StringIO()
    for n in range(users):
        lines.write(f"{n}\t{uuid7()}\t{n}\t{(n + 1) % users}\n")
    lines.seek(0)
    cursor.copy_expert("COPY fill_rooms FROM STDIN", lines)
    cursor.execute("ANALYZE fill_people; ANALYZE fill_rooms")
    cursor.execute(ROOMS)
    for first in range(0, users - GROUP_MEMBERS, 10 * GROUP_MEMBERS):
        cursor.execute(GROUP, (uuid7(), first, first, first + GROUP_MEMBERS))
    cursor.execute(GROUP, (uuid7(), 0, 0, min(users, LARGE_GROUP)))
    return users


def _batches(messages: int, *bounds: int) -> Iterator[tuple[int, int, int]]:
    """First and last place of each batch, and whether it is delivered (0), pending (1) or dead (2)."""
    edges = [0, *bounds, messages]
    for then, (start, end) in enumerate(pairwise(edges)):
        for first in range(start, end, BATCH):
            yield first + 1, min(first + BATCH, end), then


def _stretch(first: int, last: int, count: int, rooms: int, seed: str) -> dict[str, Any]:
    """Places are spread evenly in time over this month so far, for which there is a partition."""
    now = now_ms()
    month = datetime.fromtimestamp(now / 1000, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = int(month.timestamp() * 1000)
    return {
        "start": start,
        "span": now - start,
        "count": count,
        "seed": seed,
        "busy": min(BUSY_ROOMS, rooms),
        "rooms": rooms,
        "first": first,
        "last": last,
    }


@dataclass(frozen=True)
class Landmarks:
    """Things to ask for in a database of size: the fullest mailbox's owner, a busy room, a message, …"""

    user: Any
    username: str
    seq: int
    room: Any
    large_room: Any
    message: Any
    waiting: Any


LANDMARKS: Final = """
SELECT b.user_id, u.username, b.last_seq, e.room_id,
       (SELECT room_id FROM chat_membership GROUP BY room_id ORDER BY count(*) DESC LIMIT 1), e.message_id,
       (SELECT message_id FROM delivery_pending WHERE kind = 1 ORDER BY slot, id LIMIT 1)
FROM message_log_mailbox b JOIN accounts_user u ON u.id = b.user_id
JOIN message_log_entry e ON e.user_id = b.user_id AND e.kind = 1
ORDER BY b.last_seq DESC, e.seq DESC LIMIT 1
"""


def find_landmarks() -> Landmarks | None:
    """Where pages have most to show; None in a database without messages."""
    with connection.cursor() as cursor:
        cursor.execute(LANDMARKS)
        found = cursor.fetchone()
    return Landmarks(*found) if found else None
