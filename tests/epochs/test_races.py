"""Members come and go while an epoch is made: it is for those who are in, or outdated, whoever comes first."""

import asyncio

import pytest

from chat.models import Room as StoredRoom
from tests.epochs.maker import Room


async def stale_of(room):
    return (await StoredRoom.objects.aget(id=room.id)).stale


@pytest.mark.parametrize("turn", range(6))
async def test_somebody_is_put_out_meanwhile(cast, alice, bob, turn):
    room = Room(await cast.group(alice.person, bob.person), alice, bob)
    path = f"rooms/{room.id}/members/{bob.person.id}"
    making, removing = room.tries(alice), alice.person.phone.http.delete(path)
    # Started in either order: which one has the room first is chance.
    one, other = await asyncio.gather(*([making, removing] if turn % 2 else [removing, making]))
    (status, code, _), removed = (one, other) if turn % 2 else (other, one)

    assert removed.status_code == 204
    if status == 201:
        assert await stale_of(room) == StoredRoom.Stale.LEFT
    else:
        assert (code, await stale_of(room)) == ("members_changed", 0)


@pytest.mark.parametrize("turn", range(6))
async def test_somebody_comes_meanwhile(cast, alice, bob, mallory, turn):
    room = Room(await cast.group(alice.person, bob.person), alice, bob)
    coming = alice.person.phone.http.post(f"rooms/{room.id}/members", json={"users": [mallory.person.id]})
    making = room.tries(bob)
    one, other = await asyncio.gather(*([making, coming] if turn % 2 else [coming, making]))
    (status, code, _), came = (one, other) if turn % 2 else (other, one)

    assert came.status_code == 200
    if status == 201:
        assert await stale_of(room) == StoredRoom.Stale.JOINED
    else:
        assert (code, await stale_of(room)) == ("members_changed", 0)


async def test_who_is_put_out_makes_none(cast, alice, bob):
    """However many attempts are on their way."""
    room = Room(await cast.group(alice.person, bob.person), alice, bob)
    await room.begins(alice)
    attempts = [room.tries(bob, room.body(bob)) for _ in range(9)]
    answers = await asyncio.gather(
        alice.person.phone.http.delete(f"rooms/{room.id}/members/{bob.person.id}"), *attempts
    )

    assert (await room.tries(bob))[:2] == (404, "not_found")
    assert [status for status, _, _ in answers[1:]].count(201) <= 1
    assert {code for _, code, _ in answers[1:]} <= {"", "epoch_exists", "not_found"}
    assert await stale_of(room) == StoredRoom.Stale.LEFT
