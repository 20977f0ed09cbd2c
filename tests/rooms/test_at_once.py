"""Many changes of one room at once: each is made under the room's lock, so everybody sees them in one order."""

import asyncio
import threading
import time
from uuid import UUID

from django.db import connection, transaction

from chat import rooms
from tests.cast import until


async def versions(device, room):
    """`members_version` of each room entry in the device's mailbox, in order."""
    found, after = [], 0
    while after is not None:
        page = await device.gets("mailbox", after=after, limit=500)
        found += [e["members_version"] for e in page["entries"] if e["kind"] == "room" and e["room"] == room]
        after = page["next"]
    return found


async def test_every_change_has_a_version_of_its_own_and_all_see_one_order(cast, system):
    alice, bob, carol, *others = await cast.people("alice", "bob", "carol", *(f"guest{number}" for number in range(6)))
    room = await cast.group(alice, bob, carol)
    doors = [cast.http(alice.phone.access, url) for url in system.urls]

    async def comes_and_goes(number, person):
        door = doors[number % len(doors)]
        for _ in range(3):
            assert (await door.post(f"rooms/{room}/members", json={"users": [person.id]})).status_code == 200
            assert (await door.delete(f"rooms/{room}/members/{person.id}")).status_code == 204

    async def is_promoted(person):
        for role in ("admin", "member") * 3:
            answer = await doors[0].patch(f"rooms/{room}/members/{person.id}", json={"role": role})
            assert answer.status_code == 200

    await asyncio.gather(*(comes_and_goes(*pair) for pair in enumerate(others)), is_promoted(bob))

    expected = 1 + 6 * len(others) + 6
    after = await alice.phone.gets(f"rooms/{room}")
    assert after["members_version"] == expected
    assert {member["user"] for member in after["members"]} == {alice.id, bob.id, carol.id}
    for person in (alice, bob, carol):
        async with asyncio.timeout(20):
            while len(seen := await versions(person.phone, room)) < expected:
                await asyncio.sleep(0.05)
        assert seen == list(range(1, expected + 1))


async def test_of_many_hand_overs_at_once_one_wins_and_the_room_has_one_owner(cast):
    alice, bob, carol, dave = await cast.people("alice", "bob", "carol", "dave")
    room = await cast.group(alice, bob, carol, dave)

    answers = await asyncio.gather(
        *(alice.phone.http.post(f"rooms/{room}/owner", json={"user": heir.id}) for heir in (bob, carol, dave))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 403, 403]
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert await alice.phone.gets(f"rooms/{room}") == won
    assert [member["role"] for member in won["members"]].count("owner") == 1


class Removal(threading.Thread):
    """A removal by the server's own code that has done everything but commit."""

    def __init__(self, by, room, user):
        super().__init__()
        self.by, self.room, self.user = UUID(by.id), UUID(room), UUID(user.id)
        self.is_done, self.may_commit = threading.Event(), threading.Event()

    def run(self):
        try:
            with transaction.atomic():
                rooms.remove_member(self.by, self.room, self.user)
                self.is_done.set()
                self.may_commit.wait(30)
        finally:
            connection.close()


WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name = 'letterlock intake'
"""


def somebody_waits_for_a_room(patience_s=10):
    """Look until an intake of the system waits for somebody's lock."""
    deadline = time.monotonic() + patience_s
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return True
    return False


async def test_a_send_waits_for_a_removal_that_is_not_yet_committed(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await cast.group(alice, bob)
    await bob.sends(room, b"the room is in the cache now")
    removal = Removal(alice, room, bob)
    removal.start()
    await until(removal.is_done.is_set)

    message = bob.phone.message(room, b"at the same moment")
    send = asyncio.create_task(bob.phone.http.post("messages", json=message))
    try:
        assert await asyncio.to_thread(somebody_waits_for_a_room)
        assert not send.done()
    finally:
        removal.may_commit.set()
        removal.join()
    answer = await send
    if answer.status_code == 503:  # it waited too long, and repeats
        answer = await bob.phone.http.post("messages", json=message)

    assert answer.status_code == 404
