"""The main stories on the screen, typed and read in 80 by 24."""

import json
import re
from contextlib import AsyncExitStack

from accounts import suspension
from client import State
from client.cli.keywords import key_groups
from client.cli.tui.chat import Chat
from client.cli.tui.lists import Transcript
from tests.cast import until
from tests.cli.conftest import PASSWORD, People, connected, set_clock_back, terminal
from tests.webpush.conftest import on_record


async def test_alice_signs_up_and_writes_to_bob(people):
    bob, device = await people.person("bob"), await people.device()
    async with terminal(device) as screen:
        await screen.sees("Sign in", "Sign up", "Server: http://127.0.0.1")
        await screen.types("", "down", "enter")
        await screen.sees("User name", "The same password again")
        name = f"alice.{bob.name[-8:]}"
        for line in (name, "password1", "password1"):
            await screen.says(line)
        await screen.sees("too weak", "Sign up")
        for line in (PASSWORD, PASSWORD):
            await screen.says(line)
        await screen.sees("Write this down on paper", "To confirm, type the groups")
        key = device.client.keys.recovery_key
        assert all(group in screen.text for group in key_groups(key))
        await screen.says("abcd efgh")
        await screen.sees("that is not what stands there")
        first, second = map(int, re.findall(r"groups (\d+) and (\d+)", screen.text)[0])
        await screen.types("", "ctrl+u")
        await screen.says(f"{key_groups(key)[first - 1]} {key_groups(key)[second - 1]}")
        await screen.sees("● live", f"You are {name}")
        assert device.client.keys.recovery_key is None

        await screen.says(f"/chat {bob.name}")
        await screen.sees("you began the conversation")
        await screen.says("Hello, Bob!")

        await screen.sees("Hello, Bob!", "✓✓", "you began the conversation")
        (room,) = bob.client.known_rooms() or await bob.client.rooms()
        await bob.client.send(room.id, "Hello, Älice! 日本".encode())
        await screen.sees("Hello, Älice! 日本")
        await until(lambda: bob.client.unread(room.id) == 1)
        bob.client.read(room.id, bob.client.stored)
        await screen.sees("✓✓ read")
        assert device.place.notes.stat().st_mode & 0o777 == 0o600


async def test_alice_is_suspended_and_restored(people):
    alice = await people.person("alice")
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await on_record(lambda: suspension.suspend(alice.client.me.user))
        await screen.sees("✗ stopped: this account is suspended by the server's staff")
        assert alice.client.is_signed_in

        await on_record(lambda: suspension.restore(alice.client.me.user))
        await until(lambda: alice.client.state is State.STOPPED)
        while "● live" not in screen.text:  # a process hears of it within two seconds
            await screen.says("/connect")


async def test_alice_signs_in_and_finds_what_was_said(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    for number in range(150):
        await bob.client.send(room.id, b"line %d" % number) if number == 149 else bob.client.queue(
            room.id, b"line %d" % number
        )
    device = await people.device()
    async with terminal(device) as screen:
        await screen.types("", "enter")
        await screen.says(alice.name)
        await screen.says("not the password at all")
        await screen.sees("user name and password do not belong together")
        await screen.says(PASSWORD)
        await screen.sees("line 149", "● live", "150 unread")

        await screen.types("", "ctrl+n")
        await screen.sees("  line 149")
        for _ in range(12):
            await screen.types("", "pageup")
        await screen.sees("line 0", "150 new")
        await screen.types("", "ctrl+end")
        await screen.sees("line 149")


async def test_what_is_written_offline_waits_and_goes(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await alice.client.disconnect()
        await screen.sees("○ offline")

        await screen.says("written in a tunnel")

        await screen.sees("written in a tunnel", "…", "○ offline, 1 waiting")
        assert bob.client.messages(room.id) == []
        await screen.says("/connect")
        await screen.sees("● live", "✓✓")
        await until(lambda: [m.body for m in bob.client.messages(room.id)] == [b"written in a tunnel"])
        await screen.sees_no("waiting")


async def test_what_waits_can_be_discarded(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await alice.client.disconnect()
        await screen.says("better not")
        await screen.sees("1 waiting")

        await screen.says("/discard")

        await screen.sees_no("better not")
        assert alice.client.unsent() == []


async def test_bob_is_seen_writing(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        bob.client.typing(room.id)
        await screen.sees(f"{bob.name} is writing…")
        await bob.client.send(room.id, b"there")
        await screen.sees_no("is writing…")


async def test_two_devices_disagree_about_a_block_and_alice_decides(people):
    alice, mallory = await people.person("alice"), await people.person("mallory")
    tablet = await people.another_device(alice)
    await alice.client.connections.block(mallory.client.me.user)
    await connected(tablet)
    await tablet.client.connections.sync()
    await tablet.client.disconnect()
    tablet.client.connections.unblock(mallory.name)  # pressed offline
    await alice.client.connections.unblock(mallory.name)
    await alice.client.connections.block(mallory.name)

    async with terminal(tablet) as screen:
        await screen.sees(
            f"You asked to unblock {mallory.name}.", "your device “phone” has changed this",
            "Now:           blocked by you", "As you asked:  no contact",
            "Leave it as it is now", f"Unblock {mallory.name} all the same",
        )  # fmt: skip
        assert tablet.client.connections.get(mallory.client.me.user).blocked
        await screen.types("", "enter")
        await until(lambda: not tablet.client.connections.waiting())
        assert tablet.client.connections.get(mallory.client.me.user).blocked

    await tablet.client.disconnect()
    tablet.client.connections.unblock(mallory.name)
    await alice.client.connections.unblock(mallory.name)
    await alice.client.connections.block(mallory.name)
    async with terminal(tablet) as screen:
        await screen.sees("all the same")
        await screen.types("", "down", "enter")
        await until(lambda: not alice.client.connections.get(mallory.client.me.user).blocked)


async def test_a_block_waits_for_a_device_that_does_not_know_it(restricted, tmp_path):
    async with AsyncExitStack() as closing:
        people = People(restricted.url, tmp_path, closing)
        alice, mallory = await people.person("alice"), await people.person("mallory")
        tablet = await people.another_device(alice)
        await tablet.client.connections.sync()
        await alice.client.connections.block(mallory.client.me.user)
        async with terminal(alice) as screen:
            await screen.sees("● live")
            await screen.says(f"/unblock {mallory.name}")
            await screen.sees(
                f"{mallory.name} stays blocked for now",
                "“tablet”, last seen",
                "Wait for them, then unblock",
                "/devices",
            )
            await screen.types("", "down", "enter")
            await tablet.client.connections.sync()
            await screen.sees(f"unblocked {mallory.name}")
            assert not alice.client.connections.get(mallory.client.me.user).blocked


async def test_who_is_blocked_is_not_written_to(people):
    alice, mallory = await people.person("alice"), await people.person("mallory")
    room = await alice.client.direct_room(mallory.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", mallory.name)
        await screen.types("", "alt+1")
        await screen.says("/block")
        await screen.sees("Nothing of theirs reaches you")
        await screen.types("", "down", "enter")
        await screen.sees(f"You block {mallory.name}", "⊘")

        await screen.says("hello?")
        await screen.sees("not sent: you block this user")
        assert screen.app.screen.composer.text == "hello?"
        assert mallory.client.messages(room.id) == []
        await screen.types("", "ctrl+a", "ctrl+k")
        await screen.says("/unblock")
        await screen.sees_no("⊘")


async def test_a_late_message_is_told_and_not_shown(people):
    bob, mallory = await people.person("bob"), await people.person("mallory")
    room = await mallory.client.direct_room(bob.client.me.user)
    async with terminal(bob) as screen:
        await mallory.client.send(room.id, b"first")
        await screen.sees("first")
        await screen.types("", "ctrl+n")
        await screen.sees("1 new")
        set_clock_back(mallory, 60)
        await mallory.client.send(room.id, b"a secret out of its time")
        await screen.sees("came too late")
        assert "a secret" not in screen.text


async def test_a_message_that_others_refused_as_late_can_be_sent_again(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await screen.says("in time")
        await screen.sees("✓✓")
        set_clock_back(alice, 60)
        await screen.says("out of time")
        await screen.sees(f"Refused by {bob.name}: it came", "/again")
        set_clock_back(alice, 0)

        await screen.says("/again")

        await until(lambda: next(m.body for m in bob.client.messages(room.id) if not m.refused) == b"out of time")


async def test_what_nobody_can_be_shown_to_have_written_is_not_shown(people, cast):
    bob, mallory = await people.person("bob"), await cast.person("mallory")
    room = await mallory.phone.posts("rooms", {"kind": "direct", "peer": bob.client.me.user}, status=201)
    await mallory.sends(room["id"], b"believe me")
    # It is there before anybody looks.
    await until(lambda: bob.client.messages(room["id"]))
    async with terminal(bob) as screen:
        await screen.sees("It cannot be", "1 unread")
        await screen.types("", "ctrl+n")
        await screen.sees(f"It cannot be verified that {mallory.username}", "wrote this")
        assert "believe me" not in screen.text


async def test_hostile_text_changes_nothing_on_the_screen(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    hostile = "\x1b[2J\x1b]0;owned\x07\x9b31m[red]no markup[/red] [@click=app.quit]x[/]\u202egnirts\x08\x08 👨‍👩‍👧 שלום"
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await bob.client.send(room.id, hostile.encode())
        await screen.sees("␛[2J␛]0;owned␇�31m[red]no markup[/red]")
        assert all(character.isprintable() or character == "\n" for character in screen.text)
        lines = screen.text.split("\n")
        assert len(lines) == 24


async def test_a_long_text_and_a_narrow_screen(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice, size=(40, 12)) as screen:
        await screen.sees(bob.name)
        await screen.types("", "enter")
        await screen.sees("you began")
        await bob.client.send(room.id, b"word " * 2_000 + b"the end")
        await screen.sees("the end")
        await screen.types("", "escape")
        await screen.sees("word word")
        await screen.pilot.resize_terminal(120, 40)
        await screen.sees("the end", "● live")
        await screen.pilot.resize_terminal(20, 6)
        await screen.pilot.pause()


async def test_a_group_from_its_beginning_to_its_end(people):
    alice, bob, carol, dave = [await people.person(name) for name in ("alice", "bob", "carol", "dave")]
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await screen.says(f"/group {bob.name} {carol.name}")
        await screen.sees("3 people #", "Group: ")
        await screen.says(f"/add {dave.name}")
        await screen.sees("4 people #", f"you added {dave.name}")
        await screen.says(f"/role {bob.name} admin")
        await screen.sees(f"you made {bob.name} an admin")
        await screen.says("welcome all")
        room = alice.client.known_rooms()[0].id
        for other in (bob, carol):
            await until(lambda: any(m.body == b"welcome all" for m in other.client.messages(room)))
            other.client.read(room, other.client.stored)
        await screen.sees("✓✓ 2/3")
        await screen.says("/info")
        await screen.sees(f"{dave.name} delivered")
        await screen.says(f"/remove {carol.name}")
        await screen.sees("3 people #", f"you removed {carol.name}")
        await screen.types("", "f3")
        await screen.sees("3 people", "owner (you)", "admin")
        await screen.types("", "escape")
        await screen.says(f"/owner {bob.name}")
        await screen.sees("Hand it over")
        await screen.types("", "down", "enter")
        await screen.sees(f"{bob.name} owns this group now")
        await screen.says("/leave")
        await screen.sees("Leave this group?")
        await screen.types("", "down", "enter")
        await screen.sees("You are not in this group any more.")


async def test_contacts_are_asked_and_accepted(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await screen.says(f"/request {bob.name}")
        await screen.sees(f"asked {bob.name} to be a contact")
        await until(lambda: bob.client.connections.get(alice.client.me.user))
        await bob.client.connections.accept(alice.client.me.user)
        await until(lambda: alice.client.connections.get(bob.client.me.user).state == "contact")
        await screen.types("", "f2")
        await screen.sees("Contacts, requests, blocks", "contact")
        await screen.types("", "enter")
        await screen.sees("Take off your contacts")
        await screen.types("", "escape")


async def test_commands_are_completed_by_tab(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees(bob.name)
        await screen.types("", "alt+1")
        await screen.types("/blo", "tab")
        assert screen.app.screen.composer.text == "/block "
        await screen.types(bob.name[:2], "tab")
        assert screen.app.screen.composer.text == f"/block {bob.name}"
        await screen.sees("/block [USER]: block somebody")
        await screen.types("", "escape")
        assert screen.app.screen.composer.text == ""


async def test_rooms_are_gone_to_by_keys_and_keep_what_is_being_written(people):
    alice, bob, carol = [await people.person(name) for name in ("alice", "bob", "carol")]
    with_bob = await alice.client.direct_room(bob.client.me.user)
    with_carol = await alice.client.direct_room(carol.client.me.user)
    await alice.client.send(with_carol.id, b"to carol")
    await alice.client.send(with_bob.id, b"to bob")
    async with terminal(alice) as screen:
        chat: Chat = screen.app.screen
        await screen.sees("● live", "to bob")
        await screen.types("", "enter")
        await screen.types("half a sentence", "ctrl+n")
        assert (chat.desk.window.room, chat.composer.text) == (with_carol.id, "")
        await carol.client.send(with_carol.id, b"hi")
        await bob.client.send(with_bob.id, b"are you there?")
        await screen.sees("1 unread", "are you there?")
        await screen.types("", "alt+1")
        assert (chat.desk.window.room, chat.composer.text) == (with_bob.id, "half a sentence")
        await screen.sees("1 new")
        await screen.sees_no("1 unread")
        await until(lambda: alice.client.unread(with_bob.id) == 0)


async def test_several_lines_are_one_message(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await screen.says("one\ntwo")
        await until(lambda: [m.body for m in bob.client.messages(room.id)] == [b"one\ntwo"])


async def test_scrolled_back_nothing_jumps_and_nothing_is_read(people):
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    bob.client.queue(room.id, *[b"line %d" % number for number in range(100)])
    async with terminal(alice) as screen:
        await screen.sees("line 99", "● live")
        await screen.types("", "enter")
        await screen.sees("   line 99")
        transcript = screen.app.screen.query_one(Transcript)
        await screen.types("", "pageup", "pageup")
        await screen.pilot.pause()
        before = screen.text.split("\n")[5]
        await bob.client.send(room.id, b"something new")
        await until(lambda: alice.client.unread(room.id) == 1)
        await screen.sees("1 unread")
        assert screen.text.split("\n")[5] == before
        assert not transcript.is_at_end
        await screen.types("", "ctrl+end")
        await screen.sees("something new", "1 new")
        await until(lambda: alice.client.unread(room.id) == 0)


async def test_a_device_that_was_revoked_says_so(people):
    alice = await people.person("alice")
    tablet = await people.another_device(alice)
    async with terminal(tablet) as screen:
        await screen.sees("● live")
        await alice.client.revoke_device(tablet.client.me.device)
        await until(lambda: tablet.client.state is State.STOPPED)
        await screen.sees("is signed out on this device", "Sign in")
        await screen.types("", "enter")
        await screen.sees(alice.name)
        await screen.says(PASSWORD)
        await screen.sees("● live")


def test_what_is_kept_beside_the_store_is_the_address_alone(tmp_path):
    from client.cli.place import Place

    place = Place(tmp_path / "device.db", "https://chat.example.org")
    place.keep()
    assert json.loads(place.notes.read_text()) == {"url": "https://chat.example.org"}
