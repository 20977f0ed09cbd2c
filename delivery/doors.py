"""How many sockets this process takes: in all, from one address, and from one address without having said who they are.

refusal = doors.closed_to(address)      why one more would be one too many
with doors.open_for(address): …         it counts while this lasts
with doors.greeting(address) as may: …  the same until hello
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from kernel.errors import DomainError, Overloaded, TooManyRequests
from kernel.limits import UNAUTHENTICATED_SOCKETS

# After which a client that was one too many may try again.
RETRY_S = 5

# By address; those that have not said hello count twice.
_open: Counter[str] = Counter()
_unauthenticated: Counter[str] = Counter()


def closed_to(address: str) -> DomainError | None:
    """Why one more socket from this address would be one too many; None when it is not."""
    if _open[address] >= settings.MOST_SOCKETS_PER_ADDRESS:
        return TooManyRequests("too many sockets from this address", retry_after=RETRY_S)
    if _open.total() >= settings.MOST_SOCKETS:
        return Overloaded("this host has as many sockets as it takes", retry_after=RETRY_S)
    return None


@contextmanager
def open_for(address: str) -> Iterator[None]:
    """It is counted while this lasts."""
    with _counted(_open, address):
        yield


@contextmanager
def greeting(address: str) -> Iterator[bool]:
    """It is counted until it has said hello; whether it may wait here to be asked."""
    if _unauthenticated[address] >= UNAUTHENTICATED_SOCKETS:
        yield False
        return
    with _counted(_unauthenticated, address):
        yield True


@contextmanager
def _counted(counter: Counter[str], address: str) -> Iterator[None]:
    counter[address] += 1
    try:
        yield
    finally:
        counter[address] -= 1
        if not counter[address]:
            del counter[address]
