"""Every screen on the scripted messenger, in both themes, both widths and both languages: what holds for all of them."""

import pytest

from config.webclient import build
from tests.web import needs
from tests.web.axe import flaws
from tests.web.scenes import LANGUAGES, THEMES, WIDTHS, Look, Stage, build_into

LOOKS = [Look(width, language) for width in WIDTHS for language in LANGUAGES]

# What is wider than its place, or stands out of the page. What is cut on purpose has an ellipsis; dialogs and lists scroll down,
# nothing scrolls sideways.
STICKS_OUT = """
() => {
  const inner = document.documentElement.clientWidth;
  const told = (element) => `${element.tagName.toLowerCase()}.${element.className} ${element.textContent.slice(0, 40)}`;
  const found = [];
  for (const element of document.querySelectorAll("body *:not(svg *)")) {
    if (!element.checkVisibility() || element.closest(".visually-hidden, .skip") !== null) continue;
    const { left, right, width } = element.getBoundingClientRect();
    if (width > 0 && (left < -1 || right > inner + 1)) found.push(told(element));
    const { overflowX, textOverflow } = getComputedStyle(element);
    const isCut = overflowX !== "visible" && textOverflow !== "ellipsis" && element.matches(":not(input, textarea)");
    if (isCut && element.scrollWidth > element.clientWidth + 1) found.push(`inside ${told(element)}`);
  }
  return found;
}
"""

BELOW_THE_VIEW = """
() => {
  const list = document.querySelector(".timeline");
  return list.scrollHeight - list.scrollTop - list.clientHeight;
}
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The page of scenes, built for this run."""
    needs.node()
    try:
        return build_into(tmp_path_factory.mktemp("scenes"))
    except build.CannotBuild as refusal:
        pytest.fail(str(refusal))


@pytest.fixture
def stage(browser, site):
    """Where scenes are shown; what a page complains of fails the test."""
    stage = Stage(browser, site)
    yield stage
    assert stage.complaints == []


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.width}-{look.language}")
async def test_every_screen_can_be_read_and_heard_by_everybody(stage, look):
    """Nothing sticks out, and axe finds nothing in either theme (once: it does not hear what language is spoken)."""
    page = await stage.page(look)
    found = {}
    names = await stage.names(page)
    assert len(names) > 80
    for name in names:
        await stage.show(page, name, look)
        if sticks_out := await page.evaluate(STICKS_OUT):
            found[name] = sticks_out
        for theme in THEMES if look.language == "en" else ():
            await page.emulate_media(color_scheme=theme)
            if violations := await flaws(page):
                found[name, theme] = violations
    await page.context.close()
    assert found == {}


@pytest.mark.parametrize("scene", ["bob", "long", "names-that-are-long", "offline"])
@pytest.mark.parametrize("width", WIDTHS)
async def test_a_conversation_opens_at_its_newest_message(stage, width, scene):
    look = Look(width)
    page = await stage.page(look)
    await stage.show(page, scene, look)
    assert await page.evaluate(BELOW_THE_VIEW) < 2
    await page.context.close()


async def test_who_writes_much_still_sees_the_newest_message(stage):
    """The box grows, and the list above it goes on standing at its end."""
    look = Look("narrow")
    page = await stage.page(look)
    await stage.show(page, "writing", look)
    assert await page.evaluate(BELOW_THE_VIEW) < 2
    await page.context.close()


@pytest.mark.parametrize("scene", ["leave", "sign-out", "reset", "rename-device", "block"])
async def test_a_dialog_is_no_wider_than_its_words_are_read(stage, scene):
    look = Look("wide")
    page = await stage.page(look)
    await stage.show(page, scene, look)
    assert await page.evaluate("document.querySelector('dialog[open]').offsetWidth") <= 460
    await page.context.close()
