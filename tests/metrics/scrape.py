"""One answer of `/metrics`, read as Prometheus reads it."""

import asyncio
import time
from collections.abc import Callable
from typing import Self

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """Families by name; `scrape["letterlock_…_total", "code=invalid"]` is the sum of the samples with these labels."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    @classmethod
    def of(cls, url: str, **headers: str) -> Self:
        """Ask this host."""
        answer = httpx.get(f"{url}/metrics", headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text
        return cls(answer.text)

    def __getitem__(self, asked: str | tuple[str, ...]) -> float:
        name, *labels = (asked,) if isinstance(asked, str) else asked
        wanted = dict(label.split("=", 1) for label in labels)
        return sum(s.value for s in self._samples if s.name == name and wanted.items() <= s.labels.items())

    def labels(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {sample.labels[label] for sample in self._samples if sample.name == name}


async def scraped(url: str, true: Callable[[Scrape], bool], patience_s: float = 15.0) -> Scrape:
    """Scrape until it is so; the scrape in which it was."""
    deadline = time.monotonic() + patience_s
    while not true(found := Scrape.of(url)):
        assert time.monotonic() < deadline, {s.name: s.value for f in found.families.values() for s in f.samples}
        await asyncio.sleep(0.05)
    return found
