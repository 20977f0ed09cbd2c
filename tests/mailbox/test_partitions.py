"""The message table's months: made ahead on a live table, also where the DEFAULT partition has rows; dropped when old."""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from kernel.ids import milliseconds_of
from messages import partitions
from messages.partitions import Month


def ms(*day):
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000)


@given(at=st.integers(0, ms(9000, 1, 1)), months=st.integers(-60, 60))
def test_months_follow_one_another_without_a_gap(at, months):
    month = Month.at(at)

    assert month.starts_at <= at < month.plus(1).starts_at
    assert month.plus(months).plus(-months) == month
    assert Month.of_table(month.table) == month
    assert milliseconds_of(partitions.first_id(at)) == at


def rows_of(table, message_id):
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE id = %s", [message_id])
        return cursor.fetchone()[0]


def store(at):
    """A message row with an id of that time."""
    message_id = UUID(int=at << 80 | secrets.randbits(74))
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO message_log_message (id, room_id, sender_id, device_id, sent_at, alg, epoch, ciphertext) "
            "VALUES (%s, %s, %s, %s, 0, 'x', 0, 'x')",
            [message_id] * 4,
        )
    return message_id


@pytest.fixture
def far_month():
    """A month of a far century that no other test has; its partition is dropped afterwards."""
    month = Month(2200 + secrets.randbelow(500), 6)
    yield month
    with connection.cursor() as cursor:
        for number in range(-1, 4):
            cursor.execute(f"DROP TABLE IF EXISTS {month.plus(number).table}")


def test_a_migrated_database_has_the_coming_months(system):
    current = Month.at(int(datetime.now(UTC).timestamp() * 1000))

    assert {current.plus(number) for number in range(partitions.MONTHS_AHEAD + 1)} <= set(partitions.list_partitions())


def test_rows_that_the_default_partition_took_move_to_their_month(system, far_month):
    inside = [store(far_month.starts_at), store(far_month.plus(1).starts_at - 1)]
    outside = [store(far_month.starts_at - 1), store(far_month.plus(2).starts_at)]
    assert [rows_of(partitions.DEFAULT, id) for id in inside + outside] == [1] * 4

    made = partitions.ensure(0, now=far_month.starts_at + 5 * 86_400_000)

    assert made == [far_month]
    assert [rows_of(far_month.table, id) for id in inside] == [1, 1]
    assert [rows_of(partitions.DEFAULT, id) for id in inside] == [0, 0]
    assert [rows_of(partitions.DEFAULT, id) for id in outside] == [1, 1]
    assert [rows_of(partitions.TABLE, id) for id in inside + outside] == [1] * 4


def test_many_may_make_the_same_months_at_once(system, far_month):
    def make(_):
        try:
            return partitions.ensure(2, now=far_month.starts_at + 5 * 86_400_000)
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        made = [month for months in threads.map(make, range(6)) for month in months]

    assert sorted(made) == [far_month, far_month.plus(1), far_month.plus(2)]
    assert partitions.ensure(2, now=far_month.starts_at + 5 * 86_400_000) == []


async def test_messages_are_taken_while_months_are_made(cast, far_month):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)

    def make():
        try:
            return partitions.ensure(2, now=far_month.starts_at + 5 * 86_400_000)
        finally:
            connection.close()

    making = asyncio.create_task(asyncio.to_thread(make))
    while not making.done():
        await alice.sends(room, b"meanwhile")

    assert len(await making) == 3


def test_an_old_month_is_dropped_and_the_default_partition_cleared(system):
    old = Month(1970 + secrets.randbelow(30), 2)
    partitions.ensure(0, now=old.starts_at + 5 * 86_400_000)
    gone, strays = store(old.starts_at + 1), store(old.plus(1).starts_at + 1)

    kept = partitions.drop_before(date(old.year, 2, 28))
    dropped = partitions.drop_before(date(old.year, 4, 1))

    assert old not in kept
    assert old in dropped
    assert rows_of(partitions.TABLE, gone) == rows_of(partitions.TABLE, strays) == 0


class TestRetention:
    def test_by_default_everything_is_kept(self, settings):
        assert settings.MESSAGE_RETENTION_DAYS == 0
        assert partitions.oldest_kept_ms() == 0
        assert partitions.drop_old() == []

    def test_ids_of_dropped_months_are_refused_and_only_those(self, settings):
        settings.MESSAGE_RETENTION_DAYS = 30

        assert partitions.oldest_kept_ms(now=ms(2026, 11, 22)) == ms(2026, 10, 1)
        assert partitions.oldest_kept_ms(now=ms(2026, 10, 30)) == ms(2026, 9, 1)


async def test_what_is_no_longer_kept_is_hidden_and_its_number_stays(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    sent = [await alice.sends(room, b"%d" % number) for number in range(3)]
    async with bob.phone.socket(acks=False) as socket:
        await socket.seq(4)

    def forget():
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM message_log_message WHERE id = %s", [sent[1]["id"]])

    await asyncio.to_thread(forget)

    page = await bob.phone.gets("mailbox")
    assert [entry["kind"] for entry in page["entries"]] == ["room", "message", "hidden", "message"]
    assert page["entries"][2] == {"seq": 3, "kind": "hidden"}
    async with bob.phone.socket(acks=False) as socket:
        assert await socket.seq(3) == {"seq": 3, "kind": "hidden"}
    assert (await bob.phone.http.get(f"messages/{sent[1]['id']}")).status_code == 404
