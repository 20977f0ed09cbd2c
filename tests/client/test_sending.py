"""Sending with the Python client: accepted means committed, and what is queued goes, once and in order."""

import asyncio
import time

import pytest

from client import MessageFailed, MessageRenewed, Refused, SendRefused, SignedOut
from tests.cast import until
from tests.client.conftest import has, live, numbered

DAY_MS = 86_400_000


async def test_every_device_of_both_gets_what_alice_sends(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    alices_laptop, bobs_laptop = [await live(await people.another_device(who)) for who in (alice, bob)]
    room = await alice.direct_room(bob.me.user)

    accepted = await alice.send(room.id, b"hello")

    assert (accepted.room, accepted.sender, accepted.recipient) == (room.id, alice.me.user, bob.me.user)
    for device in (alice, alices_laptop, bob, bobs_laptop):
        await has(device, room.id, b"hello")


@pytest.mark.parametrize("carrier", ["socket", "rest"])
async def test_a_long_queue_arrives_in_its_order(people, carrier):
    alice, bob = await people.person("alice", carrier=carrier), await people.person("bob")
    room = await alice.direct_room(bob.me.user)

    ids = alice.queue(room.id, *numbered(600))
    await asyncio.gather(*map(alice.accepted, ids))

    assert alice.unsent() == []
    await has(bob, room.id, *numbered(600))


async def test_what_is_written_offline_goes_later(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    await alice.disconnect()

    ids = alice.queue(room.id, b"one", b"two")
    assert alice.unsent() == ids
    alice.connect()

    await has(bob, room.id, b"one", b"two")
    await until(lambda: not alice.unsent())


async def test_what_is_queued_survives_the_process(people, tmp_path):
    store = tmp_path / "alice.db"
    alice, bob = await people.person("alice", store=store), await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    await alice.disconnect()
    ids = alice.queue(room.id, b"one", b"two")
    await alice.close()

    again = await live(await people.opens(store))

    assert [(await again.accepted(id_)).id for id_ in ids] == ids
    await has(bob, room.id, b"one", b"two")


@pytest.mark.parametrize("carrier", ["socket", "rest"])
async def test_a_network_that_breaks_again_and_again_neither_loses_nor_doubles(people, carrier):
    alice, bob = await people.person("alice", carrier=carrier), await people.person("bob")
    room = await alice.direct_room(bob.me.user)

    for start in range(0, 900, 300):
        sockets = alice.connects
        ids = alice.queue(room.id, *numbered(900)[start : start + 300])
        await alice.accepted(ids[30])  # in the middle of it
        alice.drop()
        bob.drop()
        await until(lambda before=sockets: alice.connects > before)

    await until(lambda: not alice.unsent())
    await has(bob, room.id, *numbered(900))


async def test_two_rooms_do_not_wait_for_each_other(people):
    alice, bob, carol = [await people.person(name) for name in ("alice", "bob", "carol")]
    with_bob, with_carol = await alice.direct_room(bob.me.user), await alice.direct_room(carol.me.user)

    alice.queue(with_bob.id, *numbered(300))
    await alice.send(with_carol.id, b"hello")

    await has(carol, with_carol.id, b"hello")
    await has(bob, with_bob.id, *numbered(300))


@pytest.mark.parametrize("carrier", ["socket", "rest"])
async def test_a_refusal_for_good_is_told_and_kept_and_holds_up_nothing(people, carrier):
    alice, bob, carol = [await people.person(name, carrier=carrier) for name in ("alice", "bob", "carol")]
    group = await alice.create_group([bob.me.user, carol.me.user])
    await alice.remove_member(group.id, bob.me.user)
    direct = await bob.direct_room(carol.me.user)
    news = bob.events()

    with pytest.raises(SendRefused) as refused:
        await bob.send(group.id, b"let me in")
    assert refused.value.code == "not_found"
    await bob.send(direct.id, b"hello")

    event = await anext(event async for event in news if isinstance(event, MessageFailed))
    assert event.message == refused.value.message
    ((id_, room, body, problem),) = bob.failed()
    assert (id_, room, body, problem.status) == (event.message, group.id, b"let me in", 404)
    assert bob.discard(id_)
    assert bob.failed() == []


async def test_a_clock_set_back_makes_no_message_late(people):
    set_back_ms = 0
    alice = await people.person("alice", now_ms=lambda: time.time_ns() // 1_000_000 - set_back_ms)
    bob = await people.person("bob")
    room = await alice.direct_room(bob.me.user)

    for set_back_ms in (0, 90_000, 3_000_000):
        await alice.send(room.id, b"%d" % set_back_ms)

    await has(bob, room.id, b"0", b"90000", b"3000000")
    stamps = [message.sent_at for message in reversed(bob.messages(room.id))]
    assert stamps == sorted(set(stamps))
    assert not any(message.refused for message in bob.messages(room.id))


@pytest.mark.parametrize("carrier", ["socket", "rest"])
async def test_what_waited_for_more_than_a_day_goes_under_another_id_in_its_order(people, carrier):
    off_ms = -2 * DAY_MS
    alice = await people.person("alice", carrier=carrier, now_ms=lambda: time.time_ns() // 1_000_000 + off_ms)
    bob = await people.person("bob")
    room = await alice.direct_room(bob.me.user)
    await alice.disconnect()
    news = alice.events()

    ids = alice.queue(room.id, b"one", b"two")
    off_ms = 0
    alice.connect()

    answers = [await alice.accepted(id_) for id_ in ids]
    renewed = [await anext(event async for event in news if isinstance(event, MessageRenewed)) for _ in ids]
    assert [(event.message, event.renewed) for event in renewed] == list(zip(ids, [answer.id for answer in answers]))
    assert set(ids).isdisjoint(event.renewed for event in renewed)
    await has(bob, room.id, b"one", b"two")
    assert (alice.unsent(), alice.failed()) == ([], [])
    assert not any(message.refused for message in bob.messages(room.id))


async def test_a_clock_that_is_a_month_ahead_keeps_nobody_from_sending(people):
    off_ms = 30 * DAY_MS
    alice = await people.person("alice", now_ms=lambda: time.time_ns() // 1_000_000 + off_ms)
    bob = await people.person("bob")
    room = await alice.direct_room(bob.me.user)

    await alice.send(room.id, b"from the future")
    off_ms = 0
    await alice.send(room.id, b"from now")

    await has(bob, room.id, b"from the future", b"from now")
    assert not any(message.refused for message in bob.messages(room.id))


@pytest.mark.parametrize(("body", "code"), [(b"", "invalid"), (b"x" * 32_769, "too_large")])
async def test_a_body_that_no_server_takes_is_refused_at_once(people, body, code):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.direct_room(bob.me.user)

    with pytest.raises(Refused) as refused:
        alice.queue(room.id, b"this one would do", body)

    assert refused.value.code == code
    assert alice.unsent() == []
    await alice.send(room.id, b"x" * 32_768)
    await has(bob, room.id, b"x" * 32_768)


async def test_nobody_sends_without_a_sign_in(people):
    nobody = await people.opens()

    with pytest.raises(SignedOut):
        nobody.queue("019ab0c4-0000-7000-8000-000000000001", b"hello")
    with pytest.raises(SignedOut):
        nobody.connect()
