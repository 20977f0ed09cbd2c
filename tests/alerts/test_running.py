"""The whole way on a running system: beat says when, a worker's thread tells, the drains do not wait."""

import asyncio
import statistics
import time

import psycopg2
from celery import Celery
from django.conf import settings

from config.celery import app
from config.queues import MAINTENANCE
from kernel.ids import uuid7
from tests.alerts.conftest import SECRET
from tests.cast import Cast, until


def test_beat_has_it_done_each_minute_by_a_task_that_exists():
    app.loader.import_default_modules()
    entry = settings.CELERY_BEAT_SCHEDULE["tell-alerts"]

    assert entry["schedule"] == 60.0
    assert entry["task"] in app.tasks
    assert app.amqp.router.route({}, entry["task"])["queue"].name == MAINTENANCE


async def test_a_worker_tells_while_it_delivers(private_system, hook):
    """An endpoint that hangs holds up one thread and no message."""
    hook.holding.set()
    environment = {"ABUSE_WEBHOOK_URL": hook.url, "ABUSE_WEBHOOK_SECRET": SECRET}
    system = private_system(web=1, workers=1, environment=environment)
    number = await asyncio.to_thread(_open_alert, system.database_url)

    await asyncio.to_thread(_send_task, system)
    await until(lambda: hook.calls, "the endpoint is called")

    async with Cast(system.url) as cast:
        alice, bob = await cast.people("alice", "bob")
        room = await alice.direct_room(bob)
        async with bob.phone.socket() as socket:
            sent = await alice.sends(room, b"in the meantime")
            await socket.entry("message", id=sent["id"], patience_s=5)
    assert hook.calls[0].data["alert"] == number
    hook.let_go.set()
    await until(lambda: _told(system.database_url, number) == 1, "it is noted")


async def test_a_flood_makes_one_alert_one_mail_and_one_post_and_keeps_nobody_waiting(private_system, hook, mail):
    """Mallory's device knows that Alice blocks Mallory, and sends ten thousand messages. Bob writes to Carol meanwhile."""
    environment = {
        "ABUSE_WEBHOOK_URL": hook.url,
        "ABUSE_WEBHOOK_SECRET": SECRET,
        "EMAIL_URL": f"smtp://127.0.0.1:{mail.port}",
        "ALERT_MAILS": "staff@example.org,duty@example.org",
    }
    system = private_system(web=1, workers=1, environment=environment)
    async with Cast(system.url) as cast:
        alice, mallory, bob, carol = await cast.people("alice", "mallory", "bob", "carol")
        room, other_room = await mallory.direct_room(alice), await bob.direct_room(carol)
        await alice.phone.posts("connections", {"action": "block", "user": mallory.id, "base_version": 0})
        known = await mallory.phone.gets("connections", since=0)
        await mallory.phone.posts("connections/synced", {"version": known["version"]})
        # Half a minute later.
        _query(system, "UPDATE delivery_syncreport SET reported_at = reported_at - interval '1 minute'")

        async with carol.phone.socket() as socket, alice.phone.socket() as alices:
            flood = asyncio.create_task(_flood(mallory.phone, room, FLOOD))
            waits = []
            while not flood.done():
                started = time.monotonic()
                sent = await bob.sends(other_room, b"as if nothing happened")
                await socket.entry("message", id=sent["id"])
                waits.append(time.monotonic() - started)
                if len(waits) == 3:
                    await asyncio.to_thread(_send_task, system)
            await flood
            await until(lambda: _query(system, COUNTED) == [(1, FLOOD)], "all of it is counted", patience_s=60)
            for _ in range(2):
                await asyncio.to_thread(_send_task, system)
            last = await bob.sends(other_room, b"the end")
            await socket.entry("message", id=last["id"])
            assert not [entry for entry in alices.entries if entry["kind"] == "message"]

        await until(lambda: hook.calls and mail.mails, "both channels have told")
        await until(lambda: _query(system, TOLD) == [(2,)], "both are noted")
    assert [call.data["sender"] for call in hook.calls] == [mallory.id]
    assert mail.recipients == [["staff@example.org", "duty@example.org"]]
    assert statistics.median(waits) < 1, waits
    lines = [line for line in (system.var / "log" / "worker-1.log").read_text().splitlines() if "abuse alert" in line]
    assert lines and all(f"device {mallory.phone.id} wrote to {alice.id}" in line for line in lines)
    assert f"{FLOOD} in all" in lines[-1]


FLOOD = 10_000
COUNTED = "SELECT count(*)::int, sum(count)::int FROM delivery_abusealert"
TOLD = "SELECT count(*)::int FROM delivery_alertnotice WHERE told_count > 0"


async def _flood(device, room, count):
    for _ in range(count // 100):
        batch = [device.message(room, b"hear me") for _ in range(100)]
        results = (await device.posts("messages", {"messages": batch}))["results"]
        assert {result["status"] for result in results} == {200}


def _query(system, statement):
    with psycopg2.connect(system.database_url) as session, session.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall() if cursor.description else []
    session.close()
    return rows


def _open_alert(url: str) -> int:
    with psycopg2.connect(url) as session, session.cursor() as cursor:
        cursor.execute(
            "INSERT INTO delivery_abusealert (device_id, sender_id, recipient_id, client_name, client_version, state, count,"
            " first_at, last_at, last_message_id, block_version, reported_version, accepted_version, notes)"
            " VALUES (%s, %s, %s, '', '', 'open', 1, now(), now(), %s, 1, 1, 1, '') RETURNING id",
            [str(uuid7()) for _ in range(4)],
        )
        ((number,),) = cursor.fetchall()
    session.close()
    return int(number)


def _told(url: str, number: int) -> int | None:
    with psycopg2.connect(url) as session, session.cursor() as cursor:
        cursor.execute("SELECT told_count FROM delivery_alertnotice WHERE alert_id = %s", [number])
        row = cursor.fetchone()
    session.close()
    return row and row[0]


def _send_task(system) -> None:
    """As beat does, to that system's broker."""
    other = Celery("another", set_as_current=False)
    other.config_from_object(app.conf)
    other.conf.broker_url = system.broker_url
    try:
        other.send_task("delivery.tell_alerts", queue=MAINTENANCE)
    finally:
        other.close()
