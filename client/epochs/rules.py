"""What is decided about epochs, without I/O: whether one may be sealed under, and what a roster changes (protocol §6.5)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from client.crypto.epochs import RosterLine
from client.protocol.ids import UserId
from client.protocol.problems import Problem
from client.sealer import RosterChange

OLDEST_S: Final = 30 * 86_400  # an epoch that is older is followed by a new one
MOST_MESSAGES: Final = 10_000  # and so is one with more messages


def is_due(made_at: int, now_s: float, messages: int) -> bool:
    """Whether an epoch has lasted long enough. `made_at`: its record's `ts`."""
    # A creator whose clock was a year ahead must not keep the room under one key for a year.
    return abs(now_s - made_at) > OLDEST_S or messages >= MOST_MESSAGES


def outdates(newest: int, sealed_under: int, refusal: Problem) -> bool:
    """Whether a refused send (`epoch_stale`) speaks of the newest epoch that is known here.

    It may have crossed the entry that told of that one, which is as good as it was, then.
    """
    named = refusal.more.get("epoch")
    if not isinstance(named, int):
        named = 0
    return newest <= sealed_under or newest < named or (newest == named and refusal.more.get("stale") is True)


def change_of(before: Iterable[RosterLine] | None, members: Collection[UserId] | None, after: Iterable[RosterLine]) -> RosterChange:  # fmt: skip
    """What a roster changes, against the one before it; if that is not known, against who is said to be in the room."""
    now = {line.user: line for line in after}
    if before is not None:
        old = {line.user: line for line in before}
        rekeyed = [user for user in now.keys() & old.keys() if now[user] != old[user]]
        return RosterChange(_sorted(now.keys() - old.keys()), _sorted(old.keys() - now.keys()), _sorted(rekeyed))
    return RosterChange() if members is None else RosterChange(added=_sorted(now.keys() - set(members)))


def _sorted(users: Iterable[UserId]) -> tuple[UserId, ...]:
    return tuple(sorted(users))


def why_not(
    roster: Collection[RosterLine], *, me: UserId, creator: UserId, peer: UserId | None,
    identities: Mapping[UserId, bytes], versions: Mapping[UserId, int],
) -> str | None:  # fmt: skip
    """Why nothing is sealed under an epoch with this roster; None: it may be.

    `peer`: the other one of a direct room. `identities` and `versions` are those of the members' documents, as far as known.
    """
    users = {line.user for line in roster}
    if me not in users:
        return "this user is not among its readers"
    if creator not in users:
        return "its maker hides"
    if peer is not None and users != {me, peer}:
        return "a direct room has two readers"
    for line in roster:
        if identities.get(line.user, line.identity) != line.identity:
            return "a reader has another identity key"
        if versions.get(line.user, line.version) > line.version:
            return "a reader has a newer encryption key"
    return None
