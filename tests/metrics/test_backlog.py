"""What waits, however much it is, and whatever PostgreSQL does."""

import time

import httpx
import psycopg2

from tests.cast import Cast
from tests.metrics.scrape import Scrape, scraped

ROWS = 1_000_000
QUICK_S = 0.2

FILL = """
INSERT INTO delivery_pending (slot, recipients, kind, message_id, room_id, sender_id, device_id, connections_version, created_at)
SELECT n %% 64, ARRAY[gen_random_uuid()], 1, gen_random_uuid(), gen_random_uuid(), NULL, NULL, 0, now() - interval '90 seconds'
FROM generate_series(1, %s) n
"""


def execute(system, statement, *values):
    connection = psycopg2.connect(system.database_url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found = cursor.fetchall() if cursor.description else []
    connection.close()
    return found


def timed(url, http=httpx):
    """A scrape and its seconds."""
    started = time.monotonic()
    answer = http.get(f"{url}/metrics")
    seconds = time.monotonic() - started
    return Scrape(answer.text), seconds


async def test_a_few_and_a_million(private_system):
    system = private_system(web=1, workers=1)
    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        await scraped(system.url, lambda found: found["letterlock_pending_deliveries"] == 0)
        system.stop_part("worker-1")
        for _ in range(3):
            await alice.sends(room, b"waits")
    exact = execute(system, "SELECT count(*) FROM delivery_pending")[0][0]
    few = await scraped(system.url, lambda found: found["letterlock_pending_deliveries"] == exact)
    assert exact in (3, 6)
    assert 0 < few["letterlock_pending_oldest_age_seconds"] < 60
    assert few["letterlock_dead_deliveries"] == few["letterlock_abuse_alerts_open"] == 0

    execute(system, FILL, ROWS)
    many = await scraped(system.url, lambda found: found["letterlock_pending_deliveries"] > ROWS / 2)
    # As often as it takes for several looks, with the times of those that looked among them.
    seconds = []
    with httpx.Client() as http:
        while len(seconds) < 400:
            many, took = timed(system.url, http)
            seconds.append(took)
    queues = [name for (name,) in execute(system, "SELECT name FROM delivery_queue")]

    assert many["letterlock_pending_deliveries"] == sum(
        many["letterlock_pending_deliveries", f"queue={q}"] for q in queues
    )
    assert abs(many["letterlock_pending_deliveries"] - ROWS) < ROWS / 20
    assert all(85 < many["letterlock_pending_oldest_age_seconds", f"queue={q}"] < 300 for q in queues)
    assert sorted(seconds)[-4] < QUICK_S
    print("seconds of scrapes with a million waiting:", sorted(seconds)[200], "at most", max(seconds))


async def test_postgresql_frozen_or_away_leaves_the_rest(private_system):
    system = private_system(web=1, workers=1)
    there = await scraped(system.url, lambda found: found["letterlock_database_up"] == 1)
    for lose, regain in ((system.freeze, system.thaw), (system.stop_part, system.start_part)):
        lose("postgres")
        try:
            gone = await scraped(system.url, lambda found: found["letterlock_database_up"] == 0, patience_s=30)
            again, took = timed(system.url)
        finally:
            regain("postgres")
        assert "letterlock_pending_deliveries" not in gone.families
        assert again["letterlock_process_info"] == there["letterlock_process_info"] == 2
        assert took < 1
        await scraped(system.url, lambda found: found["letterlock_database_up"] == 1)
