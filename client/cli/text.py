"""Text of others on a terminal: nothing that they write may move the cursor, change colours, or speak to the emulator.

Bodies and names come from other people and through a server that need not be honest. What a terminal would obey (C0 and C1
controls, ECMA-48) is shown as a picture of itself; what would only make text look like another (the direction overrides of
Unicode UAX #9 §2, invisible format characters) is left out. What emulators draw in different widths is brought to the form on
which they agree, so that columns stay columns.
"""

import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len

TAB = "    "
NEWLINES = {"\r\n": "\n", "\r": "\n", "\x0b": "\n", "\x0c": "\n", "\x85": "\n", "\u2028": "\n", "\u2029": "\n"}
REPLACED = "\ufffd"
JOINERS = frozenset("\u200c\u200d")
# A letter with more marks than any script gives it only paints over the lines around it.
MARKS_PER_LETTER = 4
# Letters that show as nothing: Hangul fillers and the blank of Braille.
BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800")
SKIN_TONES = range(0x1F3FB, 0x1F400)
ELLIPSIS = "…"


def clean(text: str) -> str:
    """The text in a form that is safe to print, with a newline for every kind of line end and spaces for tabs."""
    for newline, replacement in NEWLINES.items():
        text = text.replace(newline, replacement)
    text = unicodedata.normalize("NFC", text.replace("\t", TAB))
    if text.isascii() and text.isprintable():
        return text
    # Again, because what stood between a letter and its mark may be gone.
    return unicodedata.normalize("NFC", "".join(_few_marks(_shown(text))))


def _shown(text: str) -> str:
    """Each character as it may be shown; joiners, where both neighbours want them."""
    shown = "".join(map(_show, text))
    if JOINERS.isdisjoint(shown):
        return shown
    # Persian and Indic spelling needs them between letters. Between pictures they make one out of several, and no two emulators
    # agree on how wide that one is.
    return "".join(
        character
        for before, character, after in zip(f" {shown}", shown, f"{shown[1:]} ", strict=False)
        if character not in JOINERS or (_is_letter(before) and _is_letter(after))
    )


def _show(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return character if character == "\n" else chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if character in JOINERS:
        return character
    category = unicodedata.category(character)
    if category in {"Cc", "Cs"}:
        return REPLACED
    if category == "Cf" or 0xFE00 <= code <= 0xFE0F:  # format characters; variation selectors change a width
        return ""
    if code in SKIN_TONES:  # a cell or two of their own, or none
        return ""
    return " " if character in BLANK_LETTERS else character


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"


def _few_marks(characters: str) -> Iterator[str]:
    marks = 0
    for character in characters:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if marks <= MARKS_PER_LETTER:
            yield character


def one_line(text: str, width: int | None = None) -> str:
    """The text as one safe line, at most `width` cells wide; what is cut off is marked by an ellipsis."""
    line = " ".join(clean(text).split())
    return line if width is None else cut(line, width)


def cut(line: str, width: int) -> str:
    """At most the first `width` cells of a safe line."""
    if cell_len(line) <= width:
        return line
    return _beginning(line, max(width - 1, 0)) + ELLIPSIS if width > 0 else ""


def pad(line: str, width: int) -> str:
    """A safe line, exactly `width` cells wide."""
    line = cut(line, width)
    return line + " " * (width - cell_len(line))


def _beginning(line: str, width: int) -> str:
    """As much of a line as fits; a letter keeps its marks."""
    taken, used = 0, 0
    for character in line:
        used += cell_len(character)
        if used > width:
            break
        taken += 1
    return line[:taken]


def wrap(text: str, width: int) -> list[str]:
    """Safe text as lines of at most `width` cells, broken between words where that is possible."""
    width = max(width, 2)  # one wide character
    return [line for paragraph in text.split("\n") for line in _wrap_paragraph(paragraph, width)]


def _wrap_paragraph(paragraph: str, width: int) -> Iterator[str]:
    while len(beginning := _beginning(paragraph, width) or paragraph[:1]) < len(paragraph):
        # The blank behind a line that is exactly full belongs to the break.
        at = len(beginning) if paragraph[len(beginning)] == " " else beginning.rfind(" ")
        if at <= 0 or not paragraph[:at].strip():
            yield beginning
            paragraph = paragraph[len(beginning) :]
        else:
            yield paragraph[:at].rstrip(" ")
            paragraph = paragraph[at:].lstrip(" ")
    yield paragraph.rstrip(" ")


def decoded(body: bytes) -> str:
    """A body as text; what is no UTF-8 is shown as such."""
    return body.decode("utf-8", "replace")
