"""How a device keeps its copy of the user's connections in step (protocol §5.2): what is news, what is complete, what to report.

Every change has a number of its own, the *version*; a connection carries that of its newest change. So what comes may come
in any order and again: the newer one holds. What has to be known exactly is up to which version *nothing is missing*,
because that is what a device reports, and what enforcement goes by.
"""

import math
from dataclasses import dataclass, replace

from client.protocol.relations import Relation, RelationsPage

# A block is reported at once, anything else together with what comes within this time.
REPORT_S = 3.0


def is_news(said: Relation, stored: Relation | None) -> bool:
    """Whether to store what was said. Version 0 is that of people with whom there has never been anything."""
    return said.version > (stored.version if stored is not None else 0)


def changes_a_block(said: Relation, stored: Relation | None) -> bool:
    """Whether one of the two blocks the other now, or no longer does."""
    return said.blocks != (stored.blocks if stored is not None else (False, False))


@dataclass(frozen=True, slots=True)
class Progress:
    """`version`: everything up to it is stored. `heard`: the newest that this device has heard of."""

    version: int = 0
    heard: int = 0

    @property
    def is_behind(self) -> bool:
        """Whether something is missing that only paging brings."""
        return self.heard > self.version

    def stored(self, version: int) -> "Progress":
        """One change is stored. Only the next one in line completes anything; behind a gap it does not."""
        complete = version if version == self.version + 1 else self.version
        return Progress(complete, max(self.heard, version))

    def heard_of(self, version: int) -> "Progress":
        """There is such a version; what it says has not come."""
        return replace(self, heard=max(self.heard, version))

    def completed(self, version: int) -> "Progress":
        """Paging came to its end at this version."""
        return Progress(max(self.version, version), max(self.heard, version))


@dataclass(frozen=True, slots=True)
class Run:
    """Paging, from what is complete to the end. `since`: of the page that comes next; `newest`: the version at the last page.

    Before its end nothing is complete: what changes meanwhile moves to a later page.
    """

    since: int
    newest: int = 0

    def expects(self, since: int, page: RelationsPage) -> bool:
        """Whether this page follows the last one, and was not read before it."""
        return since == self.since and page.version >= self.newest

    def after(self, page: RelationsPage) -> "Run | None":
        """What to read next; None at the end."""
        return None if page.next is None else Run(page.next, page.version)


class Reports:
    """When to tell the server what is stored. `told`: the newest version that it has confirmed. Times are monotonic seconds."""

    def __init__(self, told: int) -> None:
        self.told = told
        self._at = math.inf

    def stored(self, now: float, *, at_once: bool) -> None:
        """Something new is stored."""
        self._at = min(self._at, now if at_once else now + REPORT_S)

    def due_at(self, version: int) -> float:
        """When to report that everything up to `version` is stored; infinity when that is said already."""
        return self._at if version > self.told else math.inf

    def begins(self) -> None:
        """A report is on its way: what is stored from now on wants another one."""
        self._at = math.inf

    def failed(self, now: float) -> None:
        """It may not have arrived: again, as soon as the caller's back-off allows."""
        self.stored(now, at_once=True)

    def arrived(self, version: int) -> None:
        """The server knows."""
        self.told = max(self.told, version)
