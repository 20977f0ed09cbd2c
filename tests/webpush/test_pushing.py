"""Bob's browser is closed, and somebody writes to him."""

import asyncio
import time
from datetime import timedelta

from django.utils import timezone

from accounts import suspension
from delivery.drain import Batch
from delivery.webpush import due, ringing
from delivery.webpush.tasks import ring, ring_missed
from kernel.entries import Origin
from messages import unseen
from tests.cast import ok
from tests.webpush.conftest import acknowledges, arrives, becomes, changes, on_record, rings, settled


async def test_a_closed_browser_is_told_that_there_is_something(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)

    sent = await alice.sends(room, b"a secret of Alice's")
    push = await browser.push()

    assert push.payload == {"v": 1}
    assert push.headers["content-encoding"] == "aes128gcm"
    assert push.headers["ttl"] == "259200"
    assert push.headers["topic"] == "letterlock"
    assert push.headers["urgency"] == "high"
    # Nobody on the way learns who, where or how much.
    said = str(push.headers) + str(push.claims)
    for secret in (sent["id"], room, alice.id, bob.id, bob.phone.id, alice.username, bob.username):
        assert secret not in said
    assert len(push.sealed) == 21 + 65 + len('{"v":1}') + 1 + 16


async def test_it_is_signed_with_the_key_that_browsers_subscribe_with(cast, subscribes, service):
    alice, bob = await cast.people("alice", "bob")
    browser = await subscribes(bob.phone)
    await alice.sends(await alice.direct_room(bob), b"hello")

    claims = (await browser.push()).claims
    key = (await bob.phone.gets("push/key"))["key"]
    assert claims["key"] == key and len(key) == 87
    assert claims["aud"] == service.url
    assert 0 < claims["exp"] - time.time() <= 24 * 3_600
    assert claims["sub"].startswith(("mailto:", "https:"))


async def test_whoever_is_there_is_not_told(cast, subscribes):
    """Bob's phone has a socket and acknowledges; his tablet is closed."""
    alice, bob = await cast.people("alice", "bob")
    tablet = await bob.new_device("tablet")
    room = await alice.direct_room(bob)
    phone_s, tablet_s = await subscribes(bob.phone), await subscribes(tablet)
    async with bob.phone.socket():
        sent = await alice.sends(room, b"hello")
        await tablet_s.push()
        await settled(bob.phone, sent)
    assert phone_s.pushes == []


async def test_one_is_told_once_until_one_comes(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    await alice.sends(room, b"one")
    await browser.push()
    await settled(bob.phone)

    await alice.sends(room, b"two")
    row = await becomes(bob.phone, lambda row: row.due_at and row.due_at == row.quiet_until)
    assert len(browser.pushes) == 1
    assert timedelta(minutes=9) < row.due_at - timezone.now() <= timedelta(minutes=10)

    # Ten minutes later he still has not come.
    past = timezone.now() - timedelta(seconds=1)
    await changes(bob.phone, due_at=past, quiet_until=past)
    await rings(ring)
    await browser.push(2)


async def test_whoever_has_come_and_gone_is_told_again(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    await alice.sends(room, b"one")
    await browser.push()
    await settled(bob.phone)
    await acknowledges(bob.phone)
    await alice.sends(room, b"two")
    await browser.push(2)


async def test_what_one_writes_oneself_is_no_news(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    laptop = await alice.new_device()
    browser = await subscribes(laptop)
    await arrives(laptop, await alice.sends(room, b"from my phone"))
    await rings(ring_missed)
    await settled(laptop)
    assert browser.pushes == []


async def test_rooms_that_one_is_put_into_and_receipts_are_no_news(cast, subscribes):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await alice.direct_room(bob)
    browser = await subscribes(alice.phone)
    await alice.sends(room, b"read me")
    await acknowledges(bob.phone)
    last = (await bob.phone.gets("mailbox", limit=500))["last_seq"]
    await bob.phone.posts(f"rooms/{room}/read", {"seq": last})
    group = await cast.group(carol, alice, bob)
    while group not in str(await alice.phone.gets("mailbox", limit=500)):
        pass
    # Beat finds what is in the mailbox without having been marked, and decides that it is not worth a push.
    await rings(ring_missed)
    await settled(alice.phone)
    assert browser.pushes == []


async def test_what_was_read_on_another_device_is_no_news(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    laptop = await bob.new_device()
    room = await alice.direct_room(bob)
    browser = await subscribes(laptop)
    sent = await alice.sends(room, b"hello")
    async with bob.phone.socket() as socket:
        seq = (await socket.entry("message", id=sent["id"]))["seq"]
        await socket.send("read", room=room, seq=seq)
        await settled(laptop, sent)
    assert browser.pushes == []


async def test_what_a_worker_forgot_beat_finds(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    await settled(bob.phone, await alice.sends(room, b"hello"))
    await browser.push()
    # As if the worker had died before it noted anything.
    await changes(bob.phone, looked_seq=0, rung_seq=0, quiet_until=None, due_at=None)
    await rings(ring_missed)
    await browser.push(2)


async def a_busy_muted_room(carol, bob):
    """Bob gets more from Carol, whose room he has muted, than a look goes through; the last of it."""
    room = await carol.direct_room(bob)
    ok(await bob.phone.http.put(f"rooms/{room}/mute", json={}), 204)
    results = []
    while len(results) <= unseen.MOST:
        written = [carol.phone.message(room, b"psst") for _ in range(100)]
        results += (await carol.phone.posts("messages", {"messages": written}))["results"]
    await arrives(bob.phone, results[-1])
    return results[-1]


async def test_a_busy_muted_room_does_not_hide_what_came_before_it(cast, subscribes):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    await alice.sends(room, b"one")
    await browser.push()
    await settled(bob.phone)

    await arrives(bob.phone, await alice.sends(room, b"two"))
    await a_busy_muted_room(carol, bob)
    await becomes(bob.phone, lambda row: row.due_at and row.due_at == row.quiet_until)
    past = timezone.now() - timedelta(seconds=1)
    await changes(bob.phone, due_at=past, quiet_until=past)
    await rings(ring)
    await browser.push(2)


async def test_a_busy_muted_room_does_not_hide_what_comes_behind_it(cast, subscribes):
    """A look goes through so much of a mailbox; the next begins where it ended, at once."""
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    last = await a_busy_muted_room(carol, bob)
    await settled(bob.phone, last)
    # All of it at once, as after a long time without workers.
    at_first = {"looked_seq": 0, "rung_seq": 0, "quiet_until": None, "due_at": None}
    await changes(bob.phone, **at_first)
    await rings(ring_missed)
    await settled(bob.phone)
    assert browser.tries == 0

    await settled(bob.phone, await alice.sends(room, b"hello"))
    await browser.push()
    await changes(bob.phone, **at_first)
    await rings(ring_missed)
    await browser.push(2)


async def test_who_dies_after_claiming_leaves_it_to_the_next(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    browser = await subscribes(bob.phone)
    later = timezone.now() + timedelta(minutes=2)
    await changes(bob.phone, claimed_until=later)
    await alice.sends(await alice.direct_room(bob), b"hello")
    await becomes(bob.phone, lambda row: row.due_at and row.due_at < timezone.now())
    await rings(ring)
    assert browser.tries == 0
    await changes(bob.phone, claimed_until=timezone.now())
    await rings(ring)
    await browser.push()


async def test_what_comes_during_a_look_is_looked_at_again(cast, subscribes):
    (bob,) = await cast.people("bob")
    await subscribes(bob.phone)
    began = timezone.now() - timedelta(seconds=1)
    await changes(bob.phone, due_at=began, claimed_until=timezone.now() + timedelta(minutes=2))

    await asyncio.to_thread(due.mark, {bob.id})

    assert (await becomes(bob.phone, lambda row: row)).due_at > began
    await changes(bob.phone, due_at=None, claimed_until=None)


# --- what push services answer -----------------------------------------------------------------------------------------


async def test_a_subscription_that_is_gone_is_forgotten(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    for status in (404, 410):
        browser = await subscribes(bob.phone)
        browser.will_answer(status)
        await alice.sends(room, b"hello")
        await browser.tried(1)
        await becomes(bob.phone, lambda row: row is None)


async def test_a_service_that_cannot_now_is_asked_again_later(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    browser.will_answer(429, Retry_After="900")
    await alice.sends(room, b"hello")
    await browser.tried(1)
    row = await becomes(bob.phone, lambda row: row.failures == 1 and row.claimed_until is None)
    assert timedelta(minutes=14) < row.due_at - timezone.now() <= timedelta(minutes=15)
    # Not either because more comes.
    await asyncio.to_thread(due.mark, {bob.id})
    assert (await becomes(bob.phone, lambda row: row)).due_at == row.due_at
    await changes(bob.phone, due_at=timezone.now())
    await rings(ring)
    await browser.push()
    assert (await settled(bob.phone)).failures == 0


def test_the_waits_grow_and_have_an_end():
    waits = [ringing.retry_after(failures, None) for failures in range(1, ringing.GIVE_UP)]
    assert waits[:4] == [timedelta(minutes=minutes) for minutes in (1, 2, 4, 8)]
    assert max(waits) == timedelta(hours=6)
    assert timedelta(days=3) < sum(waits, timedelta()) < timedelta(days=7)
    assert ringing.retry_after(1, 900) == timedelta(minutes=15)
    assert ringing.retry_after(1, 10**9) == timedelta(days=1)


async def test_a_revoked_device_is_not_told(cast, subscribes):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    laptop = await bob.new_device()
    revoked, phone = await subscribes(laptop), await subscribes(bob.phone)
    assert (await bob.phone.http.delete(f"devices/{laptop.id}")).status_code == 204
    await alice.sends(room, b"hello")
    await phone.push()
    await becomes(laptop, lambda row: row is None)
    assert revoked.tries == 0


async def test_who_is_suspended_is_told_once_that_is_over(cast, subscribes):
    """Of what came meanwhile, by the devices that were there before."""
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    browser = await subscribes(bob.phone)
    await on_record(lambda: suspension.suspend(bob.id))
    await alice.sends(room, b"hello")
    # Marked by the drain, and looked at.
    await becomes(bob.phone, lambda row: row.due_at)
    await becomes(bob.phone, lambda row: not row.due_at and not row.claimed_until)
    assert browser.tries == 0

    await on_record(lambda: suspension.restore(bob.id))
    await rings(ring_missed)
    await browser.push()


# --- what it costs -----------------------------------------------------------------------------------------------------


def test_a_drain_asks_nothing_for_it_and_hands_over_names_only(django_db_blocker):
    """A full batch of 320 messages, each to its sender and one other."""
    gathering = due.Gathering()
    gathering._thread = object()  # whoever gathers asks later, not the drain
    origins = [Origin("room", "device", str(n), f"sender {n}") for n in range(320)]
    to = [(user, n, n) for n in range(320) for user in (f"sender {n}", f"recipient {n}")]
    batch = Batch(320, to=to, origins=origins)
    with django_db_blocker.block():
        began = time.thread_time()
        for _ in range(20):
            gathering.drained(batch)
        took = (time.thread_time() - began) / 20
    assert gathering._users == {f"recipient {n}" for n in range(320)}
    assert took < 0.005
