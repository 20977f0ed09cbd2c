"""A suspended user is out everywhere within two seconds, with or without Valkey; restored, everything is as it was."""

import asyncio
import secrets
import time
from contextlib import suppress
from datetime import timedelta

import psycopg2
import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings
from websockets.exceptions import ConnectionClosed

from accounts import suspension
from accounts.models import Device, User
from accounts.revocations import KEEP_S, Revocations
from kernel.database import Session
from kernel.ids import UserId
from tests.cast import Cast, ok, until

SOON_S = 2.0
NOWHERE = "redis://127.0.0.1:1/0"


async def in_thread(fn, *args):
    """The ORM in a thread of its own, whose connection goes with it."""

    def call():
        try:
            return fn(*args)
        finally:
            connection.close()

    return await asyncio.to_thread(call)


async def suspends(person) -> bool:
    return await in_thread(suspension.suspend, person.id)


async def restores(person) -> bool:
    return await in_thread(suspension.restore, person.id)


async def answered(device, url, status) -> float:
    """Ask until the answer has this status; the seconds it took. Nothing but 200 and `suspended` is ever answered."""
    client, started = device.cast.http(device.access, url), time.monotonic()
    while (response := await client.get("account")).status_code != status:
        assert response.status_code in (200, 403), response.text
        assert time.monotonic() - started < 10, f"still {response.status_code}"
    if status == 403:
        assert response.json()["code"] == "suspended"
    return time.monotonic() - started


async def test_tokens_are_refused_by_every_process_within_two_seconds(cast, system):
    mallory = await cast.person("mallory")
    laptop = await mallory.new_device()

    assert await suspends(mallory)

    for device in (mallory.phone, laptop):
        for url in system.urls:
            assert await answered(device, url, 403) < SOON_S


async def test_sockets_close_everywhere_and_nobody_elses(cast, system):
    alice, mallory = await cast.people("alice", "mallory")
    laptop = await mallory.new_device()
    async with (
        mallory.phone.socket(url=system.urls[0]) as here,
        laptop.socket(url=system.urls[1]) as there,
        alice.phone.socket() as other,
    ):
        started = time.monotonic()
        await suspends(mallory)

        assert [await here.closed(), await there.closed()] == [4403, 4403]
        assert time.monotonic() - started < SOON_S
        await other.send("ping")
        await other.expect("pong")


async def test_no_socket_opens_and_hello_says_why(cast, system):
    mallory = await cast.person("mallory")
    await suspends(mallory)

    for url in system.urls:
        async with mallory.phone.opened(url=url) as socket:
            await socket.send("hello", token=mallory.phone.access, client={"name": "cast", "version": "1"})

            assert await socket.closed() == 4403
            assert [frame["problem"]["code"] for frame in socket.frames] == ["suspended"]


async def test_signing_in_and_refreshing_are_refused_at_once(cast):
    mallory = await cast.person("mallory")
    form = {"username": mallory.username, "password": mallory.password, "device_name": "another"}

    await suspends(mallory)
    answers = [
        await cast.http().post("accounts/sign-in", json=form),
        await cast.http().post("accounts/refresh", json={"refresh": mallory.phone.session["refresh"]}),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(403, "suspended")] * 2


async def test_from_the_commit_on_nothing_is_accepted(cast, system):
    """Also by a process that has not heard of it yet: the commit of a send looks for itself."""
    bob, mallory = await cast.people("bob", "mallory")
    room = await mallory.direct_room(bob)
    async with bob.phone.socket() as inbox, mallory.phone.socket(url=system.urls[1]) as outbox:
        before = await mallory.sends(room, b"before")
        await suspends(mallory)
        with suppress(ConnectionClosed):
            await outbox.send("send", messages=[mallory.phone.message(room, b"by the socket")])
        answer = await mallory.phone.tries(room, b"by REST")

        assert (answer.status_code, answer.json()["code"]) == (403, "suspended")
        assert await outbox.closed() == 4403
        assert not [frame for frame in outbox.frames if frame["type"] == "accepted"]
        await restores(mallory)
        for url in system.urls:
            await answered(mallory.phone, url, 200)
        after = await mallory.sends(room, b"after")
        await inbox.entry("message", id=after["id"])
        assert [entry["id"] for entry in await inbox.messages(2)] == [before["id"], after["id"]]


async def test_restored_everything_is_as_it_was(cast, system):
    """The same tokens hold again, the same devices are there, sockets open, and what came meanwhile is delivered."""
    alice, mallory = await cast.people("alice", "mallory")
    laptop = await mallory.new_device()
    room = await alice.direct_room(mallory)
    await suspends(mallory)
    for url in system.urls:
        await answered(mallory.phone, url, 403)
    sent = await alice.sends(room, b"while you were out")

    assert await restores(mallory)

    for url in system.urls:
        assert await answered(mallory.phone, url, 200) < SOON_S
    assert {device["id"] for device in (await laptop.gets("devices"))["devices"]} == {mallory.phone.id, laptop.id}
    async with mallory.phone.socket(url=system.urls[0]) as here, laptop.socket(url=system.urls[1]) as there:
        await here.entry("message", id=sent["id"])
        await there.entry("message", id=sent["id"])
    await mallory.phone.refreshes()
    await mallory.sends(room, b"I am back")


async def test_what_is_so_already_changes_nothing(cast):
    mallory = await cast.person("mallory")

    assert [await suspends(mallory), await suspends(mallory)] == [True, False]
    since = await in_thread(lambda: User.objects.get(pk=mallory.id).suspended_at)
    assert [await restores(mallory), await restores(mallory)] == [True, False]

    assert since is not None
    assert not await in_thread(lambda: Device.objects.filter(user=mallory.id).exclude(revoked_at=None).exists())


async def test_without_valkey_it_holds_within_two_seconds_too(private_system):
    system = private_system(web=2, workers=0)
    async with Cast(system.urls[0]) as cast:
        mallory = await cast.person("mallory")
        async with mallory.phone.socket(url=system.urls[0]) as here, mallory.phone.socket(url=system.urls[1]) as there:
            system.stop_part("valkey")
            for suspended_at, status in (("now()", 403), ("NULL", 200)):
                started = time.monotonic()
                _in(system, f"UPDATE accounts_user SET suspended_at = {suspended_at} WHERE id = %s", mallory.id)

                for url in system.urls:
                    await answered(mallory.phone, url, status)
                if status == 403:
                    assert [await here.closed(), await there.closed()] == [4403, 4403]
                assert time.monotonic() - started < SOON_S
            ok(await mallory.phone.http.get("rooms"))


def _in(system, statement, *values):
    """What `suspend` and `restore` write, in the database of another system."""
    with psycopg2.connect(system.database_url) as session, session.cursor() as cursor:
        cursor.execute(statement, values)
    session.close()


class TestOneProcess:
    """What a process keeps, in this one, which Valkey tells nothing."""

    @pytest.fixture
    def process(self):
        with override_settings(VALKEY_URL=NOWHERE):
            known = Revocations()
            known.start()
            yield known
            known.stop()

    @pytest.fixture
    def mallory(self):
        return User.objects.create(username=f"mallory.{secrets.token_hex(5)}", password="!")

    async def test_it_tells_once_and_lets_go_when_restored(self, process, mallory):
        told: list[UserId] = []
        process.subscribe_to_suspensions(told.extend)

        for _ in range(2):
            await in_thread(suspension.suspend, mallory.pk)
            await until(lambda: process.is_suspended(mallory.pk), patience_s=SOON_S)
            await in_thread(suspension.restore, mallory.pk)
            await until(lambda: not process.is_suspended(mallory.pk), patience_s=SOON_S)

        assert told.count(mallory.pk) == 2

    def test_one_that_starts_later_knows(self, mallory):
        suspension.suspend(mallory.pk)

        with override_settings(VALKEY_URL=NOWHERE):
            late = Revocations()
            late.start()
            late.stop()

        assert late.is_suspended(mallory.pk)

    def test_it_keeps_nobody_whose_last_token_has_expired(self, mallory):
        User.objects.filter(pk=mallory.pk).update(suspended_at=Now() - timedelta(seconds=KEEP_S + 1))

        with override_settings(VALKEY_URL=NOWHERE):
            late = Revocations()
            late.start()
            late.stop()

        assert not late.is_suspended(mallory.pk)

    @pytest.mark.parametrize("what", ["suspended", "revoked"])
    def test_what_happened_while_it_was_frozen_still_closes_sockets(self, mallory, what):
        """Their tokens have expired meanwhile; sockets that stand open have not."""
        long_ago = Now() - timedelta(seconds=KEEP_S + 300)
        device = Device.objects.create(user=mallory, name="phone", revoked_at=long_ago if what == "revoked" else None)
        User.objects.filter(pk=mallory.pk).update(suspended_at=long_ago if what == "suspended" else None)
        frozen, told = Revocations(), []
        frozen.subscribe(told.extend)
        frozen.subscribe_to_suspensions(told.extend)
        session = Session("a look")

        frozen._poll(session, KEEP_S + 600)
        session.close()

        assert (mallory.pk if what == "suspended" else device.pk) in told

    async def test_a_subscriber_that_fails_does_not_keep_the_others_from_knowing(self, process, mallory, caplog):
        told: list[UserId] = []
        process.subscribe_to_suspensions(lambda users: 1 / 0)
        process.subscribe_to_suspensions(told.extend)

        await in_thread(suspension.suspend, mallory.pk)

        await until(lambda: mallory.pk in told, patience_s=SOON_S)
        assert "a subscriber to revocations failed" in caplog.text


def test_the_look_each_second_reads_an_index_and_no_table():
    """Millions of accounts, few of them suspended: read by the partial index."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(
            "EXPLAIN SELECT id FROM accounts_user WHERE suspended_at IS NOT NULL"
            " AND suspended_at > statement_timestamp() - 660 * interval '1 second'"
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")

    assert "user_suspended" in plan
