"""A safety code that is held before the camera. What the camera sees is a film of the code on the other one's page."""

import re

import pytest
import pytest_asyncio
from playwright.async_api import async_playwright, expect

from tests.web import needs
from tests.web.axe import flaws
from tests.web.conftest import FLAGS
from tests.web.person import Person

WIDTH, HEIGHT = 640, 480
DARK, LIGHT, AROUND = b"\x1e", b"\xeb", b"\x80"

# What the page has got of cameras, to see that it gives it back.
KEEPS_STREAMS = """
window.streams = [];
const open = MediaDevices.prototype.getUserMedia;
MediaDevices.prototype.getUserMedia = async function (asked) {
  const stream = await open.call(this, asked);
  window.streams.push(stream);
  return stream;
};
"""
TRACKS = "window.streams.flatMap((stream) => stream.getTracks().map((track) => track.readyState))"


@pytest.fixture
def film(tmp_path):
    return tmp_path / "film.y4m"


def record(film, size, dark):
    """A film of a code that fills half of the picture; `dark` has the places of its dark squares."""
    scale = HEIGHT // 2 // size
    left, top = (WIDTH - size * scale) // 2, (HEIGHT - size * scale) // 2
    rows = []
    for y in range(HEIGHT):
        line = (y - top) // scale
        row = b"".join((DARK if (x, line) in dark else LIGHT) * scale for x in range(size))
        row = row if 0 <= line < size else AROUND * len(row)
        rows.append(AROUND * left + row + AROUND * (WIDTH - left - len(row)))
    picture = b"".join(rows) + b"\x80" * (WIDTH * HEIGHT // 2)
    film.write_bytes(b"YUV4MPEG2 W%d H%d F10:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT) + (b"FRAME\n" + picture) * 3)


async def code_of(person, peer):
    """Opens the safety number; the size of the own code, and its dark squares."""
    await person.opens(peer)
    await person.compares(peer)
    code = person.dialog.get_by_role("img", name="Code to be scanned by the other device")
    size = int((await code.get_attribute("viewBox")).split()[-1])
    path = await code.locator("path").get_attribute("d")
    await person.page.keyboard.press("Escape")
    return size, {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1", path)}


@pytest_asyncio.fixture(loop_scope="session")
async def with_camera(web_client, system, complaints, film):
    """Somebody whose browser has a camera, which sees the film, and may use it."""
    flags = [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=needs.chromium(), args=[*FLAGS, *flags])

        async def visit(name):
            person = Person(name, system.url, browser, complaints)
            await person.begins()
            await person.page.add_init_script(KEEPS_STREAMS)
            await person.page.reload()
            return await person.signs_up()

        yield visit
        await browser.close()


async def test_who_holds_their_code_before_the_camera_is_verified_and_a_wrong_code_is_warned_of(
    people, film, with_camera
):
    bob, carol = await people("bob", "carol")
    await bob.writes(carol, "hello")
    wrong, right = await code_of(carol, bob), await code_of(bob, carol)
    record(film, *wrong)
    alice = await with_camera("alice")
    await alice.writes(bob, "Show me your code")
    await alice.compares(bob)

    await alice.dialog.get_by_role("button", name="Scan the other code").press("Enter")
    await expect(alice.dialog).to_contain_text("This code belongs to somebody else, or to other keys.")
    await expect(alice.dialog).to_contain_text("Not verified")
    assert await alice.page.evaluate(TRACKS) == ["ended"]

    record(film, *right)
    await alice.dialog.get_by_role("button", name="Scan the other code").press("Enter")
    await alice.is_told(f"{bob.username} is verified.")
    await expect(alice.dialog.get_by_role("button", name="Take the mark back")).to_be_visible()
    assert await alice.page.evaluate(TRACKS) == ["ended", "ended"]
    await expect(alice.dialog.locator("video")).to_have_count(0)


async def test_the_camera_is_on_only_while_its_picture_is_shown(people, film, with_camera):
    (bob,) = await people("bob")
    record(film, 41, set())
    alice = await with_camera("alice")
    await alice.writes(bob, "hello")
    await alice.compares(bob)

    button = alice.dialog.get_by_role("button", name=re.compile("^(Scan the other code|Stop the camera)$"))
    await button.press("Enter")
    await alice.is_told("Hold the code of the other device before the camera.")
    await expect(button).to_have_text("Stop the camera")
    await expect(button).to_be_focused()
    await alice.page.wait_for_function("document.querySelector('video').currentTime > 0")
    assert await alice.page.evaluate(TRACKS) == ["live"]
    assert await flaws(alice.page) == []

    await button.press("Enter")
    await expect(button).to_have_text("Scan the other code")
    await expect(button).to_be_focused()
    assert await alice.page.evaluate(TRACKS) == ["ended"]

    await button.press("Enter")
    await alice.is_told("Hold the code of the other device before the camera.")
    await alice.page.keyboard.press("Escape")
    await expect(alice.dialog).to_be_hidden()
    assert await alice.page.evaluate(TRACKS) == ["ended", "ended"]


async def test_without_a_camera_the_text_of_the_code_is_pasted(people):
    alice, bob = await people("alice", "bob")
    await alice.writes(bob, "hello")
    await alice.compares(bob)
    await alice.dialog.get_by_role("button", name="Scan the other code").click()
    await expect(alice.dialog.get_by_role("alert").filter(has_text="aste the text of the code")).to_be_visible()
    await alice.dialog.get_by_label("Text of the other code").fill("https://example.org")
    await alice.dialog.get_by_role("button", name="Check").click()
    await expect(alice.dialog).to_contain_text("That is no code of this messenger.")
    await expect(alice.dialog).to_contain_text("Not verified")
