"""The whole way on a running system: beat says when, a worker's thread tells, the drains do not wait."""

import asyncio

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
    other = Celery("another")
    other.config_from_object(app.conf)
    other.conf.broker_url = system.broker_url
    try:
        other.send_task("delivery.tell_alerts", queue=MAINTENANCE)
    finally:
        other.close()
