"""The operators' page names every metric, and no other."""

import re
from pathlib import Path

from kernel import metrics

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
SUFFIXES = ("_bucket", "_count", "_sum")


def test_every_metric_is_described():
    families = list(metrics.REGISTRY.collect())
    declared = {f"{family.name}_total" if family.type == "counter" else family.name for family in families}
    declared |= {figure.name for figure in metrics.FIGURES}
    named = set(re.findall(r"letterlock_[a-z_]+", PAGE.read_text()))
    histograms = {family.name for family in families if family.type == "histogram"}

    assert declared <= named
    assert {name for name in named - declared if not name.endswith(SUFFIXES)} == set()
    assert {name.rpartition("_")[0] for name in named - declared} <= histograms


def test_names_are_as_prometheus_wants_them():
    for family in metrics.REGISTRY.collect():
        assert family.type in ("counter", "gauge", "histogram")
        assert re.fullmatch(r"letterlock_[a-z_]+", family.name)
        assert not family.name.endswith(("_ms", "_minutes", "_kb", "_percent"))
