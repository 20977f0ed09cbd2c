"""`manage.py trace`: where a message is, at every step of its way."""

import asyncio
import io
import json
import sys

import pytest
from django.core.management import CommandError, call_command

from tests.cast import new_id
from tests.staff.holding import held_queues


async def trace(message):
    """What the command says in JSON."""
    out = io.StringIO()
    await asyncio.to_thread(call_command, "trace", message, "--json", stdout=out)
    return json.loads(out.getvalue())


def copy_of(found, person):
    """One recipient's line."""
    return next(copy for copy in found["copies"] if copy["user"] == person.id)


async def test_it_follows_a_message_to_the_end(cast):
    alice, bob = await cast.people("alice", "bob")
    laptop = await bob.new_device("laptop")
    room = await alice.direct_room(bob)

    async with held_queues():
        sent = await alice.sends(room, b"hello")
        waiting = await trace(sent["id"])
    assert {copy["where"] for copy in waiting["copies"]} == {"waiting"}
    assert {user for row in waiting["waiting"] for user in row["recipients"]} == {alice.id, bob.id}
    assert all(row["queue"].startswith("recipients.") for row in waiting["waiting"])

    async with bob.phone.socket(acks=False) as socket:
        entry = await socket.entry("message", id=sent["id"])
        delivered = copy_of(await trace(sent["id"]), bob)
        assert (delivered["where"], delivered["seq"], delivered["read"]) == ("in the mailbox", entry["seq"], False)
        assert not any(device["acknowledged"] for device in delivered["devices"])

    await bob.phone.posts("mailbox/ack", {"seq": entry["seq"]})
    await laptop.posts(f"rooms/{room}/read", {"seq": entry["seq"]})
    done = await trace(sent["id"])
    assert (done["accepted_at"], done["sender"], done["device"], done["room"]) == (
        sent["accepted_at"],
        alice.id,
        alice.phone.id,
        room,
    )
    assert {d["name"]: d["acknowledged"] for d in copy_of(done, bob)["devices"]} == {"phone": True, "laptop": False}
    assert copy_of(done, bob)["read"]
    assert done["waiting"] == []


async def test_it_names_who_refused(cast):
    alice, bob = await cast.people("alice", "bob")
    room = await alice.direct_room(bob)
    first = alice.phone.message(room, b"second thought")
    late = alice.phone.message(room, b"first thought", sent_at=first["sent_at"] - 1)
    async with bob.phone.socket() as socket:
        await alice.phone.posts("messages", {"messages": [first, late]})
        await socket.entry("message", id=late["id"])
        await bob.phone.posts(f"messages/{late['id']}/reject", {"later": first["id"]})

    refusal = copy_of(await trace(late["id"]), bob)["refusal"]

    assert (refusal["reason"], refusal["later"]) == ("late", first["id"])


async def test_it_finds_who_has_left_since(cast):
    alice, bob, carol = await cast.people("alice", "bob", "carol")
    room = await cast.group(alice, bob, carol)
    async with carol.phone.socket() as socket:
        sent = await alice.sends(room, b"hello")
        await socket.entry("message", id=sent["id"])
    await carol.phone.http.post(f"rooms/{room}/leave", json={})

    found = await trace(sent["id"])

    assert {copy["user"] for copy in found["copies"]} == {alice.id, bob.id, carol.id}
    assert found["members_now"] == 2


async def test_the_page_for_people_never_says_what_was_said(cast, monkeypatch):
    alice, bob = await cast.people("alice", "bob")
    sent = await alice.sends(await alice.direct_room(bob), b"the very words")
    page = io.StringIO()
    monkeypatch.setattr(sys, "stdout", page)

    await asyncio.to_thread(call_command, "trace", sent["id"])

    assert sent["id"] in page.getvalue()
    assert alice.username in page.getvalue()
    assert "dGhlIHZlcnkgd29yZHM" not in page.getvalue()
    assert "very words" not in page.getvalue()


@pytest.mark.parametrize("message", [new_id(), "no id at all"], ids=["unknown", "no id"])
async def test_an_unknown_message_is_an_error(message):
    with pytest.raises(CommandError) as error:
        await trace(message)

    assert error.value.returncode == 1
