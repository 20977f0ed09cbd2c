"""Alice knows her devices: names, clients, when they were last here, and how many there may be."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from accounts import devices, users
from accounts.models import Device, User
from accounts.sessions import TooManyDevices
from accounts.tokens import Suspended
from kernel import limits
from tests.cast import ok

NOW = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)


def sign_in(name, now=NOW):
    return users.sign_in(username=name, password="x", device_name="another", address="192.0.2.1", now=now)


@pytest.fixture
def phone():
    """Alice's, in this process, at NOW."""
    session = users.register(
        username=f"alice.{secrets.token_hex(5)}", password="x", device_name="phone", address="192.0.2.1", now=NOW
    )
    return session.device


async def test_alice_renames_her_laptop(cast):
    alice = await cast.person("alice")
    laptop = await alice.new_device("laptop")

    renamed = ok(await alice.phone.http.patch(f"devices/{laptop.id}", json={"name": "  Desk 👩‍💻, second floor  "}))
    refused = await alice.phone.http.patch(f"devices/{laptop.id}", json={"name": "a\tb"})

    assert (renamed["id"], renamed["name"]) == (laptop.id, "Desk 👩‍💻, second floor")
    assert (refused.status_code, refused.json()["field"]) == (400, "name")
    assert [device["name"] for device in (await laptop.gets("devices"))["devices"]] == ["phone", renamed["name"]]


async def test_a_device_says_what_it_runs_when_it_opens_a_socket(cast):
    alice = await cast.person("alice")

    async with alice.phone.socket():
        (device,) = (await alice.phone.gets("devices"))["devices"]

    assert device["client"] == "cast 1"
    assert device["last_seen_at"] >= device["created_at"] - 1000


async def test_an_id_that_is_none_is_just_not_there(cast):
    alice = await cast.person("alice")

    for path in ("devices/x", f"devices/{alice.id}"):
        assert (await alice.phone.http.delete(path)).status_code == 404


def test_last_seen_is_written_once_a_minute(phone):
    for seconds in (1, 30, 59):
        devices.seen(phone.pk, now=NOW + timedelta(seconds=seconds))
    phone.refresh_from_db()
    assert phone.last_seen_at == NOW

    devices.seen(phone.pk, now=NOW + timedelta(seconds=61))
    phone.refresh_from_db()
    assert phone.last_seen_at == NOW + timedelta(seconds=61)


def test_another_client_is_noted_at_once(phone):
    devices.seen(phone.pk, "letterlock-py", "0.2.0", now=NOW + timedelta(seconds=1))

    phone.refresh_from_db()
    assert (phone.client_name, phone.client_version) == ("letterlock-py", "0.2.0")


def test_a_client_may_call_itself_anything(phone):
    devices.seen(phone.pk, "\x00evil\n" + "x" * 500, "\ud800" + "1" * 500, now=NOW)

    phone.refresh_from_db()
    assert phone.client_name.startswith("evilxxx")
    assert len(phone.client_name) == 64
    assert phone.client_version == "1" * 32


def test_fifty_devices_are_enough(phone):
    name = phone.user.username
    Device.objects.bulk_create(Device(user=phone.user, name=f"device {n}") for n in range(limits.DEVICES - 1))

    with pytest.raises(TooManyDevices):
        sign_in(name)

    devices.revoke(phone.pk)
    assert sign_in(name).device.name == "another"


def test_a_suspended_account_gets_no_device_and_no_new_token(phone):
    User.objects.filter(pk=phone.user.pk).update(suspended_at=NOW)

    with pytest.raises(Suspended):
        sign_in(phone.user.username)


async def test_a_suspended_account_cannot_refresh(cast):
    alice = await cast.person("alice")
    await User.objects.filter(pk=alice.id).aupdate(suspended_at=NOW)

    response = await cast.http().post("accounts/refresh", json={"refresh": alice.phone.session["refresh"]})

    assert (response.status_code, response.json()["code"]) == (403, "suspended")
