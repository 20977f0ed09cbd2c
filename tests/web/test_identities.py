"""New identities: what contacts see of one, what the user's other devices do, and what cannot be read any more."""

from playwright.async_api import expect


async def test_a_contact_who_begins_again_is_not_written_to_until_the_numbers_are_compared(people):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "before")
    await bob.opens(alice)
    await bob.sees("before")

    numbers = await alice.compares(bob)
    assert len(numbers) == 12
    assert await bob.compares(alice) == numbers
    await alice.says_they_are_the_same()
    await expect(alice.dialog).to_contain_text("Verified")
    await alice.page.keyboard.press("Escape")
    await alice.writes(bob, "to the one whom I know")
    await bob.page.keyboard.press("Escape")

    await bob.begins_again()
    await alice.is_told(f"{bob.username}, whom you had verified, has a new identity. Nothing is sent until")
    await alice.opens(bob)
    await alice.is_told("Somebody here has other keys than those that you verified.")
    await expect(alice.composer).to_be_hidden()
    assert "to the one whom I know" in [text.split("\n")[0] for text in await alice.texts()]

    # Bob writes with the new keys: that is read, and the number is another one, which is not verified.
    await bob.writes(alice, "I have lost my keys")
    await alice.sees("I have lost my keys")
    changed = await alice.compares(bob)
    assert changed != numbers
    await expect(alice.dialog).to_contain_text("Not verified")
    await bob.opens(alice)
    assert await bob.compares(alice) == changed
    await alice.says_they_are_the_same()
    await alice.page.keyboard.press("Escape")
    await bob.page.keyboard.press("Escape")

    await alice.opens(bob)
    await expect(alice.page.get_by_text("has a new identity")).to_be_hidden()
    await alice.types("to the one whom I know again")
    await bob.sees("to the one whom I know again")
    await alice.sees_ticks("to the one whom I know again", "Read")


async def test_a_group_says_whose_number_has_to_be_compared_also_when_the_notice_was_put_away(people):
    alice, bob, carol = await people("alice", "bob", "carol")
    await alice.writes(bob, "before")
    await alice.compares(bob)
    await alice.says_they_are_the_same()
    await alice.page.keyboard.press("Escape")
    await alice.goes_to("#/")
    await alice.begins_with(bob, carol)
    await alice.types("to both")
    await alice.sees("to both")

    await bob.begins_again()
    await expect(alice.composer).to_be_hidden()
    await alice.button("Put away").click()
    await expect(alice.page.get_by_text("has a new identity")).to_be_hidden()
    await expect(alice.button(f"Compare with {carol.username}")).to_be_hidden()
    await alice.button(f"Compare with {bob.username}").click()
    await alice.says_they_are_the_same()
    await alice.page.keyboard.press("Escape")
    await alice.types("to both again")
    await carol.opens(alice)
    await carol.sees("to both again")


async def test_who_begins_again_signs_in_anew_on_other_devices(people, another_device, complaints):
    """Without the recovery key. What this browser has stays readable there."""
    complaints.expect("status of 401")
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "before")
    await bob.opens(alice)
    await bob.sees("before")
    laptop = await another_device(bob)
    await laptop.opens(alice)
    await laptop.sees("before")
    lost = bob.recovery_key

    await bob.begins_again()
    assert bob.recovery_key != lost
    await bob.opens(alice)
    await bob.sees("before")
    await alice.is_told(f"{bob.username} has a new identity. Compare the safety number, and ask why.")
    await alice.types("after")
    await bob.sees("after")

    await laptop.is_told("This device was signed out from another one of yours")
    await laptop.button("Sign in again").click()
    await laptop.signs_in()
    await laptop.opens(alice)
    await laptop.sees("after")
    await laptop.types("from the laptop")
    await alice.sees("from the laptop")
    await bob.sees("from the laptop")

    # A device that comes only now has the new keys, and nothing from before.
    tablet = await another_device(bob)
    await tablet.opens(alice)
    for text in ("after", "from the laptop"):
        await tablet.sees(text)
    await expect(tablet.bubble("Cannot be read")).to_be_visible()
    await expect(tablet.bubble("before")).to_be_hidden()


async def test_a_device_that_was_cut_off_while_it_signed_in_is_unlocked_with_the_password(
    people, another_device, complaints
):
    complaints.expect("ERR_FAILED")
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "before")

    # The server knows the laptop, and it has not got its keys yet.
    laptop = await another_device(bob, signed_in=False)
    await laptop.page.route("**/api/v1/e2ee/vault", lambda route: route.abort())
    async with laptop.page.expect_event("requestfailed"):
        await laptop.tries_to_sign_in()
    await laptop.page.unroute("**/api/v1/e2ee/vault")
    await laptop.page.reload()
    await laptop.is_in()
    await laptop.is_told("This device lacks a key of yours.")
    await laptop.opens(alice)
    await laptop.is_told("Cannot be read yet: this device lacks a key of yours")

    await laptop.button("Unlock").click()
    await laptop.dialog.get_by_label("Password", exact=True).fill("seven geese crossed Messina harbor")
    await laptop.dialog.get_by_role("button", name="Unlock").click()
    await expect(laptop.dialog).to_contain_text("That does not open your keys.")
    await laptop.page.keyboard.press("Escape")
    await laptop.unlocks()
    await laptop.sees("before")
    await expect(laptop.page.get_by_text("lacks a key of yours")).to_have_count(0)
    await laptop.types("from the laptop")
    await alice.sees("from the laptop")
