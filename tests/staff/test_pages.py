"""The admin: what staff see of users' messages is that there are some, never what they say."""

import asyncio
from base64 import b64encode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Device, User
from delivery.models import Dead
from messages.models import Kind
from tests.cast import b64, until
from tests.staff.holding import held_queues

BODY = b"\xfe\xed the very words of Beatrice \xfa\xce"


async def conversation(cast):
    """Alice, Bob, their room, and a message that Bob has."""
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as socket:
        sent = await alice.sends(room, BODY)
        await socket.entry("message", id=sent["id"])
    return alice, bob, room, sent["id"]


def pages_about(alice, bob, room, message):
    """Every page that might show something of the message."""
    return [
        "",
        "message_log/",
        "message_log/message/",
        f"message_log/message/?q={message}",
        f"message_log/message/?q={room}",
        f"message_log/message/?q={alice.id}",
        f"message_log/message/{message}/change/",
        f"message_log/message/{message}/history/",
        "message_log/message/rejections/",
        f"message_log/message/rejections/?q={message}",
        f"message_log/mailbox/?q={bob.username}",
        f"message_log/mailbox/{bob.id}/change/",
        f"message_log/mailbox/{bob.id}/entries/",
        f"message_log/mailbox/{bob.id}/entries/?before=5",
        f"trace/{message}/",
        f"trace/?q={message}",
        "chat/room/",
        f"chat/room/?q={room}",
        f"chat/room/?q={bob.username}",
        f"chat/room/?q={bob.id}",
        f"chat/room/{room}/change/",
        "delivery/queue/",
        "delivery/queue/recipients.00/change/",
        "delivery/dead/",
        "delivery/dead/?q=recipients.00",
    ]


async def test_no_page_shows_or_even_reads_a_body(cast, clerk):
    about = await conversation(cast)
    *_, message = about

    for page in pages_about(*about):
        text, queries = await asyncio.to_thread(_watched, clerk, page)
        for spelling in (BODY.decode("latin1"), "very words", b64(BODY), b64encode(BODY).decode(), BODY.hex()):
            assert spelling not in text, page
        for query in queries:
            assert "ciphertext" not in query.replace('LENGTH("message_log_message"."ciphertext")', ""), page

    assert message in (await clerk.opens(f"message_log/message/?q={message}"))


def _watched(clerk, page):
    with CaptureQueriesContext(connection) as queries:
        text = clerk._get(page, 200)
    return text, [query["sql"] for query in queries.captured_queries]


@pytest.mark.parametrize(
    "page",
    [
        "message_log/message/?ciphertext__startswith=a",
        "accounts/user/?password__startswith=p",
        "accounts/user/?recovery__startswith=p",
    ],
)
async def test_what_is_not_shown_cannot_be_searched_either(clerk, page):
    await clerk.opens(page, status=400)


async def test_staff_cannot_write_where_the_product_does(cast, clerk):
    _, bob, room, message = await conversation(cast)

    for page in (
        "message_log/message/add/",
        f"message_log/message/{message}/delete/",
        f"message_log/mailbox/{bob.id}/delete/",
        "chat/room/add/",
        f"chat/room/{room}/delete/",
        "delivery/queue/add/",
    ):
        await clerk.opens(page, status=403)


async def test_who_has_no_right_sees_nothing(cast, a_clerk):
    *_, message = await conversation(cast)
    clerk = await a_clerk().signs_in()

    for page in ("message_log/message/", "message_log/message/rejections/", f"trace/{message}/", "delivery/queue/"):
        await clerk.opens(page, status=403)


async def test_a_messaging_account_is_no_staff_account(cast, a_clerk):
    alice = await cast.person("alice")

    stranger = a_clerk()
    page = await stranger.chooses("login/", "", "", username=alice.username, password=alice.password)

    assert "Please enter the correct username and password" in page


async def test_the_site_to_view_is_the_web_client_where_there_is_one(clerk, tmp_path, settings):
    settings.WEB_CLIENT_DIR = tmp_path
    assert '<a href="/api/v1/docs">View site</a>' in await clerk.opens("")

    (tmp_path / "index.html").touch()

    assert '<a href="/">View site</a>' in await clerk.opens("")


async def test_a_revoked_phone_hangs_up(cast, clerk):
    alice = await cast.person("alice")
    async with alice.phone.socket() as socket:
        question = await clerk.chooses("accounts/device/", "revoke", alice.phone.id)
        assert "Are you sure?" in question
        assert f"of {alice.username}" in question
        assert (await alice.phone.gets("mailbox"))["last_seq"] == 0

        page = await clerk.chooses("accounts/device/", "revoke", alice.phone.id, confirmed="yes")

        assert "Revoked 1 device." in page
        assert await socket.closed() == 4401
    assert await asyncio.to_thread(lambda: Device.objects.get(id=alice.phone.id).revoked_at)


async def test_mallory_is_suspended_once_staff_are_sure_and_restored_without_a_question(cast, clerk):
    mallory = await cast.person("mallory")

    async def chooses(action, **fields):
        page = await clerk.chooses("accounts/user/", action, mallory.id, **fields)
        suspended = await asyncio.to_thread(lambda: User.objects.get(pk=mallory.id).suspended_at)
        return page, suspended is not None

    question, is_suspended = await chooses("suspend")
    assert not is_suspended
    assert "Are you sure?" in question
    assert f"<li>{mallory.username}</li>" in question

    page, is_suspended = await chooses("suspend", confirmed="yes")
    assert is_suspended
    assert "Suspended 1 user." in page

    page, is_suspended = await chooses("restore")
    assert not is_suspended
    assert "Restored 1 user." in page


async def test_the_backlog_shows_what_waits(cast, clerk):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    async with bob.phone.socket() as socket:
        async with held_queues():
            sent = await alice.sends(room, BODY)
            text = await clerk.opens("delivery/queue/")
            followed = await clerk.opens(f"trace/{sent['id']}/")
        await socket.entry("message", id=sent["id"])

    assert "deliveries wait, the oldest for" in text
    assert "<td>0 8 16 24 32 40 48 56</td>" in text
    assert "Still to be delivered" in followed
    assert "in the mailbox" in await clerk.opens(f"trace/{sent['id']}/")


class TestDeadDeliveries:
    """What was set aside, as the drain sets it aside; here it says that Alice's room has been called to order."""

    async def dead(self, bob):
        payload = '"kind":"room","room":"019ab0c4-0000-7000-8000-000000000001","change":"role","users":[]'
        fields = {"recipients": [bob.id], "kind": Kind.ROOM, "payload": payload, "error": "InternalError: it was full"}
        return await asyncio.to_thread(self._dead, bob.id, fields)

    def _dead(self, user, fields):
        from django.utils import timezone

        from delivery.slots import slot_of

        return Dead.objects.create(pending_id=1, slot=slot_of(user), created_at=timezone.now(), **fields).pk

    async def test_it_is_delivered_after_all_when_staff_try_again(self, cast, clerk):
        bob = await cast.person("bob")
        number = await self.dead(bob)
        assert "it was full" in await clerk.opens("delivery/dead/")

        async with bob.phone.socket() as socket:
            page = await clerk.chooses("delivery/dead/", "retry", number)

            assert "1 delivery waits again" in page
            assert (await socket.entry("room"))["change"] == "role"
        assert not await asyncio.to_thread(Dead.objects.filter(pk=number).exists)

    async def test_it_is_gone_when_staff_delete_it(self, cast, clerk):
        bob = await cast.person("bob")
        number = await self.dead(bob)

        await clerk.chooses("delivery/dead/", "delete_selected", number, post="yes")

        gone = await asyncio.to_thread(lambda: not Dead.objects.filter(pk=number).exists())
        await until(lambda: gone, "the row is gone")
        assert (await bob.phone.gets("mailbox"))["last_seq"] == 0
