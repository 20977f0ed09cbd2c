"""axe-core, on a page as it is now."""

from typing import Any

from playwright.async_api import Page

from config.webclient import build


async def flaws(page: Page) -> list[tuple[str, list[Any]]]:
    """The rules that are violated, each with up to three places and what is wrong there."""
    if not await page.evaluate("typeof axe !== 'undefined'"):
        await page.evaluate((build.WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = await page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((all) => all.violations)")
    return [(each["id"], [(node["target"], node["failureSummary"]) for node in each["nodes"]][:3]) for each in found]
