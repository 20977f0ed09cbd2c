"""What the product's own counters say of a measured window: `/metrics` at its beginning and at its end."""

import re
import urllib.request
from typing import Final

SAMPLE: Final = re.compile(r"^(letterlock_\w+?)(?:\{(.*?)\})? (\S+)$", re.MULTILINE)


class Watched:
    """Counters and histograms, of the measured window alone; `window` is what `running.run` calls back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._begin: dict[tuple[str, str], float] = {}
        self.grown: dict[tuple[str, str], float] = {}

    def window(self, begins: bool) -> None:
        """Called when the window begins, and when it ends."""
        with urllib.request.urlopen(f"{self._url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        now = {(name, labels or ""): float(value) for name, labels, value in SAMPLE.findall(text)}
        if begins:
            self._begin = now
        else:
            self.grown = {key: value - self._begin.get(key, 0.0) for key, value in now.items()}

    def total(self, name: str) -> float:
        """How much a counter grew, over all labels."""
        return sum(value for (of, _), value in self.grown.items() if of == name)

    def quantile(self, name: str, share: float) -> float:
        """A quantile of a histogram, straight between the bounds of its bucket."""
        counts: dict[float, float] = {}
        for (of, labels), value in self.grown.items():
            if of == f"{name}_bucket" and (bound := re.search(r'le="([^"]+)"', labels)):
                counts[float(bound[1])] = counts.get(float(bound[1]), 0.0) + value
        wanted, below, under = share * max(counts.values(), default=0.0), 0.0, 0.0
        for bound, count in sorted(counts.items()):
            if count >= wanted:
                return (
                    bound
                    if bound == float("inf") or count == under
                    else below + (bound - below) * (wanted - under) / (count - under)
                )
            below, under = bound, count
        return below
