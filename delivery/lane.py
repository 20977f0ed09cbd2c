"""The order of one socket's sends: whoever was turned away is repeated before later sends of its room (docs/protocol.md §4.4)."""

from typing import Any

# In how many rooms sends of one socket may wait for one that was over the rate, before it is hung up.
TURNED_AWAY_ROOMS = 1_000


class Lane:
    """What a socket keeps as a lane of chat.intake; it adds `answered` itself.

    A base and no part of it, so that no socket waits for the cycle collector.
    """

    def __init__(self) -> None:
        # By room; see chat.intake.Lane.
        self.refused: dict[str, str] = {}
        self.turned_away: dict[str, str] = {}
        self.outdated: dict[str, int] = {}

    def turn_away(self, raw: Any) -> dict[str, str]:
        """Over the rate: as behind any refusal for the time being, later sends in its room wait for this one.

        Answers the fields that name it in the refusal; none if it has no id and room.
        """
        named = isinstance(raw, dict) and isinstance(raw.get("id"), str) and isinstance(raw.get("room"), str)
        if not named:
            return {}
        self.turned_away.setdefault(raw["room"][:36], raw["id"][:36])
        return {"id": raw["id"][:36]}

    @property
    def is_stuck(self) -> bool:
        """Whether two sends of one room wait for each other, or too many rooms wait: only a new socket begins with the first.

        One was refused by the committer and a later one had been turned away before it: the first may not pass before
        the later one is repeated, nor that one before the first.
        """
        if not self.turned_away:
            return False
        refused = dict(self.refused)  # a copy: the committer's thread changes it
        return len(self.turned_away) > TURNED_AWAY_ROOMS or any(
            refused.get(room, id) != id for room, id in self.turned_away.items()
        )
