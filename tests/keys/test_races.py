"""Keys change while epochs are made and messages are sent: whoever comes first, nothing is sealed to old keys unnoticed."""

import asyncio
import threading
import time
from uuid import UUID

import pytest
from django.db import connection, transaction

from accounts import holders
from accounts.models import UserKeys
from chat import rooms
from chat.models import Room as RoomRow
from tests.cast import b64
from tests.epochs.maker import Room
from tests.keys.keyring import Keyring

SEALED = {"alg": "chat.e2ee.v1", "epoch": 1}
BODY = bytes(156)


async def test_an_epoch_is_for_the_newest_keys_or_outdated(cast):
    """The first epoch of a room, made while one of the two changes the encryption key."""
    alice, bob = [Keyring(person) for person in await cast.people("alice", "bob")]
    for keys in (alice, bob):
        await keys.sets_up()
    outcomes = set()
    for _ in range(12):
        circle = Room(await cast.group(alice.person, bob.person), alice, bob)
        body = circle.body(alice)
        vault = bob.vault()
        envelope = bob.envelope(bob.document(uek=bob.rotated()))
        step, (status, code, _answer) = await asyncio.gather(
            bob.tries(envelope, vault=vault), circle.tries(alice, body)
        )
        assert step.status_code == 200
        bob.took(envelope, vault)
        row = await RoomRow.objects.aget(pk=circle.id)
        if status == 201:
            assert row.stale == RoomRow.Stale.KEYS
        else:
            assert (code, row.epoch) == ("userkeys_changed", 0)
        outcomes.add(code or status)
    assert outcomes


class ChangesKeys:
    """Somebody in the middle of a change of keys, which ends with the block."""

    def __init__(self, keys):
        self._keys = keys
        self._holding, self._done = threading.Event(), threading.Event()

    async def __aenter__(self):
        self._changing = asyncio.create_task(asyncio.to_thread(self._change))
        await asyncio.to_thread(self._holding.wait, 10)
        return self

    async def __aexit__(self, *_):
        self._done.set()
        await self._changing

    def _change(self):
        user = UUID(self._keys.person.id)
        with transaction.atomic():
            holders.lock(user, UUID(self._keys.person.phone.id))
            UserKeys.objects.filter(user_id=user).update(uek_version=2)
            self._holding.set()
            self._done.wait(10)
            rooms.user_rekeyed(user)
        connection.close()


async def test_an_epoch_for_keys_that_are_being_changed_is_outdated(cast):
    """Whoever makes it does not wait: the change, which comes behind, outdates it."""
    alice, bob = [Keyring(person) for person in await cast.people("alice", "bob")]
    for keys in (alice, bob):
        await keys.sets_up()
    circle = Room(await cast.group(alice.person, bob.person), alice, bob)

    async with ChangesKeys(bob):
        await circle.begins(alice)

    assert (await RoomRow.objects.aget(pk=circle.id)).stale == RoomRow.Stale.KEYS


@pytest.mark.parametrize("way", ["added", "in a new group", "in a direct room"])
async def test_nobody_comes_into_a_room_in_the_middle_of_a_change_of_keys(cast, way):
    """The change would not see the room, and an epoch made there for the old keys would stay."""
    alice, bob, carol = [Keyring(person) for person in await cast.people("alice", "bob", "carol")]
    for keys in (alice, bob, carol):
        await keys.sets_up()
    circle = await cast.group(alice.person, carol.person)
    path, body = {
        "added": (f"rooms/{circle}/members", {"users": [bob.person.id]}),
        "in a new group": ("rooms", {"kind": "group", "members": [bob.person.id]}),
        "in a direct room": ("rooms", {"kind": "direct", "peer": bob.person.id}),
    }[way]

    async with ChangesKeys(bob):
        coming = asyncio.create_task(alice.person.phone.http.post(path, json=body))
        await asyncio.to_thread(until_somebody_waits, "FROM accounts_user WHERE")
        assert not coming.done()
    assert (await coming).is_success


def until_somebody_waits(statement):
    """Until somebody waits for a lock with this statement."""
    deadline = time.monotonic() + 10
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
    with connection.cursor() as cursor:
        while cursor.execute(asked, [f"%{statement}%"]) or not cursor.fetchone()[0]:
            assert time.monotonic() < deadline, "nobody waits"
            time.sleep(0.01)
    connection.close()


async def test_nothing_is_taken_under_an_epoch_for_old_keys(cast):
    """Once a new encryption key is answered, no message under the epoch before is accepted, over REST or a socket."""
    alice, bob = [Keyring(person) for person in await cast.people("alice", "bob")]
    for keys in (alice, bob):
        await keys.sets_up()
    room = Room(await bob.person.direct_room(alice.person), alice, bob)
    await room.begins(alice)
    assert (await alice.person.phone.tries(room.id, BODY, **SEALED)).status_code == 200
    stop = asyncio.Event()

    async def sends():
        """Until it is refused; the answers."""
        answers = []
        while not stop.is_set():
            answers.append(await alice.person.phone.tries(room.id, BODY, **SEALED))
            if answers[-1].status_code != 200:
                break
        return answers

    sending = asyncio.create_task(sends())
    await bob.rotates()
    first_after = await alice.person.phone.tries(room.id, BODY, **SEALED)
    stop.set()
    *accepted, last = await sending
    assert first_after.status_code == 409
    problem = first_after.json()
    assert (problem["code"], problem["stale"], problem["reasons"]) == ("epoch_stale", True, ["keys"])
    assert all(answer.status_code == 200 for answer in accepted)
    assert last.status_code in (200, 409)


async def test_a_revoked_device_sends_nothing_from_that_moment(cast):
    alice = Keyring(await cast.person("alice"))
    await alice.sets_up()
    bob = Keyring(await cast.person("bob"))
    await bob.sets_up()
    laptop = await alice.adds()
    room = Room(await bob.person.direct_room(alice.person), alice, bob)
    await room.begins(alice)
    assert (await laptop.tries(room.id, BODY, **SEALED)).status_code == 200

    await alice.puts(alice.document(alice.without(laptop)))
    answer = await laptop.tries(room.id, BODY, **SEALED)
    assert answer.status_code in (401, 403)
    # Who is not listed (yet) is told so.
    tablet = await alice.person.new_device("tablet")
    assert (await tablet.tries(room.id, BODY, **SEALED)).json()["code"] == "device_not_listed"


async def test_many_changes_of_many_at_once_end(cast):
    """Contacts with rooms in common change their keys at once, again and again: nobody waits for each other for ever."""
    people = [Keyring(person) for person in await cast.people("alice", "bob", "carol", "dave")]
    for keys in people:
        await keys.sets_up()
    for one in people:
        for other in people:
            if one.person.id < other.person.id:
                await one.person.direct_room(other.person)
    circles = [Room(await cast.group(*[keys.person for keys in people]), *people) for _ in range(3)]
    for circle in circles:
        await circle.begins(people[0])

    async def changes(keys):
        for _ in range(5):
            vault = keys.vault()
            envelope = keys.envelope(keys.document(uek=keys.rotated()))
            answer = await keys.tries(envelope, vault=vault)
            assert answer.status_code == 200, answer.text
            keys.took(envelope, vault)

    await asyncio.gather(*[changes(keys) for keys in people])
    assert [keys.seq for keys in people] == [6] * 4
    assert b64(people[0].last) != b64(people[1].last)
