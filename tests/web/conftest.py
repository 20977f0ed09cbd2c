"""A browser, and people who use the messenger in it (tests/web/person.py).

All async tests of this folder run on one event loop, because Playwright's browser lives on the loop that started it.

- `browser`: Chromium, one for the whole run.
- `people("alice", "bob")`: people who have signed up, each in a browser profile of their own; gone after the test.
- `visitor("alice")`: somebody who has not.
- A page that writes an error to its console, throws, or violates its Content-Security-Policy fails the test.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.cast import Cast
from tests.web import needs
from tests.web.person import Complaints, Person

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items):
    for item in items:
        if "/tests/web/" in item.path.as_posix() and asyncio.iscoroutinefunction(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def web_client(_web_client):
    """The client is built, and the shared system serves it."""
    needs.a_built_client()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(web_client) -> AsyncIterator[Browser]:
    program = needs.chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def complaints():
    heard = Complaints()
    yield heard
    assert heard.heard == []


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser, system, complaints):
    """Somebody with a browser, who has not signed up. `url` names another host than the shared system's first."""
    made = []

    async def visit(name, *, url="", **options):
        made.append(Person(name, url or system.url, browser, complaints))
        return await made[-1].begins(**options)

    yield visit
    for person in made:
        await person.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def people(visitor):
    """People with accounts."""

    async def sign_up(*names, **options):
        visitors = [await visitor(name, **options) for name in names]
        return list(await asyncio.gather(*(each.signs_up() for each in visitors)))

    return sign_up


@pytest_asyncio.fixture(loop_scope="session")
async def another_device(visitor):
    """The same person in another browser, signed in there; with `signed_in=False`, not yet."""
    made = []

    async def sign_in(person, *, signed_in=True, **options):
        twin = await person.on_another_device().begins(**options)
        made.append(twin)
        return await twin.signs_in() if signed_in else twin

    yield sign_in
    for twin in made:
        await twin.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def cast(system) -> AsyncIterator[Cast]:
    """As in tests/conftest.py, on the loop of the browser."""
    async with Cast(system.url) as made:
        yield made
