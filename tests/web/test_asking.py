"""Strangers who wait in the requests; blocks that are not lifted while a device lags; accounts that are suspended."""

import asyncio

import pytest
from playwright.async_api import expect

from accounts import suspension
from accounts.models import User


async def wait_in_the_requests(person):
    """Strangers are to wait."""
    await person.goes_to("#/settings/privacy")
    choice = person.page.get_by_role("radio", name="Wait in the requests until you accept")
    await choice.click()
    await expect(choice).to_be_checked()


async def test_a_stranger_waits_until_accepted(people):
    alice, bob = await people("alice", "bob")
    await wait_in_the_requests(bob)
    await alice.writes(bob, "You do not know me")
    await alice.sees_ticks("You do not know me", "Sent")
    await expect(bob.button("Contacts, 1 request")).to_be_visible()
    await expect(bob.line_of(alice)).to_be_hidden()

    await bob.button("Contacts, 1 request").click()
    await bob.line_about(alice).get_by_role("button", name="Accept").click()
    await expect(bob.button("Contacts")).to_be_visible()
    await bob.opens(alice)
    await bob.sees("You do not know me")
    await alice.sees_ticks("You do not know me", "Read")
    await bob.types("Now I do")
    await alice.sees("Now I do")


async def test_a_stranger_who_is_declined_learns_nothing_of_it(people):
    bob, mallory = await people("bob", "mallory")
    await wait_in_the_requests(bob)
    await mallory.writes(bob, "Buy this")
    await bob.button("Contacts, 1 request").click()
    await bob.line_about(mallory).get_by_role("button", name="Decline").click()
    await expect(bob.line_about(mallory)).to_be_hidden()
    await expect(bob.button("Contacts")).to_be_visible()

    await mallory.types("Buy that")
    await mallory.sees_ticks("Buy that", "Sent")
    await expect(mallory.composer).to_be_visible()
    await bob.goes_to("#/")
    await expect(bob.line_of(mallory)).to_be_hidden()


@pytest.fixture
def strict_system(private_system, web_client):
    """A system on which a block is lifted only when all devices know of it."""
    return private_system(web=1, environment={"CONNECTION_CONSISTENCY": "restrict"})


async def test_a_block_is_not_lifted_while_another_device_has_not_heard_of_it(
    strict_system, people, another_device, complaints
):
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    complaints.expect("status of 423")
    alice, bob = await people("alice", "bob", url=strict_system.url)
    await alice.writes(bob, "hello")
    laptop = await another_device(bob)
    await laptop.opens(alice)
    await laptop.sees("hello")
    await laptop.is_kept()
    await laptop.context.set_offline(True)

    await bob.goes_to("#/contacts")
    await bob.page.get_by_role("textbox", name="User name of a new contact").fill(alice.username)
    await bob.button("Ask to be a contact").click()
    await bob.blocks(alice)
    await alice.is_told(f"{bob.username} blocks you. Nothing can be written here.")

    # The laptop is named; Bob thinks better of it, and the block stays.
    await bob.lifts_the_block(alice)
    asked = bob.page.get_by_role("dialog", name="Other devices have to catch up first")
    await expect(asked.get_by_role("list")).to_contain_text("Chrome on Linux")
    await expect(asked.get_by_role("listitem")).to_have_count(1)
    await asked.get_by_role("button", name="Keep the block").click()
    await expect(asked).to_be_hidden()
    await expect(bob.blocked).to_contain_text(alice.username)

    # The second time Bob waits, and as soon as the laptop knows of the block it is lifted.
    await bob.lifts_the_block(alice)
    await asked.get_by_role("button", name="Wait for them").click()
    await expect(asked).to_be_hidden()
    await expect(bob.line_about(alice)).to_contain_text("Waiting for the server")
    await laptop.context.set_offline(False)
    await expect(bob.blocked).to_be_hidden()
    await expect(alice.composer).to_be_visible()
    await alice.types("hello again")
    for device in (bob, laptop):
        await device.opens(alice)
        await device.sees("hello again")


async def test_who_is_suspended_sees_it_at_once_and_goes_on_when_that_is_over(people, complaints):
    complaints.expect("status of 403")
    alice, mallory = await people("alice", "mallory")
    await alice.writes(mallory, "hello")
    await mallory.opens(alice)
    await mallory.sees("hello")
    user = await asyncio.to_thread(lambda: User.objects.get(username=mallory.username).pk)

    await asyncio.to_thread(suspension.suspend, user)
    await mallory.is_told("Account suspended")
    await expect(mallory.composer).to_be_hidden()
    await expect(mallory.rooms).to_be_hidden()
    await alice.types("are you there?")
    await mallory.page.reload()
    await mallory.is_told("Account suspended")

    await asyncio.to_thread(suspension.restore, user)
    await mallory.button("Try again").click()
    await mallory.is_in()
    await mallory.opens(alice)
    await mallory.sees("are you there?")
    await mallory.types("again")
    await alice.sees("again")
