"""Rows as lines of styled text, for a given width. Pure; `client.cli.tui` gives the styles their colours.

A line is a list of (text, style). No line is wider than asked for, in cells.
"""

from collections.abc import Iterator
from zlib import crc32

from rich.cells import cell_len

from client import UserId
from client.cli.model import Bubble, Day, Form, NewFrom, Notice, Row, Tick
from client.cli.text import cut, wrap

Span = tuple[str, str]
Line = list[Span]

AUTHORS = 6  # how many colours people have
INDENT = 2
TICKS = 8  # columns at the right that text leaves to the ticks
LEAST = 12  # under this width nothing can be laid out

TICK_STYLES = {
    Tick.WAITING: "tick-waiting",
    Tick.SENT: "tick-sent",
    Tick.DELIVERED: "tick-delivered",
    Tick.READ: "tick-read",
    Tick.FAILED: "tick-failed",
}


def author_style(user: UserId, *, mine: bool) -> str:
    """The style of a name: always the same for one person."""
    return "author-me" if mine else f"author-{crc32(user.encode()) % AUTHORS}"


def lines_of(row: Row, width: int) -> list[Line]:
    """A row's lines."""
    width = max(width, LEAST)
    match row:
        case Day(words=words):
            return [_across(words, width, "day")]
        case NewFrom(count=count):
            return [_across(f"{count} new" if count else "new", width, "new")]
        case Notice(words=words):
            return [[(f" {line}", "notice")] for line in wrap(f"· {words}", width - 1)]
        case Bubble():
            return list(_bubble(row, width))


def _across(words: str, width: int, style: str) -> Line:
    words = f" {cut(words, width - 6)} "
    left = (width - cell_len(words)) // 2
    right = width - cell_len(words) - left
    return [("─" * left, f"{style}-line"), (words, style), ("─" * right, f"{style}-line")]


def _bubble(bubble: Bubble, width: int) -> Iterator[Line]:
    if bubble.heads:
        author = cut(bubble.author, width - len(bubble.clock) - 2)
        yield [(author, author_style(bubble.user, mine=bubble.mine)), (f" {bubble.clock}", "clock")]
    style = "text" if bubble.form is Form.TEXT else "instead"
    inner = width - INDENT - (TICKS if bubble.tick is not None else 1)
    texts = wrap(bubble.text, inner)
    for text in texts[:-1]:
        yield [(" " * INDENT + text, style)]
    yield _last(texts[-1], style, bubble, width)
    if bubble.trouble:
        for text in wrap(bubble.trouble + _remedy(bubble), width - INDENT - 1):
            yield [(" " * INDENT + text, "trouble")]


def _last(text: str, style: str, bubble: Bubble, width: int) -> Line:
    line: Line = [(" " * INDENT + text, style)]
    if bubble.tick is not None:
        gap = width - INDENT - cell_len(text) - cell_len(bubble.tick_words) - 1
        line += [(" " * max(gap, 1), style), (bubble.tick_words, TICK_STYLES[bubble.tick])]
    return line


def _remedy(bubble: Bubble) -> str:
    ways = [*(["/again sends it again"] if bubble.can_resend else []), *(["/discard"] if bubble.can_discard else [])]
    return f" {' · '.join(ways)}" if ways else ""
