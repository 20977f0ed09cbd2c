"""The message log, hot part: hand-written SQL over its tables, in batches, for raw sessions (kernel/database.py).

Functions that end in `_sql` return a statement for the caller to send together with others in one round trip.
tests/promises/test_sql_matches_models.py holds the column names against the models.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kernel.database import Cursor, bytes_array, number_array, uuid_array
from kernel.entries import Entry
from messages.entries import HIDDEN, MESSAGE_COLUMNS, message_text, origin_of
from messages.kinds import Kind

# What a slow network takes in seconds: a page is given to a socket as a whole.
PAGE_BYTES = 131_072

INSERT_MESSAGES = """
INSERT INTO message_log_message (id, room_id, sender_id, device_id, recipient_id, sent_at, alg, epoch, ciphertext)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::bigint[], %s::varchar[], %s::int[], %s::bytea[])
ON CONFLICT (id) DO NOTHING
RETURNING id, (extract(epoch FROM accepted_at) * 1000)::bigint
"""

SELECT_STORED = f"SELECT {MESSAGE_COLUMNS} FROM message_log_message m WHERE m.id = ANY(%s::uuid[])"

UPSERT_CURSORS = """
INSERT INTO message_log_cursor AS c (device_id, user_id, seq)
SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::bigint[])
ON CONFLICT (device_id) DO UPDATE SET seq = greatest(c.seq, excluded.seq)
"""

# Counted: a line for each would be sent and read for nothing.
LOCK_MAILBOXES = """
SELECT count(*) FROM (SELECT FROM message_log_mailbox WHERE user_id = ANY(%s::uuid[]) ORDER BY user_id FOR NO KEY UPDATE) locked
"""

MAKE_MAILBOXES = """
INSERT INTO message_log_mailbox (user_id) SELECT * FROM unnest(%s::uuid[]) ON CONFLICT DO NOTHING
"""

# What many are told is sent once, and each entry names it by its place. (%s)[n] is NULL where the array has one.
INSERT_ENTRIES = """
INSERT INTO message_log_entry (user_id, seq, kind, message_id, room_id, payload)
SELECT user_id, seq, (%s::smallint[])[n], (%s::uuid[])[n], (%s::uuid[])[n], (%s::text[])[n]
FROM unnest(%s::uuid[], %s::bigint[], %s::int[]) AS e(user_id, seq, n)
"""

# By place, which the lock keeps: no look-up by key, and no plan that walks all mailboxes.
SET_LAST_SEQS = """
UPDATE message_log_mailbox b SET last_seq = n.last_seq FROM unnest(%s::tid[], %s::bigint[]) AS n(place, last_seq) WHERE b.ctid = n.place
"""

# Bounded by rows and by bytes: a length is read without fetching its body, so what lies beyond costs nothing.
READ_PAGE = f"""
SELECT * FROM (
    SELECT {MESSAGE_COLUMNS}, e.seq, e.kind, e.payload,
           coalesce(sum(octet_length(m.ciphertext)) OVER (ORDER BY e.seq), 0) - coalesce(octet_length(m.ciphertext), 0) AS before
    FROM (SELECT seq, kind, message_id, payload FROM message_log_entry
          WHERE user_id = %s::uuid AND seq > %s ORDER BY seq LIMIT %s) e
    LEFT JOIN message_log_message m ON m.id = e.message_id AND e.kind = {Kind.MESSAGE.value}
) page WHERE before < %s ORDER BY seq
"""

POSITIONS = """
SELECT coalesce((SELECT last_seq FROM message_log_mailbox WHERE user_id = %s::uuid), 0),
       coalesce((SELECT seq FROM message_log_cursor WHERE device_id = %s::uuid), 0),
       coalesce((SELECT max(seq) FROM message_log_cursor WHERE user_id = %s::uuid), 0)
"""

LAST_SEQS = "SELECT user_id, last_seq FROM message_log_mailbox WHERE user_id = ANY(%s::uuid[])"


class NewMessage(NamedTuple):
    """A checked message on its way into the log. Ids are canonical texts."""

    id: str
    room: str
    sender: str
    device: str
    recipient: str | None
    sent_at: int
    alg: str
    epoch: int
    ciphertext: bytes


class Stored(NamedTuple):
    """A message as it is stored; `accepted_at` in ms."""

    message: NewMessage
    accepted_at: int


class NewEntry(NamedTuple):
    """One line for a mailbox."""

    user: str
    seq: int
    kind: int
    message: str | None
    room: str | None
    payload: str | None


class Mailboxes(NamedTuple):
    """Mailboxes whose locks the caller holds: the newest number given in each, and where its row lies (ctid) until the transaction ends."""

    last_seqs: dict[str, int]
    places: dict[str, str]


def nullable(values: Iterable[object | None]) -> str:
    """A `uuid[]` literal in which None is NULL."""
    return uuid_array("NULL" if value is None else value for value in values)


def append(cursor: Cursor, messages: Sequence[NewMessage]) -> dict[str, int]:
    """Insert what is not there yet; answers the inserted ids with their `accepted_at` (ms, PostgreSQL's clock).

    Sorted by id, so that two processes that insert the same ids wait for each other in one order.
    """
    rows = sorted(messages)
    cursor.execute(
        INSERT_MESSAGES,
        (
            uuid_array(row.id for row in rows),
            uuid_array(row.room for row in rows),
            uuid_array(row.sender for row in rows),
            uuid_array(row.device for row in rows),
            nullable(row.recipient for row in rows),
            number_array(row.sent_at for row in rows),
            # Quoted: an unquoted NULL would be none. The alphabet of `alg` needs no escapes.
            '{"' + '","'.join(row.alg for row in rows) + '"}',
            number_array(row.epoch for row in rows),
            bytes_array(row.ciphertext for row in rows),
        ),
    )
    return dict(cursor.fetchall())


def find_stored(cursor: Cursor, ids: Iterable[str]) -> dict[str, Stored]:
    """The stored ones among these ids."""
    cursor.execute(SELECT_STORED, (uuid_array(ids),))
    stored = {}
    for id, room, sender, device, recipient, sent_at, accepted_at, alg, epoch, ciphertext in cursor.fetchall():
        message = NewMessage(id, room, sender, device, recipient, sent_at, alg, epoch, bytes(ciphertext))
        stored[id] = Stored(message, accepted_at)
    return stored


def acknowledge_sql(cursor: Cursor, acks: Mapping[str, tuple[str, int]]) -> bytes:
    """The statement that moves devices' cursors forward, never back; `acks` is device → (user, seq)."""
    devices = sorted(acks)
    return cursor.mogrify(
        UPSERT_CURSORS,
        (
            uuid_array(devices),
            uuid_array(acks[device][0] for device in devices),
            number_array(acks[device][1] for device in devices),
        ),
    )


def lock_mailboxes_sql(cursor: Cursor, users: Sequence[str]) -> bytes:
    """The statement that locks these users' mailboxes, in one order for everybody."""
    return cursor.mogrify(LOCK_MAILBOXES, (uuid_array(users),))


def make_mailboxes_sql(cursor: Cursor, users: Sequence[str]) -> bytes:
    """The statement that makes the mailboxes that are missing."""
    return cursor.mogrify(MAKE_MAILBOXES, (uuid_array(sorted(users)),))


def append_entries_sql(cursor: Cursor, entries: Sequence[NewEntry], mailboxes: Mailboxes) -> bytes:
    """The statements that write entries and the mailboxes' new last numbers. The caller holds the mailboxes' locks."""
    users, seqs, *told = zip(*entries, strict=True)
    what = list(zip(*told, strict=True))
    places = {told: place for place, told in enumerate(dict.fromkeys(what), 1)}
    kinds, messages, rooms, payloads = zip(*places, strict=True)
    # Payloads are JSON and need real quoting; most batches have none.
    texts: Any = list(payloads) if any(payloads) else []
    last_seqs = mailboxes.last_seqs
    return (
        cursor.mogrify(
            INSERT_ENTRIES,
            (
                number_array(kinds),
                nullable(messages),
                nullable(rooms),
                texts,
                uuid_array(users),
                number_array(seqs),
                number_array(map(places.__getitem__, what)),
            ),
        )
        + b";"
        + cursor.mogrify(
            SET_LAST_SEQS,
            ('{"' + '","'.join(map(mailboxes.places.__getitem__, last_seqs)) + '"}', number_array(last_seqs.values())),
        )
    )


def read_after(cursor: Cursor, user: str, after: int, limit: int) -> list[Entry]:
    """Up to `limit` entries of the user's mailbox behind `after`, in order, at least one, bodies of about `PAGE_BYTES` at most."""
    cursor.execute(READ_PAGE, (user, after, limit, PAGE_BYTES))
    return [entry_of(row[:-1]) for row in cursor.fetchall()]


def hidden(seq: int) -> Entry:
    """An entry that is not to be seen. Its number stays."""
    return Entry(seq, HIDDEN, None)


def entry_of(row: tuple[Any, ...]) -> Entry:
    """An entry from a row of MESSAGE_COLUMNS, seq, kind, payload."""
    *message, seq, kind, payload = row
    if kind != Kind.MESSAGE:
        return Entry(seq, payload or HIDDEN, None)
    if message[0] is None:  # the message is no longer kept
        return hidden(seq)
    return Entry(seq, message_text(*message), origin_of(tuple(message)))


def positions(cursor: Cursor, user: str, device: str) -> tuple[int, int, int]:
    """The mailbox's newest number, the device's cursor, and how far the user's foremost device has come."""
    cursor.execute(POSITIONS, (user, device, user))
    last_seq, acknowledged, delivered = cursor.fetchone() or (0, 0, 0)
    return last_seq, acknowledged, delivered


def last_seqs(cursor: Cursor, users: Iterable[str]) -> dict[str, int]:
    """The newest number of each of these users' mailboxes."""
    cursor.execute(LAST_SEQS, (uuid_array(users),))
    return dict(cursor.fetchall())
