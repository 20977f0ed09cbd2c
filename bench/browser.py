"""`python -m bench.browser`: what sealing costs a browser, in Chromium on this machine (web/tests/bench/sealing.ts)."""

import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.table import Table

from bench import machine
from bench.report import number

WEB: Final = Path(__file__).parents[1] / "web"
BOUNDS_MS: Final = {
    "seal one message": 2.0,
    "open a message, 100 at once": 2.0,
    "make an epoch for 1 000": 1_000.0,
    "a password, by standard parameters, in the worker": 1_500.0,
}


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def measured(chromium: str) -> dict[str, float]:
    """Milliseconds of each deed."""
    with TemporaryDirectory() as folder:
        for script in ("tests/bench/sealing.ts", "src/worker/argon2.ts"):
            subprocess.run(
                [WEB / "node_modules/.bin/rolldown", script, "--format", "esm", "--platform", "browser", "--dir", folder],
                cwd=WEB, check=True, capture_output=True,
            )  # fmt: skip
        (Path(folder) / "index.html").write_text('<!doctype html><script type="module" src="sealing.js"></script>')
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                return in_page(chromium, f"http://127.0.0.1:{server.server_port}/")
            finally:
                server.shutdown()


def in_page(chromium: str, url: str) -> dict[str, float]:
    """Run it in a page of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(600_000)
        page.goto(url)
        page.wait_for_function("() => 'measure' in globalThis")
        figures: dict[str, float] = page.evaluate("() => measure('argon2.js')")
        browser.close()
        return figures


def main() -> int:
    """0 when everything was within its bound."""
    figures = measured(sys.argv[1] if len(sys.argv) > 1 else "/usr/bin/chromium")
    facts = machine.facts()
    table = Table(title=f"Sealing in Chromium; {facts['cpu']}, {facts['cores']} cores", title_justify="left")
    for column in ("deed", "ms", "bound"):
        table.add_column(column, justify="left" if column == "deed" else "right", no_wrap=True)
    for deed, ms in figures.items():
        bound = BOUNDS_MS.get(deed)
        table.add_row(deed, number(ms, 3 if ms < 10 else 0), "" if bound is None else number(bound, 0))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 0 if all(figures[deed] <= bound for deed, bound in BOUNDS_MS.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
