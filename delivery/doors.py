"""How many sockets this process takes: in all, from one address, and from one address without having said who they are.

refusal = doors.closed_to(address)      why one more would be one too many
with doors.open_for(address): …         it counts while this lasts
with doors.greeting(address) as may: …  the same until hello

An address is what limits count as one (accounts/addresses.py). How many one device may have, delivery/sockets.py says.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from kernel.errors import DomainError, Overloaded, TooManyRequests
from kernel.limits import UNAUTHENTICATED_SOCKETS

# After which a client that was one too many may try again.
RETRY_S = 5


class _Count:
    """How many there are of each address, and in all: each socket that comes asks for the sum."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()
        self.total = 0

    @contextmanager
    def one_more(self, address: str) -> Iterator[None]:
        """It is counted while this lasts."""
        self.of[address] += 1
        self.total += 1
        try:
            yield
        finally:
            self.total -= 1
            self.of[address] -= 1
            if not self.of[address]:
                del self.of[address]


# Those that have not said hello count twice.
_open = _Count()
_unauthenticated = _Count()
open_for = _open.one_more


def closed_to(address: str) -> DomainError | None:
    """Why one more socket from this address would be one too many; None when it is not."""
    if _open.of[address] >= settings.MOST_SOCKETS_PER_ADDRESS:
        return TooManyRequests("too many sockets from this address", retry_after=RETRY_S)
    if _open.total >= settings.MOST_SOCKETS:
        return Overloaded("this host has as many sockets as it takes", retry_after=RETRY_S)
    return None


@contextmanager
def greeting(address: str) -> Iterator[bool]:
    """It is counted until it has said hello; whether it may wait here to be asked."""
    if _unauthenticated.of[address] >= UNAUTHENTICATED_SOCKETS:
        yield False
        return
    with _unauthenticated.one_more(address):
        yield True
