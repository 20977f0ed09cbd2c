"""On the running system: no violation of accessibility rules (axe) on the way through it, and a small first visit.

Every screen there is stands in tests/web/test_scenes.py.
"""

from urllib.parse import urlsplit

import pytest
from playwright.async_api import expect

from config.webclient import build
from tests.web.axe import flaws

BUDGET = 150_000

SETTINGS = ("account", "devices", "privacy", "security", "appearance", "notifications")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_on_the_way_through(visitor, scheme):
    alice = await visitor("alice", color_scheme=scheme)
    bob = await visitor("bob", color_scheme=scheme, viewport={"width": 360, "height": 700})
    found = {}

    async def look(name, person):
        await person.page.wait_for_timeout(0)
        if found_now := await flaws(person.page):
            found[name] = found_now

    await expect(alice.page.get_by_role("heading", name="Sign in")).to_be_visible()
    await look("sign-in", alice)
    await alice.goes_to("#/sign-up")
    await expect(alice.page.get_by_role("heading", name="Create account", exact=True)).to_be_visible()
    await look("sign-up", alice)
    await alice.page.goto("/")
    await alice.signs_up()
    await look("no conversations", alice)
    await bob.signs_up()
    await look("no conversations, narrow", bob)

    await alice.rooms.get_by_role("button", name="New conversation").first.click()
    await expect(alice.page.get_by_label("User name")).to_be_visible()
    await look("new conversation", alice)
    await alice.page.goto("/")
    await alice.writes(bob, "Hello, Bob! https://example.org 👋")
    await alice.sees_ticks("Hello, Bob!", "Delivered")
    await look("conversation", alice)
    await bob.opens(alice)
    await bob.sees("Hello, Bob!")
    await look("conversation, narrow", bob)
    await alice.button("About this conversation").click()
    await expect(alice.button("Compare")).to_be_visible()
    await look("details", alice)
    await alice.button("Compare").click()
    await expect(alice.page.get_by_role("dialog")).to_be_visible()
    await look("safety number", alice)
    await alice.page.keyboard.press("Escape")
    await alice.goes_to("#/contacts")
    await expect(alice.page.get_by_role("heading", name="Contacts", exact=True)).to_be_visible()
    await look("contacts", alice)
    for section in SETTINGS:
        await alice.goes_to(f"#/settings/{section}")
        await expect(alice.page.get_by_role("heading", level=1).last).to_be_visible()
        await look(f"settings, {section}", alice)
    assert found == {}


async def test_the_list_of_keys_names_those_that_open_it(people):
    (alice,) = await people("alice")
    for key in ("?", "Control+/"):
        await alice.page.keyboard.press(key)
        await expect(alice.dialog.locator(".shortcut", has_text="This list").locator("kbd")).to_have_text(
            ["?", "Ctrl", "/"]
        )
        await alice.page.keyboard.press("Escape")
        await expect(alice.dialog).to_be_hidden()


async def test_a_first_visit_is_small(visitor, system):
    alice = await visitor("alice")
    fetched = set()
    alice.page.on("request", lambda request: fetched.add(urlsplit(request.url).path))
    await alice.page.goto("/#/sign-up")
    await alice.page.reload()
    await expect(alice.page.get_by_role("heading", name="Create account", exact=True)).to_be_visible()
    named = {path for path in fetched if path.endswith((".js", ".css"))}
    assert named
    files = [build.DIST / "index.html", *(build.DIST / "static" / path.removeprefix("/static/web/") for path in named)]
    compressed = [path.with_name(path.name + ".gz") for path in files]
    sizes = {
        path.name: (gz if gz.exists() else path).stat().st_size for path, gz in zip(files, compressed, strict=True)
    }
    assert sum(sizes.values()) <= BUDGET, sizes
