"""The browser beside what is not one: the Python client, a client that breaks the rules, a person who is blocked."""

import asyncio

from playwright.async_api import expect

from client import Client, Message
from tests.cast import until


async def test_the_python_client_and_the_browser_talk(people, system, tmp_path):
    (alice,) = await people("alice")
    async with Client(system.url, tmp_path / "bob.db") as bob:
        name = alice.username.replace("alice", "bob")
        await bob.register(name, "a rather different password of Bob's", device_name="terminal")
        bob.connect()
        await alice.writes(name, "Hello from the browser")

        async with asyncio.timeout(45):
            async for event in bob.events(after=0):
                if isinstance(event, Message):
                    assert event.body.decode() == "Hello from the browser"
                    break
        await alice.sees_ticks("Hello from the browser", "Delivered")
        await bob.send(event.room, b"Hello from the terminal")
        await alice.sees("Hello from the terminal")


async def test_a_message_that_comes_late_is_refused_and_said_to_be(people, cast):
    """Mallory's client says that what it sends now was written before what it sent just now."""
    (bob,) = await people("bob")
    mallory = await cast.person("mallory")
    user = await mallory.phone.gets(f"users/{bob.username}")
    response = await mallory.phone.http.post("rooms", json={"kind": "direct", "peer": user["id"]})
    room = response.json()["id"]
    await bob.line_of(mallory.username).click()
    later = mallory.phone.message(room, b"later")
    await mallory.phone.posts("messages", later)
    unreadable = bob.page.get_by_role("article")
    await expect(unreadable).to_have_count(1)

    older = await mallory.sends(room, b"older", sent_at=later["sent_at"] - 60_000)
    await bob.is_told("Came late and was refused; the sender was told")
    await expect(unreadable).to_have_count(2)

    async def told():
        entries = (await mallory.phone.gets("mailbox", limit=500))["entries"]
        return [entry["message"] for entry in entries if entry["kind"] == "rejection"]

    found = []
    while not found:
        found = await told()
    assert found == [older["id"]]


async def test_who_is_blocked_cannot_write_and_nobody_is_asked(people, complaints):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "hello")
    await bob.opens(alice)
    await bob.sees("hello")

    await bob.goes_to("#/contacts")
    await bob.page.get_by_role("textbox", name="User name of a new contact").fill(alice.username)
    await bob.button("Ask to be a contact").click()
    line = bob.page.get_by_role("listitem").filter(has_text=alice.username)
    await line.get_by_role("button", name=f"Actions for {alice.username}").click()
    await bob.page.get_by_role("menuitem", name="Block").click()
    await bob.page.get_by_role("dialog").get_by_role("button", name="Block").click()

    asked = []
    alice.page.on("request", lambda request: asked.append(request.url))
    await alice.is_told(f"{bob.username} blocks you. Nothing can be written here.")
    await expect(alice.composer).to_be_hidden()
    assert not [url for url in asked if "/messages" in url]
    await bob.opens(alice)
    await bob.is_told(f"You block {alice.username}. Nothing can be written here.")


async def test_two_devices_that_want_different_things_are_asked(people, another_device, complaints):
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    complaints.expect("status of 409")
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "hello")
    laptop = await another_device(bob)
    for device in (bob, laptop):
        await device.goes_to("#/contacts")

    # Without a network the laptop asks Alice to be a contact; meanwhile the other browser blocks her.
    await expect(new_contact(laptop)).to_be_visible()
    await laptop.is_kept()
    await laptop.context.set_offline(True)
    await asks(laptop, alice)
    await asks(bob, alice)
    await bob.button(f"Actions for {alice.username}").click()
    await bob.page.get_by_role("menuitem", name="Block").click()
    await bob.page.get_by_role("dialog").get_by_role("button", name="Block").click()
    await expect(bob.page.get_by_role("list").filter(has_text=alice.username).first).to_be_visible()

    await laptop.context.set_offline(False)
    dialog = laptop.page.get_by_role("dialog", name="Changed on another device")
    await expect(dialog).to_contain_text(f"Ask {alice.username} to be a contact")
    await expect(dialog).to_contain_text("Blocked by you")
    await dialog.get_by_role("button", name="Leave it as it is").click()
    await expect(dialog).to_be_hidden()
    await laptop.goes_to("#/contacts")
    await laptop.is_told("Blocked")


def new_contact(device):
    """Where the contacts ask for a name."""
    return device.page.get_by_role("textbox", name="User name of a new contact")


async def asks(device, peer):
    """Presses, in the contacts, to have somebody as a contact."""
    await new_contact(device).fill(peer.username)
    await device.button("Ask to be a contact").click()


async def test_a_host_that_restarts_while_one_types_loses_nothing(people, private_system, complaints):
    complaints.expect(
        "ERR_CONNECTION_REFUSED|WebSocket connection|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|status of 503"
    )
    system = private_system(web=1)
    alice, bob = await people("alice", "bob", url=system.url)
    await alice.writes(bob, "before")
    await bob.opens(alice)
    await bob.sees("before")
    web = system.parts["web-1"].pid
    await alice.composer.press_sequentially("while it ", delay=20)
    system.kill("web-1")
    await alice.composer.press_sequentially("restarts", delay=20)
    await alice.composer.press("Enter")
    await alice.sees("while it restarts")
    await until(lambda: system.parts["web-1"].pid not in (web, None), "another process", patience_s=60)
    await alice.sees_ticks("while it restarts", "Read")
    await bob.sees("while it restarts")
    assert [text.split("\n")[0] for text in await bob.texts()] == ["before", "while it restarts"]
