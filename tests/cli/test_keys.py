"""Keys on the screen: comparing, warnings, passwords, recovery, locked devices; typed and read in 80 by 24."""

import pytest

from client import PassphraseNeeded, Refused, WrongSecret
from client.cli.keywords import key_groups, key_rows, number_rows
from tests.cast import until
from tests.cli.conftest import PASSWORD, connected, terminal

OTHER_PASSWORD = "quite another long phrase 7"


async def talking(people):
    """Alice and Bob, who have said something to each other, and their room."""
    alice, bob = await people.person("alice"), await people.person("bob")
    room = await alice.client.direct_room(bob.client.me.user)
    await alice.client.send(room.id, b"hello")
    await until(lambda: bob.client.messages(room.id))
    return alice, bob, room.id


async def test_alice_compares_the_safety_number_with_bobs(people):
    alice, bob, room = await talking(people)
    digits = await bob.client.keys.safety_number(alice.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await screen.says("/verify")
        await screen.sees(f"Safety number with {bob.name}", *number_rows(digits).split("\n"), "Compare these 60 digits")
        await screen.types("", "escape")
        assert not alice.client.keys.is_verified(bob.client.me.user)

        await screen.says(f"/verify {bob.name}")
        await screen.sees("They are the same")
        await screen.types("", "down", "enter")

        await screen.sees(f"{bob.name} is verified", "verified")
        assert alice.client.keys.is_verified(bob.client.me.user)
        await screen.says("/verify")
        await screen.sees("(verified)", "Take the mark away")
        await screen.types("", "down", "enter")
        await screen.sees("not marked as verified any more")


async def test_bob_begins_again_after_he_was_verified(people):
    alice, bob, room = await talking(people)
    await alice.client.keys.verify(bob.client.me.user)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await screen.sees("verified")
        await bob.client.keys.reset(PASSWORD)
        await screen.sees("other keys than those that you", "keys changed", "Esc puts this")
        await screen.types("", "escape")
        await screen.sees("/verify compares anew")

        await screen.says("is that you?")
        await screen.sees("not sent: somebody here has other keys", "/verify")
        assert screen.app.screen.composer.text == "is that you?"
        await screen.types("", "ctrl+a", "ctrl+k")

        await screen.says("/verify")
        await screen.sees("may be a new beginning", "They are the same")
        await screen.types("", "down", "enter")
        await screen.sees(f"{bob.name} is verified")
        await screen.says("it is you")
        await until(lambda: any(message.body == b"it is you" for message in bob.client.messages(room)))


async def test_bob_begins_again_and_was_never_verified(people):
    alice, bob, room = await talking(people)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await bob.client.keys.reset(PASSWORD)
        await screen.sees("has new keys", "Esc puts this away")
        await screen.types("", "escape")
        await screen.sees("/verify compares")
        await screen.says("still you?")
        await until(lambda: any(message.body == b"still you?" for message in bob.client.messages(room)))


async def test_a_new_password_holds_everywhere(people):
    alice = await people.person("alice")
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await screen.says("/password")
        await screen.sees("Change your password")
        for line in ("not the old one", "password", "password"):
            await screen.says(line)
        await screen.sees("too weak")
        for line in (PASSWORD, OTHER_PASSWORD, OTHER_PASSWORD + "x"):
            await screen.says(line)
        await screen.sees("the two differ")
        for line in ("wrong", OTHER_PASSWORD, OTHER_PASSWORD):
            await screen.says(line)
        await screen.sees("that does not open your keys")
        for line in (PASSWORD, OTHER_PASSWORD, OTHER_PASSWORD):
            await screen.says(line)
        await screen.sees("the password is changed")

    laptop = await people.device()
    with pytest.raises(Refused):
        await laptop.client.sign_in(alice.name, PASSWORD, device_name="laptop")
    await laptop.client.sign_in(alice.name, OTHER_PASSWORD, device_name="laptop")


async def test_the_recovery_key_gets_everything_back(people):
    alice, bob, room = await talking(people)
    key = await alice.client.keys.new_recovery_key(PASSWORD)
    alice.client.keys.confirm_recovery_key()
    await bob.client.send(room, b"while you were away")
    device = await people.device()
    async with terminal(device) as screen:
        await screen.types("", "down", "down", "enter")
        await screen.sees("Sign in with the recovery key", "48 letters")
        for line in (alice.name, key[:-1], OTHER_PASSWORD, OTHER_PASSWORD):
            await screen.says(line)
        await screen.sees("that is no recovery key")
        await screen.types("", "up", "up", "ctrl+u")
        await screen.types(key)
        await screen.types("", "enter", "enter", "enter")
        await screen.sees("● live", "while you were away")
        await screen.types("", "ctrl+n")
        await screen.sees("hello", "while you were away")

    laptop = await people.device()
    await laptop.client.sign_in(alice.name, OTHER_PASSWORD, device_name="laptop")


async def test_a_new_recovery_key_is_shown_until_it_is_confirmed(people):
    alice = await people.person("alice")
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await screen.says("/recovery")
        await screen.sees("The old recovery key opens nothing")
        await screen.says(PASSWORD)
        await screen.sees("Write this down on paper")
        key = alice.client.keys.recovery_key
        for row in key_rows(key).split("\n"):
            await screen.sees(row)
        await screen.types("", "escape")
        await screen.sees("the recovery key is not confirmed yet")

    async with terminal(alice) as screen:
        await screen.sees("● live", "Your recovery key is not confirmed")
        await screen.says("/recovery")
        await screen.sees(key_groups(key)[0])


async def test_a_locked_device_says_so_and_is_unlocked(people):
    alice, bob, room = await talking(people)
    await bob.client.send(room, b"can you read this?")
    await until(lambda: len(alice.client.messages(room)) == 2)
    await alice.client.disconnect()
    alice.client.keys.own.only()  # as if another device had made new keys, and none had come
    await bob.client.keys.check(PASSWORD)
    await bob.client.disconnect()
    async with terminal(alice) as screen:
        await screen.types("", "ctrl+n")
        await screen.sees("This device lacks keys of yours")
        await screen.says("/unlock")
        await screen.sees("Open your keys")
        await screen.says("wrong")
        await screen.sees("that does not open your keys")
        await screen.says(PASSWORD)
        await screen.sees("your keys are open", "can you read this?")
        await screen.sees_no("lacks keys")


async def test_a_lost_device_is_revoked_with_the_password(people):
    alice = await people.person("alice")
    tablet = await connected(await people.another_device(alice))
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await screen.types("", "f4")
        await screen.sees("Your devices", "tablet", "this one")
        await screen.types("", *(["down"] if "tablet" in screen.text.split("this one")[1] else []), "enter")
        await screen.sees("Revoke: sign it out for good")
        await screen.types("", "down", "enter")
        await screen.sees("Revoke tablet", "new keys keep it from")
        await screen.says(PASSWORD)
        await screen.sees("tablet is revoked")
    assert [device.name for device in await alice.client.devices()] == ["phone"]
    await until(lambda: not tablet.client.is_signed_in)


async def test_who_opens_the_vault_elsewhere_is_told(people):
    alice = await people.person("alice")
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await people.another_device(alice)
        await screen.sees("Your keys were fetched on another device", "/password")
        await screen.types("", "escape")
        await screen.sees_no("Your keys were fetched")


async def test_a_passphrase_guards_the_keys_of_the_device(people):
    alice = await people.person("alice")
    async with terminal(alice) as screen:
        await screen.sees("● live")
        await screen.says("/passphrase")
        await screen.sees("A passphrase for this device")
        await screen.says("open sesame, please")
        await screen.says("open sesame, please")
        await screen.sees("rest under the passphrase")
    await alice.client.close()
    place = alice.place
    with pytest.raises(PassphraseNeeded):
        await people.at(place)
    with pytest.raises(WrongSecret):
        await people.at(place, passphrase="open barley")
    again = await people.at(place, passphrase="open sesame, please")
    assert again.client.me.username == alice.name


async def test_what_is_typed_ahead_of_a_password_dialog_is_not_said_aloud(people):
    alice, bob, room = await talking(people)
    async with terminal(alice) as screen:
        await screen.sees("● live", bob.name)
        await screen.types("", "alt+1")
        await screen.sees("hello")
        composer = screen.app.screen.composer
        composer.replace_all("/password")
        await screen.pilot.pause()
        # All in one go, as a slow line delivers what was typed without looking.
        for key in ["enter", *PASSWORD, "enter"]:
            screen.app.post_message(key_event(key))
        await screen.sees("Change your password")
        assert composer.text == ""
        await screen.types("", "escape")
        assert [message.body for message in alice.client.messages(room)] == [b"hello"]
        assert alice.client.unsent() == []


def key_event(key: str):
    from textual.events import Key

    return Key(key, key if len(key) == 1 else "\r")
