"""Every screen of the web client on a scripted messenger (web/tests/ui/scenes.ts): what stands on it, and pictures to look at.

Nobody's system is needed: the page of scenes is built into a folder, and the browser is handed its files. `make screens` takes
pictures of all scenes in both themes and both widths, `make screens ARGS="--language ko contacts safety"` of some in Korean.
"""

import argparse
import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Route, async_playwright

from config.webclient import build

THEMES: Final = ("light", "dark")
WIDTHS: Final = {"wide": {"width": 1280, "height": 800}, "narrow": {"width": 360, "height": 740}}
LANGUAGES: Final = ("en", "ko")

# Loopback is a secure context; nothing listens there, the files come from `Stage`.
ORIGIN: Final = "http://localhost:1"
PATIENCE_MS: Final = 45_000


class Look(NamedTuple):
    """How a scene is looked at."""

    width: str
    language: str = "en"


class Stage:
    """Opens scenes in a browser."""

    def __init__(self, browser: Browser, site: Path) -> None:
        self._browser, self._site = browser, site
        self.complaints: list[str] = []

    async def page(self, look: Look) -> Page:
        """A page that scenes can be shown on, one after the other; without motion, so that each has come to rest."""
        context = await self._browser.new_context(viewport=WIDTHS[look.width], reduced_motion="reduce", base_url=ORIGIN)
        await context.route("**/*", self._answer)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(f"{page.url}: {error}"))
        page.on("console", lambda said: self._hear(page, said.type, said.text))
        return page

    async def names(self, page: Page) -> list[str]:
        await page.goto("/dev.html")
        await page.wait_for_function("window.scenes !== undefined")
        names: list[str] = await page.evaluate("window.scenes")
        return names

    async def show(self, page: Page, scene: str, look: Look) -> None:
        await page.goto(f"/dev.html?scene={scene}&lang={look.language}")
        ended = await page.wait_for_selector("[data-scene]", state="attached", timeout=PATIENCE_MS)
        said = await ended.get_attribute("data-scene") if ended else None
        assert said == "shown", f"{scene}, {look}: {said}"

    async def _answer(self, route: Route) -> None:
        path = self._site / urlsplit(route.request.url).path.lstrip("/")
        if path.is_file():
            await route.fulfill(path=path)
        else:
            await route.fulfill(status=204)

    def _hear(self, page: Page, kind: str, text: str) -> None:
        if kind == "error":
            self.complaints.append(f"{page.url}: {text}")


def build_into(folder: Path) -> Path:
    """Build the page of scenes. Raises `build.CannotBuild`."""
    build.install()
    build.npm("run", "scenes", "--", "--outDir", str(folder), "--emptyOutDir", "--logLevel", "warn")
    return folder


async def take(folder: Path, program: str, names: Sequence[str], languages: Sequence[str]) -> int:
    """Pictures of these scenes, or of all."""
    site = build_into(folder / "site")
    taken = 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        stage = Stage(browser, site)
        for look in (Look(width, language) for language in languages for width in WIDTHS):
            page = await stage.page(look)
            for name in names or await stage.names(page):
                try:
                    await stage.show(page, name, look)
                except AssertionError as failure:
                    stage.complaints.append(str(failure))
                for theme in THEMES:
                    await page.emulate_media(color_scheme=theme)
                    path = folder / f"{look.language}-{look.width}-{theme}" / f"{name}.png"
                    await page.screenshot(path=path, animations="disabled")
                    taken += 1
            await page.context.close()
        await browser.close()
    for complaint in stage.complaints:
        print(complaint)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description="Take pictures of the web client's screens.")
    parser.add_argument("names", nargs="*", help="scenes of web/tests/ui/scenes.ts; all unless some are named")
    parser.add_argument("--language", action="append", choices=LANGUAGES, help="both unless one is chosen")
    parser.add_argument("--into", type=Path, default=build.WEB.parent / "var" / "screens", metavar="FOLDER")
    given = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        parser.exit(1, "There is no Chromium.\n")
    try:
        taken = asyncio.run(take(given.into, program, given.names, given.language or LANGUAGES))
    except build.CannotBuild as refusal:
        parser.exit(1, f"The scenes could not be built: {refusal}\n")
    print(f"{taken} pictures under {given.into}")


if __name__ == "__main__":
    main()
