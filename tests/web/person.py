"""People who use the messenger in a browser: what they do and see, in their words. By roles and labels, as who cannot see uses it.

alice, bob = await people("alice", "bob")       # signed up, recovery key confirmed
await alice.writes(bob, "Hello")
await bob.opens(alice)
await bob.sees("Hello")
await alice.sees_ticks("Hello", "Read")
"""

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, CDPSession, ConsoleMessage, Locator, Page, expect
from playwright.async_api import TimeoutError as Late

# Machines that test are busy; Argon2id takes half a second on an idle one.
PATIENCE_MS = 45_000
PASSWORD = "seven geese crossed Messina harbour"

expect.set_options(timeout=PATIENCE_MS)


class Complaints:
    """What pages have complained of. Each test ends with none of it (conftest.py)."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        # What a test provokes on purpose; and always that two devices have made the same epoch or key document at once: one
        # of them is told so by 409 and goes on, and Chromium writes each such answer to the console. While Valkey is late, which
        # it may be on a busy machine, no host can be named, and pages stay where they are.
        self.expected: list[re.Pattern[str]] = [
            re.compile("the server responded with a status of 409"),
            re.compile("the server responded with a status of 503 .* /api/v1/hosts/assignment$"),
        ]

    def listen(self, page: Page, whose: str) -> None:
        """Console errors (violations of the policy are among them) and exceptions of the page and of its workers."""
        page.on("console", lambda message: self._listened(whose, message))
        page.on("pageerror", lambda error: self._note(whose, f"threw {error}"))

    def expect(self, pattern: str) -> None:
        """Something like that will be complained of, and may be."""
        self.expected.append(re.compile(pattern))

    def _listened(self, whose: str, message: ConsoleMessage) -> None:
        """What a resource's failure says does not name it."""
        if message.type == "error":
            self._note(whose, f"{message.text} {urlsplit(message.location['url']).path}".rstrip())

    def _note(self, whose: str, text: str) -> None:
        if not any(pattern.search(text) for pattern in self.expected):
            self.heard.append(f"{whose}: {text}")


class Person:
    """Somebody with an account and one browser."""

    def __init__(self, name: str, url: str, browser: Browser, complaints: Complaints) -> None:
        self.name, self.url = name, url
        self.username = f"{name}.{secrets.token_hex(4)}"
        self.password = PASSWORD
        self.recovery_key: list[str] = []
        self._browser, self._complaints = browser, complaints
        self.context: BrowserContext
        self.page: Page

    async def begins(self, **options: Any) -> Self:
        """A browser profile of its own, and the page in it."""
        options = {"locale": "en-GB", "viewport": {"width": 1100, "height": 800}, "reduced_motion": "reduce"} | options
        self.context = await self._browser.new_context(base_url=self.url, **options)
        self.context.set_default_timeout(PATIENCE_MS)
        self.page = await self.opens_a_tab()
        return self

    async def opens_a_tab(self) -> Page:
        """Another tab of the same profile."""
        page = await self.context.new_page()
        self._complaints.listen(page, self.name)
        await page.goto("/")
        return page

    def on_another_device(self) -> "Person":
        """The same person with another browser, not begun yet."""
        twin = Person(self.name, self.url, self._browser, self._complaints)
        twin.username, twin.password, twin.recovery_key = self.username, self.password, self.recovery_key
        return twin

    # --- signing up and in ---------------------------------------------------------------------------------------------

    async def signs_up(self) -> Self:
        """Makes an account, keeps the recovery key, and types two groups of it."""
        page = self.page
        await page.get_by_role("link", name="New here? Create an account").click()
        await page.get_by_label("User name").fill(self.username)
        await page.get_by_label("Password", exact=True).fill(self.password)
        await self.button("Create account").click()
        await self.keeps_the_recovery_key()
        await self.is_in()
        return self

    async def keeps_the_recovery_key(self) -> None:
        """That is shown now, and types two groups of it."""
        page = self.page
        key = page.get_by_role("list", name="Recovery key, in groups")
        await expect(key).to_be_visible()
        self.recovery_key = await key.locator("code").all_inner_texts()
        await self.button("I have kept it").click()
        for box in await page.get_by_role("textbox").all():
            label = await box.evaluate("box => box.labels[0].textContent")
            await box.fill(self.recovery_key[int(label.split()[-1]) - 1])
        await self.button("Confirm").click()

    async def signs_in(self) -> Self:
        """On this browser, with the password."""
        await self.tries_to_sign_in()
        go_on = self.button("Go on to my conversations")
        await expect(self.rooms.or_(go_on).first).to_be_visible()
        if await go_on.is_visible():
            # Gone by itself, if everything has come in this very moment.
            with suppress(Late):
                await go_on.click(timeout=2_000)
        await self.is_in()
        return self

    async def tries_to_sign_in(self) -> None:
        """With name and password."""
        await self.page.get_by_label("User name").fill(self.username)
        await self.page.get_by_label("Password", exact=True).fill(self.password)
        await self.button("Sign in").click()

    async def is_in(self) -> None:
        """Sees the conversations."""
        await expect(self.rooms).to_be_visible()

    # --- what is on the page -------------------------------------------------------------------------------------------

    @property
    def rooms(self) -> Locator:
        """The list of conversations."""
        return self.page.get_by_role("navigation", name="Conversations")

    @property
    def composer(self) -> Locator:
        """Where one writes."""
        return self.page.get_by_role("textbox", name="Message", exact=True)

    def button(self, name: str) -> Locator:
        """A button, by its label."""
        return self.page.get_by_role("button", name=name, exact=True)

    def bubble(self, text: str) -> Locator:
        """The message with this text."""
        return self.page.get_by_role("article").filter(has_text=text).last

    # --- talking -------------------------------------------------------------------------------------------------------

    async def begins_with(self, *others: "Person | str") -> None:
        """A conversation with somebody by name, or a group."""
        await self.rooms.get_by_role("button", name="New conversation").first.click()
        for other in others:
            name = other if isinstance(other, str) else other.username
            await self.page.get_by_label("User name").fill(name)
            await self.button("Find").click()
            await expect(self.page.get_by_role("list", name="Chosen")).to_contain_text(name)
        label = "Begin conversation" if len(others) == 1 else f"Begin a group of {len(others) + 1}"
        await self.button(label).click()
        await expect(self.composer).to_be_visible()

    def line_of(self, peer: "Person | str") -> Locator:
        """The conversation in the list."""
        return self.rooms.get_by_role("link").filter(has_text=peer if isinstance(peer, str) else peer.username)

    async def opens(self, peer: "Person | str") -> None:
        """The conversation that is in the list."""
        await self.line_of(peer).click()
        await expect(self.page.get_by_role("main")).to_contain_text(peer if isinstance(peer, str) else peer.username)

    async def types(self, text: str) -> None:
        """And sends, in the open conversation."""
        await self.composer.fill(text)
        await self.composer.press("Enter")

    async def writes(self, peer: "Person | str", text: str) -> None:
        """Open the conversation with somebody, or begin it, and send."""
        if await self.line_of(peer).count():
            await self.opens(peer)
        else:
            await self.begins_with(peer)
        await self.types(text)
        await self.sees(text)

    async def sees(self, text: str) -> None:
        """In the open conversation."""
        await expect(self.bubble(text)).to_be_visible()

    async def sees_ticks(self, text: str, ticks: str) -> None:
        """How far an own message has come: Waiting to be sent, Sent, Delivered, Read."""
        await expect(self.bubble(text).get_by_role("img", name=ticks)).to_be_visible()

    async def texts(self) -> list[str]:
        """What the messages of the open conversation say, as far as they are on the page."""
        return await self.page.get_by_role("article").locator(".bubble-text").all_inner_texts()

    async def is_told(self, words: str) -> None:
        """Somewhere on the page."""
        await expect(self.page.get_by_text(words).first).to_be_visible()

    # --- who the others are --------------------------------------------------------------------------------------------

    def line_about(self, peer: "Person | str") -> Locator:
        """The contact, on the screen of contacts."""
        name = peer if isinstance(peer, str) else peer.username
        return self.page.get_by_role("region", name="Contacts").get_by_role("listitem").filter(has_text=name)

    async def picks(self, peer: "Person", action: str) -> None:
        """From the menu beside a contact."""
        await self.button(f"Actions for {peer.username}").click()
        await self.page.get_by_role("menuitem", name=action, exact=True).click()

    async def blocks(self, peer: "Person") -> None:
        """On the screen of contacts."""
        await self.picks(peer, "Block")
        await self.dialog.get_by_role("button", name="Block", exact=True).click()
        await expect(self.blocked).to_contain_text(peer.username)

    @property
    def blocked(self) -> Locator:
        """Whom one blocks, on the screen of contacts."""
        heading = self.page.get_by_role("heading", name="Blocked", exact=True)
        return self.page.get_by_role("main").locator("section").filter(has=heading).last.get_by_role("list")

    async def compares(self, peer: "Person") -> list[str]:
        """Opens the safety number with somebody, from the conversation with them."""
        await self.button("About this conversation").click()
        await self.page.get_by_role("button", name=re.compile("^(Compare|Safety number)$")).last.click()
        digits = self.dialog.get_by_role("list", name="Safety number")
        await expect(digits).to_be_visible()
        return await digits.get_by_role("listitem").all_inner_texts()

    async def says_they_are_the_same(self) -> None:
        """The safety numbers, in the dialog that shows them."""
        await self.dialog.get_by_role("button", name="They are the same: mark as verified").click()
        await expect(self.dialog.get_by_role("button", name="Take the mark back")).to_be_visible()

    async def lifts_the_block(self, peer: "Person") -> None:
        """On the screen of contacts."""
        await self.picks(peer, "Unblock")
        await (
            self.page.get_by_role("dialog", name=f"Unblock {peer.username}?")
            .get_by_role("button", name="Unblock", exact=True)
            .click()
        )

    async def unlocks(self) -> None:
        """What this device lacks, with the password."""
        await self.button("Unlock").click()
        await self.dialog.get_by_label("Password", exact=True).fill(self.password)
        await self.dialog.get_by_role("button", name="Unlock").click()
        await expect(self.dialog).to_be_hidden()

    async def begins_again(self) -> None:
        """With new keys, in the settings."""
        await self.goes_to("#/settings/security")
        await self.button("Begin again with new keys").click()
        await self.dialog.get_by_label("Password", exact=True).fill(self.password)
        await self.dialog.get_by_role("checkbox").check()
        await self.dialog.get_by_role("button", name="Begin again with new keys").click()
        await self.keeps_the_recovery_key()
        await self.is_in()

    @property
    def dialog(self) -> Locator:
        """The one that is open over the page."""
        return self.page.get_by_role("dialog")

    # --- the browser ---------------------------------------------------------------------------------------------------

    async def is_kept(self) -> None:
        """The service worker has everything that the page needs."""
        await self.page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        await self.page.wait_for_function("navigator.serviceWorker.controller !== null")

    async def devtools(self) -> CDPSession:
        """A way around the page."""
        return await self.context.new_cdp_session(self.page)

    async def goes_to(self, hash: str) -> None:
        """A screen, by its address."""
        await self.page.evaluate("hash => { location.hash = hash }", hash)


MakePeople = Callable[..., Any]
