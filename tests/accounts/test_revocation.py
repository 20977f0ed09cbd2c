"""A revoked device is out: at once where it was revoked, within two seconds elsewhere, with or without Valkey."""

import asyncio
import secrets
import time
from collections.abc import Collection
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test import override_settings
from django.utils import timezone

from accounts import devices, users
from accounts.models import Device
from accounts.revocations import Revocations
from kernel.ids import DeviceId, uuid7
from tests.cast import Cast, ok, until

SOON_S = 2.0
NOWHERE = "redis://127.0.0.1:1/0"


async def refused(device, url="") -> float:
    """Ask until the device is refused; the seconds it took."""
    client, started = device.cast.http(device.access, url), time.monotonic()
    while (response := await client.get("account")).status_code != 401:
        assert response.status_code == 200, response.text
        assert time.monotonic() - started < 10, "still let in"
    return time.monotonic() - started


async def revoke(device, by) -> None:
    ok(await by.http.delete(f"devices/{device.id}"), 204)


async def test_a_revoked_device_is_refused_at_once(cast):
    alice = await cast.person("alice")
    laptop = await alice.new_device()

    await revoke(laptop, by=alice.phone)
    response = await laptop.http.get("account")

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert [device["id"] for device in (await alice.phone.gets("devices"))["devices"]] == [alice.phone.id]


async def test_it_is_refused_by_the_other_process_within_two_seconds(cast, system):
    alice = await cast.person("alice")
    laptop = await alice.new_device()

    await revoke(laptop, by=alice.phone)

    assert await refused(laptop, system.urls[1]) < SOON_S


async def test_its_sockets_close_within_two_seconds(cast, system):
    alice = await cast.person("alice")
    laptop = await alice.new_device()
    async with (
        laptop.socket(url=system.urls[0]) as here,
        laptop.socket(url=system.urls[1]) as there,
        alice.phone.socket() as phone,
    ):
        started = time.monotonic()
        await revoke(laptop, by=alice.phone)

        assert [await here.closed(), await there.closed()] == [4401, 4401]
        assert time.monotonic() - started < SOON_S
        await phone.send("ping")
        await phone.expect("pong")


async def test_it_cannot_open_another_socket(cast):
    alice = await cast.person("alice")
    laptop = await alice.new_device()
    await revoke(laptop, by=alice.phone)

    async with laptop.opened() as socket:
        await socket.send("hello", token=laptop.access, client={"name": "cast", "version": "1"})

        assert await socket.closed() == 4401


async def test_its_refresh_token_is_worth_nothing(cast):
    alice = await cast.person("alice")
    laptop = await alice.new_device()

    await revoke(laptop, by=alice.phone)
    response = await cast.http().post("accounts/refresh", json={"refresh": laptop.session["refresh"]})

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")


async def test_who_signs_out_is_out(cast):
    alice = await cast.person("alice")
    async with alice.phone.socket() as socket:
        ok(await alice.phone.http.post("accounts/sign-out", json={}), 204)

        assert await socket.closed() == 4401
    assert (await alice.phone.http.get("account")).status_code == 401


async def test_revoking_twice_is_harmless(cast):
    alice = await cast.person("alice")
    laptop = await alice.new_device()

    await revoke(laptop, by=alice.phone)
    await revoke(laptop, by=alice.phone)


async def test_mallory_cannot_revoke_nor_rename_alices_device(cast):
    alice, mallory = await cast.people("alice", "mallory")

    deleted = await mallory.phone.http.delete(f"devices/{alice.phone.id}")
    renamed = await mallory.phone.http.patch(f"devices/{alice.phone.id}", json={"name": "mine"})

    assert [deleted.status_code, renamed.status_code] == [404, 404]
    (device,) = (await alice.phone.gets("devices"))["devices"]
    assert device["name"] == "phone"


async def test_without_valkey_it_is_refused_within_two_seconds_too(private_system):
    system = private_system(web=2, workers=0)
    async with Cast(system.urls[0]) as cast:
        alice = await cast.person("alice")
        laptop = await alice.new_device()
        async with laptop.socket(url=system.urls[1]) as socket:
            system.stop_part("valkey")
            started = time.monotonic()
            await revoke(laptop, by=alice.phone)
            answered = time.monotonic()

            assert (await laptop.http.get("account")).status_code == 401
            assert await refused(laptop, system.urls[1]) < SOON_S
            assert await socket.closed() == 4401
            assert time.monotonic() - answered < SOON_S
            assert answered - started < SOON_S


@pytest.fixture
def phone():
    """Alice's, in this process."""
    session = users.register(
        username=f"alice.{secrets.token_hex(5)}",
        password="x",
        device_name="phone",
        address="192.0.2.1",
        now=timezone.now(),
    )
    return session.device


@pytest.fixture
def another_process():
    """The revocations of a process that Valkey tells nothing."""
    with override_settings(VALKEY_URL=NOWHERE):
        revocations = Revocations()
        revocations.start()
        yield revocations
        revocations.stop()


async def test_a_process_that_hears_no_hint_looks_by_itself(phone, another_process):
    learnt: list[DeviceId] = []
    another_process.subscribe(learnt.extend)

    await _in_thread(devices.revoke, phone.pk)

    await until(lambda: another_process.is_revoked(phone.pk), patience_s=SOON_S)
    assert learnt.count(phone.pk) == 1


def test_what_one_look_finds_is_told_together(phone):
    """`manage.py restored` revokes every device of everybody."""
    others = [Device(user=phone.user, name=f"phone {number}", revoked_at=timezone.now()) for number in range(50)]
    made = {device.pk for device in Device.objects.bulk_create(others)}
    told: list[Collection[DeviceId]] = []

    with override_settings(VALKEY_URL=NOWHERE):
        late = Revocations()
        late.subscribe(told.append)
        late.start()
        late.stop()

    assert made <= set(told[0])
    assert not made & {device for later in told[1:] for device in later}


async def test_a_revocation_that_commits_late_is_seen(phone, another_process):
    """It carries the time of its statement, which lies before the looks that missed it."""
    await _in_thread(Device.objects.filter(pk=phone.pk).update, revoked_at=Now() - timedelta(seconds=8))

    await until(lambda: another_process.is_revoked(phone.pk), patience_s=SOON_S)


def test_a_process_that_starts_later_knows(phone):
    devices.revoke(phone.pk)

    with override_settings(VALKEY_URL=NOWHERE):
        late = Revocations()
        late.start()
        late.stop()

    assert late.is_revoked(phone.pk)


def test_one_subscriber_that_fails_does_not_keep_the_others_from_knowing(caplog):
    revocations, told = Revocations(), []
    revocations.subscribe(lambda devices: 1 / 0)
    revocations.subscribe(told.extend)
    device = DeviceId(uuid7())

    revocations.add(device)

    assert told == [device]
    assert "a subscriber to revocations failed" in caplog.text


async def _in_thread(fn, *args, **kwargs):
    """The ORM in a thread of its own, whose connection goes with it."""

    def call():
        try:
            return fn(*args, **kwargs)
        finally:
            connection.close()

    return await asyncio.to_thread(call)
