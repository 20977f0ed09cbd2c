"""A push service, and how far the system has come with a device's subscription."""

import asyncio

import pytest
from django.db import connection

from delivery.webpush.models import Subscription
from tests.cast import PATIENCE_S, ok
from tests.push_service import PushService


@pytest.fixture
def service():
    with PushService() as made:
        yield made


@pytest.fixture
def subscribes(service):
    """Subscribe a device, as its browser would; answers the browser's side of it."""

    async def subscribe(device, browser=None):
        browser = browser or service.browser()
        answer = await device.http.put("push/subscription", json=browser.subscription)
        assert answer.status_code == 204, answer.text
        return browser

    return subscribe


async def on_record(fn):
    """What a function of the ORM answers, from a thread of its own."""

    def call():
        try:
            return fn()
        finally:
            connection.close()

    return await asyncio.to_thread(call)


async def subscription(device):
    """The device's row, or None."""
    return await on_record(Subscription.objects.filter(pk=device.id).first)


async def changes(device, **fields):
    """As if time had passed, or somebody had died."""
    await on_record(lambda: Subscription.objects.filter(pk=device.id).update(**fields))


async def rings(task):
    """Some worker gets this task."""
    await on_record(task.apply_async)


async def becomes(device, true):
    """Wait until the device's row is so; answers it."""
    async with asyncio.timeout(PATIENCE_S):
        while not true(row := await subscription(device)):
            await asyncio.sleep(0.02)
    return row


async def arrives(device, message):
    """Wait until the message is in the mailbox of the device's user."""
    async with asyncio.timeout(PATIENCE_S):
        while (await device.http.get(f"messages/{message['id']}")).status_code != 200:
            await asyncio.sleep(0.02)


async def settled(device, *messages):
    """These messages are in the mailbox, and all of it has been decided on for this device; its row."""
    for message in messages:
        await arrives(device, message)
    newest = (await device.gets("mailbox", limit=1))["last_seq"]
    return await becomes(device, lambda row: not row.due_at and not row.claimed_until and row.looked_seq >= newest)


async def acknowledges(device):
    """The device has everything, and says so."""
    page = await device.gets("mailbox", limit=500)
    ok(await device.http.post("mailbox/ack", json={"seq": page["last_seq"]}))
