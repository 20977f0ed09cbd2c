"""Two people in two browsers, on the running system."""

from playwright.async_api import expect

from tests.cast import until


async def test_from_signing_up_to_the_tick_that_says_read(people):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "Hello, Bob!")
    await alice.sees_ticks("Hello, Bob!", "Delivered")

    await bob.opens(alice)
    await bob.sees("Hello, Bob!")
    await alice.sees_ticks("Hello, Bob!", "Read")

    await bob.types("Hello, Alice! 👋")
    await alice.sees("Hello, Alice! 👋")
    await bob.sees_ticks("Hello, Alice! 👋", "Read")


async def test_what_is_written_without_a_network_goes_when_there_is_one_again(people, complaints):
    complaints.expect("ERR_INTERNET_DISCONNECTED")
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "before")
    await alice.sees_ticks("before", "Delivered")
    await alice.is_kept()

    await alice.context.set_offline(True)
    await alice.types("in the tunnel")
    await alice.types("still in the tunnel")
    await alice.sees_ticks("still in the tunnel", "Waiting to be sent")

    # The page itself loads without the network, and has what was written.
    await alice.page.reload()
    await alice.is_in()
    await alice.sees("still in the tunnel")
    await alice.sees_ticks("in the tunnel", "Waiting to be sent")

    await alice.context.set_offline(False)
    await bob.opens(alice)
    await bob.sees("still in the tunnel")
    await alice.sees_ticks("still in the tunnel", "Read")
    order = [text.split("\n")[0] for text in await bob.texts()]
    assert order == ["before", "in the tunnel", "still in the tunnel"]


async def test_what_was_typed_is_there_after_a_reload_at_once(people):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "Hello")
    await alice.sees_ticks("Hello", "Delivered")
    await alice.composer.press_sequentially("half a sentence")
    await alice.page.reload()
    await alice.is_in()
    await expect(alice.composer).to_have_value("half a sentence")


# Another transaction that does not end before the page does: what is written behind it is never begun.
OCCUPY = """
() => new Promise((begun) => {
  indexedDB.open("letterlock").onsuccess = ({ target }) => {
    const store = target.result.transaction(["rooms", "values"], "readwrite").objectStore("values");
    const again = () => { store.get("nothing").onsuccess = again; begun(); };
    again();
  };
})
"""


async def test_what_was_typed_is_there_also_when_the_store_was_busy_as_the_page_went(people):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "Hello")
    await alice.sees_ticks("Hello", "Delivered")
    await alice.page.evaluate(OCCUPY)
    await alice.composer.press_sequentially("half a sentence")
    await alice.page.reload()
    await alice.is_in()
    await expect(alice.composer).to_have_value("half a sentence")
    # It counts until it is kept, and no longer: what was sent does not come again.
    await alice.composer.press("Enter")
    await alice.sees("half a sentence")
    await alice.page.reload()
    await alice.is_in()
    await alice.sees("half a sentence")
    await expect(alice.composer).to_have_value("")


async def test_a_new_device_has_the_whole_history(people, another_device):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "one")
    await bob.opens(alice)
    await bob.types("two")
    await alice.sees("two")

    laptop = await another_device(bob)
    await laptop.opens(alice)
    for text in ("one", "two"):
        await laptop.sees(text)
    await alice.types("three")
    for device in (bob, laptop):
        await device.sees("three")


async def test_one_sees_that_the_other_is_writing(people):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "hello")
    await bob.opens(alice)
    await bob.sees("hello")
    await bob.composer.press_sequentially("well", delay=30)
    await expect(alice.page.get_by_text("typing…").first).to_be_visible()


async def test_who_is_signed_out_from_elsewhere_is_told_so_at_once(people, another_device, complaints):
    complaints.expect("status of 401")
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "hello")
    laptop = await another_device(bob)
    await laptop.opens(alice)

    await bob.goes_to("#/settings/devices")
    other = bob.page.get_by_role("listitem").filter(has_text="Seen").filter(has_not_text="This device")
    await other.get_by_role("button").click()
    await bob.page.get_by_role("menuitem", name="Sign out").click()
    dialog = bob.page.get_by_role("dialog")
    await dialog.get_by_label("Password", exact=True).fill(bob.password)
    await dialog.get_by_role("button", name="Sign out", exact=True).click()
    await laptop.is_told("This device was signed out from another one of yours")
    await expect(laptop.composer).to_be_hidden()

    # What comes from then on, it cannot read; Bob's own browser can.
    await alice.types("only for you")
    await bob.opens(alice)
    await bob.sees("only for you")


async def test_two_tabs_have_one_socket(people):
    alice, bob = await people("alice", "bob")
    await bob.writes(alice, "hello")
    sockets = {}

    async def watches(page):
        # Reloaded, because what was opened before is not told; one page after the other, or each takes over from the other.
        mine = sockets[page] = []
        page.on("websocket", lambda socket: mine.append(socket))
        await page.reload()
        return page

    first = await watches(alice.page)
    await until(lambda: sockets[first])
    second = await watches(await alice.opens_a_tab())
    await alice.opens(bob)
    await bob.types("to both tabs")
    await alice.sees("to both tabs")
    alice.page = second
    await alice.opens(bob)
    await alice.sees("to both tabs")
    assert open_in(sockets[first]) + open_in(sockets[second]) == 1

    # What is written in the tab without it goes, too; and when the tab with it closes, the other goes on.
    await alice.types("from the second tab")
    await bob.sees("from the second tab")
    await first.close()
    await bob.types("are you there?")
    await alice.sees("are you there?")
    await alice.types("still here")
    await bob.sees("still here")
    assert open_in(sockets[second]) == 1


def open_in(sockets):
    return len([socket for socket in sockets if not socket.is_closed()])
