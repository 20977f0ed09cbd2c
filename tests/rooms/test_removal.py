"""Once a removal is answered, the removed member posts nothing more: in neither process, however the sends are timed."""

import asyncio
import time

import pytest

from tests.cast import until


async def keeps_sending(device, room, http, stop, answers):
    """Send one after the other until told to stop; collects (when it was sent, the answer)."""
    while not stop.is_set():
        sent_at = time.monotonic()
        answers.append((sent_at, await http.post("messages", json=device.message(room, b"still here"))))


@pytest.mark.parametrize("before", [10, 25, 40])
async def test_nothing_is_accepted_after_the_removal_was_answered(cast, system, before):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await cast.group(alice, bob, carol)
    doors = [cast.http(bob.phone.access, url) for url in system.urls for _ in range(3)]
    stop = asyncio.Event()
    answers = []
    senders = [asyncio.create_task(keeps_sending(bob.phone, room, door, stop, answers)) for door in doors]
    # By then both processes have the room cached.
    await until(lambda: len(answers) >= before)

    # The removal goes to the second process, the cast's own requests to the first.
    answer = await cast.http(alice.phone.access, system.urls[-1]).delete(f"rooms/{room}/members/{bob.id}")
    removed_at = time.monotonic()
    assert answer.status_code == 204
    after = [await door.post("messages", json=bob.phone.message(room, b"and now?")) for door in doors]
    stop.set()
    await asyncio.gather(*senders)

    assert {refused.status_code for refused in after} == {404}
    assert {answer.status_code for _, answer in answers} == {200, 404}
    accepted = [answer.json()["id"] for _, answer in answers if answer.status_code == 200]
    assert len(accepted) >= before
    assert all(answer.status_code == 404 for sent_at, answer in answers if sent_at > removed_at)
    # What was accepted was so before the removal: nothing of it stands behind the removal in anybody's mailbox.
    entries = await mailbox_until_removed(carol.phone)
    kinds = [entry.get("change") or entry["id"] for entry in entries]
    assert kinds[0] == "created"
    assert kinds[-1] == "removed"
    assert sorted(kinds[1:-1]) == sorted(accepted)


async def mailbox_until_removed(device):
    """The whole mailbox, once the removal has arrived and nothing comes behind it."""
    async with asyncio.timeout(20):
        while True:
            entries, after = [], 0
            while after is not None:
                page = await device.gets("mailbox", after=after, limit=500)
                entries += page["entries"]
                after = page["next"]
            if any(entry.get("change") == "removed" for entry in entries):
                return entries
            await asyncio.sleep(0.02)


async def test_what_was_accepted_before_is_answered_as_then_even_after_the_removal(cast, system):
    alice, bob = await cast.people("alice", "bob")
    room = await cast.group(alice, bob)
    message = bob.phone.message(room, b"once")
    first = await bob.phone.posts("messages", message)
    assert (await alice.phone.http.delete(f"rooms/{room}/members/{bob.id}")).status_code == 204

    for url in system.urls:
        again = await cast.http(bob.phone.access, url).post("messages", json=message)
        assert (again.status_code, again.json()) == (200, first)


async def test_whoever_is_brought_in_posts_at_once_in_either_process(cast, system):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await cast.group(alice, bob)
    doors = [cast.http(carol.phone.access, url) for url in system.urls]
    # Both processes learn that Carol is not in it.
    assert {(await door.post("messages", json=carol.phone.message(room, b"?"))).status_code for door in doors} == {404}

    await alice.phone.posts(f"rooms/{room}/members", {"users": [carol.id]})

    assert {(await door.post("messages", json=carol.phone.message(room, b"!"))).status_code for door in doors} == {200}
