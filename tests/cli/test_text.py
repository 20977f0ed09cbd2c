"""Whatever others write, a terminal shows it and obeys none of it; and a column is as wide as it was to be."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from client.cli.text import clean, cut, decoded, one_line, pad, wrap

ANYTHING = st.text(st.characters(), max_size=200)
# What is hard: controls, directions, joiners, marks, wide and tall letters, half pairs.
HARD = st.text(
    st.sampled_from(
        "ab \t\n\r\x00\x07\x1b\x7f\x85\x9b\x9d\u200b\u200c\u200d\u200e\u202a\u202e\u2066\u2069\u2028\ufeff\ufe0f"
        "\u3164日本שלוםمی👍🏽👩🏳🌈❤🇩🇪é\u0301\u0489ﷺ\ud800[];m0"
    ),
    max_size=120,
)


def is_harmless(text: str) -> bool:
    """No control but the newline, and nothing that changes directions or is not seen, but for joiners between letters."""
    return all(
        character == "\n" or character in "\u200c\u200d" or unicodedata.category(character) not in {"Cc", "Cf", "Cs"}
        for character in text
    )


@given(ANYTHING | HARD)
def test_nothing_is_left_that_a_terminal_would_obey(text):
    assert is_harmless(clean(text))
    assert "\n" not in one_line(text)


@given(ANYTHING | HARD)
def test_what_is_clean_stays_as_it_is(text):
    assert clean(clean(text)) == clean(text)


@given(ANYTHING | HARD, st.integers(2, 60))
def test_no_line_is_wider_than_it_may_be(text, width):
    assert all(cell_len(line) <= width for line in wrap(clean(text), width))


@given(ANYTHING | HARD, st.integers(2, 60))
def test_wrapping_loses_nothing_but_blanks(text, width):
    cleaned = clean(text)
    assert "".join("".join(wrap(cleaned, width)).split()) == "".join(cleaned.split())


@given(ANYTHING | HARD, st.integers(0, 40))
def test_a_line_is_exactly_as_wide_as_it_is_padded_to(text, width):
    assert cell_len(pad(one_line(text), width)) == width
    assert cell_len(cut(one_line(text), width)) <= width


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain text", "plain text"),
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("\x1b]0;title\x07", "␛]0;title␇"),
        ("\x1b]52;c;bWFsbG9yeQ==\x1b\\", "␛]52;c;bWFsbG9yeQ==␛\\"),
        ("\x9b2J", "\ufffd2J"),
        ("back\x08\x08space", "back␈␈space"),
        ("over\rwritten", "over\nwritten"),
        ("one\r\ntwo\u2028three", "one\ntwo\nthree"),
        ("a\tb", "a    b"),
        ("nul\x00del\x7f", "nul␀del␡"),
        ("gpj.\u202egnp.exe", "gpj.gnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("👨\u200d👩\u200d👧", "👨👩👧"),
        ("👍🏽", "👍"),
        ("❤\ufe0f", "❤"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("שלום", "שלום"),
        ("e\u0301", "é"),
        ("half a pair: \ud83d", "half a pair: \ufffd"),
    ],
)
def test_how_it_is_shown(written, shown):
    assert clean(written) == shown


def test_a_letter_has_no_more_marks_than_a_script_needs():
    assert clean("z" + "\u0335" * 500) == "z" + "\u0335" * 4


def test_a_body_that_is_no_text_is_shown_as_such():
    assert decoded(b"caf\xe9") == "caf\ufffd"


def test_words_are_kept_whole_where_they_fit():
    assert wrap("hello wide world of words", 11) == ["hello wide", "world of", "words"]
    assert wrap("a\n\n  b", 10) == ["a", "", "  b"]
    assert wrap("abcdefghij klm", 4) == ["abcd", "efgh", "ij", "klm"]
    assert wrap("日本語日本語", 5) == ["日本", "語日", "本語"]
