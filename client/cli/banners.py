"""What the user has to know: one line above the conversation, the most important of what there is."""

from collections.abc import Sequence
from typing import Final

from client import Relation

LOCKED: Final = "This device lacks keys of yours: some messages cannot be read. /unlock opens them with your password."
LEFT: Final = "You are not in this group any more."
CONFIRM: Final = "Your recovery key is not confirmed: /recovery shows it. Without it a lost password is the end."
VAULT_OPENED: Final = (
    "Your keys were fetched on another device: if that was not you, change your password now (/password)."
)


def first(
    *, is_locked: bool, has_left: bool, held: Sequence[str], others: Sequence[str], peer: str, relation: Relation | None,
    key_to_confirm: bool,
) -> str:  # fmt: skip
    """The banner; empty without a reason.

    `held`: members who were verified and have other keys now; `others`: members with other keys who were not. `peer`,
    `relation`: the other one in a direct room.
    """
    if has_left:
        return LEFT
    if is_locked:
        return LOCKED
    if held:
        return f"{_all(held)} {_has(held)} other keys than those that you verified: nothing is sent. /verify compares anew."
    if relation is not None and relation.blocked:
        return f"You block {peer}: nothing is sent or received here. /unblock lifts it."
    if relation is not None and relation.blocked_by:
        return f"{peer} blocks you: nothing is sent here."
    if others:
        return f"{_all(others)} {_has(others)} new keys: after a new beginning, or somebody else's. /verify compares."
    if relation is not None and relation.state == "incoming":
        return f"{peer} asks to be your contact: /accept or /decline"
    return CONFIRM if key_to_confirm else ""


def other_identity(name: str, *, was_verified: bool) -> str:
    """What is said when somebody's identity key is another one."""
    if was_verified:
        return f"{name} has other keys than those that you verified: nothing is sent to {name} before you compare (/verify)."
    return f"{name} has new keys: the safety number is another one now (/verify)."


def other_name(name: str) -> str:
    """What is said when the server tells another name of somebody than before."""
    return (
        f"The server calls {name} by another name now, and nobody is ever renamed: compare before you write (/verify)."
    )


def _all(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _has(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
