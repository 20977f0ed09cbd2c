"""Sealed sending on the running system: at once where the epoch is at hand, later where it is not, in order either way."""

import asyncio

import pytest

from client import EpochChanged, Message, MessageFailed, Refused, SendRefused
from tests.cast import until
from tests.client.conftest import bodies, has, live, numbered
from tests.client.sealed import PASSWORD, another_device, cast_of, person, problems, reopened
from tests.client.test_receiving import heard


async def test_every_device_of_both_reads_what_alice_sends(people):
    alice, bob = await cast_of(people, "alice", "bob")
    laptops = [await another_device(people, who) for who in (alice, bob)]
    room = await alice.direct_room(bob.me.user)

    await alice.send(room.id, b"hello")
    await laptops[1].send(room.id, "grüß dich".encode())

    for device in (alice, bob, *laptops):
        await has(device, room.id, b"hello", "grüß dich".encode())


@pytest.mark.parametrize("carrier", ["socket", "rest"])
async def test_a_long_queue_that_nothing_is_sealed_for_yet_arrives_in_its_order(people, carrier):
    alice, bob = await person(people, "alice", carrier=carrier), await person(people, "bob")
    room = await alice.direct_room(bob.me.user)

    ids = alice.queue(room.id, *numbered(700))
    later = alice.queue(room.id, b"last")
    await asyncio.gather(*map(alice.accepted, [*ids, *later]))

    assert alice.unsent() == []
    await has(bob, room.id, *numbered(700), b"last")


async def test_what_is_written_offline_without_an_epoch_goes_later_and_rests_sealed(people, tmp_path):
    store = tmp_path / "alice.db"
    alice, bob = await person(people, "alice", store=store), await person(people, "bob")
    room = await alice.direct_room(bob.me.user)
    await alice.disconnect()
    ids = alice.queue(room.id, b"the first secret", b"the second secret")
    assert [(id_, body) for id_, _, body, _ in alice.waiting()] == [
        (ids[0], b"the first secret"), (ids[1], b"the second secret"),
    ]  # fmt: skip
    await alice.close()

    at_rest = b"".join(path.read_bytes() for path in tmp_path.glob("alice.db*"))
    assert b"secret" not in at_rest.replace(b"client_secret", b"")
    alice = await reopened(people, store)
    alice.connect()

    assert [(await alice.accepted(id_)).id for id_ in ids] == ids
    await has(bob, room.id, b"the first secret", b"the second secret")


async def test_what_is_written_offline_under_an_epoch_is_sealed_at_once(people):
    alice, bob = await cast_of(people, "alice", "bob")
    room = await alice.direct_room(bob.me.user)
    await alice.send(room.id, b"one")
    await alice.disconnect()

    alice.queue(room.id, b"two")
    assert alice._store.drafts.waiting()[0].message.is_sealed
    await live(alice)

    await has(bob, room.id, b"one", b"two")
    assert alice.epochs.newest(room.id) == bob.epochs.newest(room.id) == 1


async def test_what_another_device_has_sealed_on_this_store_is_sealed_anew(people):
    alice, bob = await cast_of(people, "alice", "bob")
    room = await alice.direct_room(bob.me.user)
    await alice.send(room.id, b"one")
    username, phone = alice.me.username, alice.me.device
    await alice.disconnect()
    alice.queue(room.id, b"two", b"three")
    await alice.sign_out()

    await alice.sign_in(username, PASSWORD, device_name="phone again")
    assert alice.me.device != phone
    await live(alice)

    await has(bob, room.id, b"one", b"two", b"three")
    await has(alice, room.id, b"one", b"two", b"three")


async def test_what_waits_when_the_members_change_is_sealed_anew(people):
    alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
    group = await alice.create_group([bob.me.user, carol.me.user])
    await alice.send(group.id, b"0")
    await alice.disconnect()
    alice.queue(group.id, *numbered(5)[1:])
    await bob.leave_room(group.id)

    await live(alice)

    await has(carol, group.id, *numbered(5))
    assert alice.epochs.newest(group.id) == 2
    assert set(alice.epochs.readers(group.id)) == {alice.me.user, carol.me.user}


async def test_two_who_make_the_same_epoch_at_once_end_with_one(people):
    """Both have much to send, and each of their devices begins at the same moment, again and again."""
    alice, bob = await cast_of(people, "alice", "bob")
    devices = [alice, bob, *[await another_device(people, who) for who in (alice, bob)]]
    carol = await person(people, "carol")
    group = await alice.create_group([bob.me.user, carol.me.user])
    sent = []
    for turn in range(4):
        for device in devices:
            texts = [f"{turn} {devices.index(device)} {number}".encode() for number in range(25)]
            sent += [(device, id_) for id_ in device.queue(group.id, *texts)]
        if turn % 2 == 0:
            await alice.remove_member(group.id, carol.me.user)
        else:
            await alice.add_members(group.id, [carol.me.user])
    await asyncio.gather(*(device.accepted(id_) for device, id_ in sent))

    for device in devices:
        await until(lambda device=device: len(bodies(device, group.id)) == len(sent))
        assert not any(problems(device, group.id))
        assert bodies(device, group.id) == bodies(alice, group.id)
    for number, _ in enumerate(devices):
        own = [body for body in bodies(alice, group.id) if body.split()[1] == b"%d" % number]
        assert own == sorted(own, key=lambda body: [int(part) for part in body.split()])


async def test_a_clients_messages_are_late_nowhere_while_members_come_and_go(people):
    alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
    group = await alice.create_group([bob.me.user])
    for turn in range(3):
        alice.queue(group.id, *[f"{turn} {number}".encode() for number in range(150)])
        bob.queue(group.id, f"bob {turn}".encode())
        if turn % 2 == 0:
            await alice.add_members(group.id, [carol.me.user])
        else:
            await alice.remove_member(group.id, carol.me.user)
    await until(lambda: not alice.unsent() and not bob.unsent(), patience_s=60)

    await until(lambda: len(bodies(bob, group.id)) == 453)
    assert not any(message.refused for message in bob.messages(group.id, limit=1_000))
    own = [body for body in bodies(bob, group.id) if not body.startswith(b"bob")]
    assert own == [f"{turn} {number}".encode() for turn in range(3) for number in range(150)]


async def test_who_is_not_in_the_room_any_more_learns_that_nothing_goes(people):
    alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
    group = await alice.create_group([bob.me.user, carol.me.user])
    await alice.remove_member(group.id, bob.me.user)
    news = bob.events()

    with pytest.raises(SendRefused) as refused:
        await bob.send(group.id, b"let me in")
    assert refused.value.code == "not_found"

    event = await heard(news, MessageFailed)
    ((id_, room, body, _),) = bob.failed()
    assert (id_, room, body) == (event.message, group.id, b"let me in")
    assert bob.discard(id_)
    direct = await bob.direct_room(carol.me.user)
    await bob.send(direct.id, b"nothing else is held up")


async def test_what_waits_for_its_epoch_can_be_taken_back(people):
    alice, bob = await cast_of(people, "alice", "bob")
    room = await alice.direct_room(bob.me.user)
    await alice.disconnect()
    first, second = alice.queue(room.id, b"no, wait", b"hello")

    assert alice.discard(first)
    await live(alice)

    await has(bob, room.id, b"hello")
    assert (await alice.accepted(second)).room == room.id


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", "invalid"), (b"\xff", "invalid"), (b"x" * 32_600, "too_large"), (b"x" * 40_000, "too_large")],
)
async def test_a_body_that_cannot_be_sealed_is_refused_at_once(people, body, code):
    alice, bob = await cast_of(people, "alice", "bob")
    room = await alice.direct_room(bob.me.user)

    with pytest.raises(Refused) as refused:
        alice.queue(room.id, b"this one would do", body)

    assert refused.value.code == code
    assert alice.unsent() == []
    await alice.send(room.id, b"x" * 32_400)
    await has(bob, room.id, b"x" * 32_400)


async def test_who_can_read_is_told_with_the_epoch(people):
    alice, bob, carol = await cast_of(people, "alice", "bob", "carol")
    group = await alice.create_group([bob.me.user])
    await alice.send(group.id, b"one")
    await has(bob, group.id, b"one")
    await alice.add_members(group.id, [carol.me.user])
    await alice.send(group.id, b"two")
    await has(bob, group.id, b"one", b"two")
    await alice.remove_member(group.id, carol.me.user)
    await alice.send(group.id, b"three")
    await has(bob, group.id, b"one", b"two", b"three")

    changes = [event for event in bob.mailbox() if isinstance(event, EpochChanged)]
    assert [(change.epoch, change.creator) for change in changes] == [(n, alice.me.user) for n in (1, 2, 3)]
    assert [(change.added, change.removed) for change in changes] == [
        ((), ()), ((carol.me.user,), ()), ((), (carol.me.user,)),
    ]  # fmt: skip
    assert bob.reader_changes(group.id) == changes[::-1]
    kinds = [type(event) for event in bob.mailbox() if isinstance(event, EpochChanged | Message)]
    assert kinds == [EpochChanged, Message] * 3


async def test_a_new_epoch_can_be_asked_for(people):
    alice, bob = await cast_of(people, "alice", "bob")
    room = await alice.direct_room(bob.me.user)
    await alice.send(room.id, b"one")

    alice.epochs.renew(room.id)
    await alice.send(room.id, b"two")

    await has(bob, room.id, b"one", b"two")
    assert bob.epochs.newest(room.id) == 2
