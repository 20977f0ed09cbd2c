"""Bytes of PostgreSQL: how `bench.written` divides what it measured, and that docs/scaling.md computes with what is kept."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.model import COSTS
from bench.written import divided

ROOT = Path(__file__).parents[2]
BYTES = st.floats(1.0, 10_000.0)


@given(message=BYTES, entry=BYTES, messages=st.integers(1, 100_000))
def test_what_grew_is_divided_among_messages_and_entries(message, entry, messages):
    few, many = (
        {
            "messages": float(messages),
            "entries": float(messages * entries),
            "log": messages * (message + entries * entry),
            "held": messages * (entry + entries * message),
        }
        for entries in (2, 100)
    )

    assert divided(few, many) == pytest.approx(
        {
            "log_bytes_per_message": message,
            "log_bytes_per_entry": entry,
            "held_bytes_per_message": entry,
            "held_bytes_per_entry": message,
        },
        rel=1e-3,
        abs=0.1,
    )


def test_what_the_document_computes_with_is_what_was_measured():
    text, kept = (ROOT / "docs" / "scaling.md").read_text(), json.loads(COSTS.read_text())["written"]
    said = re.search(
        r"\| PostgreSQL's log \| 40 000 × ([\d.]+) kB \+ 200 000 × ([\d.]+) kB .*\n\| storage \| 800 million × \(([\d.]+) kB \+ 5 × ([\d.]+) kB\)",
        text,
    )
    assert said, "the table of a hundred million users names its bytes"
    figures = (f"{part}_bytes_per_{of}" for part in ("log", "held") for of in ("message", "entry"))

    assert {name: float(kb) for name, kb in zip(figures, said.groups(), strict=True)} == pytest.approx(
        {name: size / 1_000 for name, size in kept.items()}, abs=0.051
    )
