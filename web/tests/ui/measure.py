"""
What the screens cost, on the scripted messenger: an open room of 5 000 rows, a hundred messages a second arriving, and somebody
typing meanwhile. `npm run dev`, then `python tests/ui/measure.py http://127.0.0.1:5173/static/web/dev.html`.

Key to paint is from the key's own timestamp to the end of the frame that draws its letter (a message that is posted in the
frame's callback comes after style, layout and paint). Event Timing is of no use here: without a display, the browser reports
some frames only when others follow.
"""

import os
import sys
from typing import Any

from playwright.sync_api import sync_playwright

TYPED = "a quick brown fox jumps over the lazy dog, and over it again " * 4

WATCH = """
window.keys = [];
window.longTasks = [];
if (!window.watched) {
  window.watched = true;
  addEventListener("keydown", (event) => {
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => window.keys.push(performance.now() - event.timeStamp);
      drawn.port2.postMessage(null);
    });
  }, { capture: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.longTasks.push(entry.duration);
  }).observe({ type: "longtask" });
}
"""

ARRIVE = """
let count = 0;
window.arriving = setInterval(() => {
  window.fake.say(window.loadRoom, count % 2 ? "bob" : "carol", "Arrived " + count + ". " + "More words. ".repeat(count % 9));
  count += 1;
}, 10);
"""

SCROLL = """
async () => {
  const list = document.querySelector(".timeline");
  const frames = [];
  let last = performance.now();
  for (let step = 0; step < 120; step += 1) {
    list.scrollTop -= 240;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}
"""


def quantile(figures: list[float], share: float) -> float:
    return sorted(figures)[min(int(len(figures) * share), len(figures) - 1)]


def main(address: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(f"{address}?scene=load")
        page.wait_for_selector(".bubble")
        opened: dict[str, Any] = page.evaluate(
            "() => ({rows: document.querySelectorAll('.row').length, all: window.fake.rowsOf(window.loadRoom).length})"
        )
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(f"open room: {opened['all']} rows, {opened['rows']} of them on the page")

        frames: list[float] = page.evaluate(SCROLL)
        print(f"scrolling: frame p50 {quantile(frames, 0.5):.0f} ms, p95 {quantile(frames, 0.95):.0f} ms")
        page.keyboard.press("Alt+End")

        for what in ("idle", "100 messages/s"):
            page.evaluate(WATCH)
            if what != "idle":
                page.evaluate(ARRIVE)
            page.focus("#composer")
            page.keyboard.type(TYPED, delay=30)
            page.wait_for_timeout(300)
            keys: list[float] = page.evaluate("window.keys")
            tasks: list[float] = page.evaluate("window.longTasks")
            print(
                f"key to paint, {what}: p50 {quantile(keys, 0.5):.0f} ms, p95 {quantile(keys, 0.95):.0f} ms, "
                f"max {max(keys):.0f} ms; {len(tasks)} long tasks, longest {max(tasks, default=0):.0f} ms"
            )
            assert page.input_value("#composer").startswith(TYPED.strip())
            page.fill("#composer", "")
        page.evaluate("clearInterval(window.arriving)")
        page.wait_for_timeout(300)
        at_end: bool = page.evaluate(
            "() => { const list = document.querySelector('.timeline');"
            " return list.scrollHeight - list.scrollTop - list.clientHeight < 60; }"
        )
        print(f"the list is {'' if at_end else 'NOT '}at its newest message")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
