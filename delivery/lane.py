"""Where sends come from and answers go, and in which order: whoever was turned away is repeated before later sends of its room
(docs/protocol.md §4.4)."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol, TypeGuard

from delivery.frames import UUID_TEXT
from kernel.errors import DomainError

# In how many rooms sends of one socket may wait for one that was refused for the time being, before it is hung up.
TURNED_AWAY_ROOMS = 1_000


class Answered(Protocol):
    """What the sender service says of one send; see chat.intake.Answer."""

    id: str
    ref: str | None
    text: str | None
    error: DomainError | None


class Lane(ABC):
    """One socket or one POST, within which order is kept: a base and no part of it, so that no socket waits for the cycle collector."""

    def __init__(self) -> None:
        # Room → id of the send that was refused for the time being; touched by the committer only.
        self.refused: dict[str, str] = {}
        # The same for sends that never reached the committer; touched by the submitting thread only.
        self.turned_away: dict[str, str] = {}
        # Room → the newest epoch under which a send was refused as outdated; touched by the committer only.
        self.outdated: dict[str, int] = {}

    @abstractmethod
    def answered(self, answers: Sequence[Answered]) -> None:
        """Called in the committer's thread, after the commit."""

    def turn_away(self, raw: Any) -> dict[str, str]:
        """Over the rate: as behind any refusal for the time being, later sends in its room wait for this one.

        Answers the fields that name it in the refusal. What has no id or no room can never be repeated rightly: nobody waits for it.
        """
        id, room = (raw.get("id"), raw.get("room")) if isinstance(raw, dict) else (None, None)
        if not _is_id(id):
            return {}
        if _is_id(room):
            self.turned_away.setdefault(room, id)
        return {"id": id}

    @property
    def is_stuck(self) -> bool:
        """Whether two sends of one room wait for each other, or too many rooms wait: only a new socket begins with the first.

        One was refused by the committer and a later one had been turned away before it: the first may not pass before
        the later one is repeated, nor that one before the first.
        """
        if max(len(self.turned_away), len(self.refused)) > TURNED_AWAY_ROOMS:
            return True
        if not self.turned_away:
            return False
        refused = dict(self.refused)  # a copy: the committer's thread changes it
        return any(refused.get(room, id) != id for room, id in self.turned_away.items())


def _is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and UUID_TEXT.fullmatch(value) is not None
