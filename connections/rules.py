"""What a change makes of both sides of a connection (docs/protocol.md §5.1). Pure: no table, no clock, no setting.

Each of two users has a side: what this one sees of the other. A change is the owner's; it may touch the peer's side too.

    action     owner's side                                  peer's side
    add        requested; contact if the peer has asked      incoming; contact
    accept     incoming → contact                            contact
    decline    incoming → none                               requested → none
    remove     contact, requested → none                     contact, incoming → none
    block      blocked; requested, incoming → none           told: blocked_by, and requested, incoming → none
    unblock    not blocked                                   told: not blocked_by
    note       note
    open       (a new direct room) requested                 incoming, held: where strangers wait

Whoever is blocked without being told must not find out: such a block leaves the other side as it is, what that one asks
looks asked, and the blocker hears nothing of it. So the two sides may differ; `add` brings them together again.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from kernel.errors import Conflict, Forbidden

NONE: Final = "none"
REQUESTED: Final = "requested"
INCOMING: Final = "incoming"
CONTACT: Final = "contact"
STATES: Final = (NONE, REQUESTED, INCOMING, CONTACT)
OPEN_REQUESTS: Final = (REQUESTED, INCOMING)


class Action(StrEnum):
    """What a user does about another."""

    ADD = "add"
    ACCEPT = "accept"
    DECLINE = "decline"
    REMOVE = "remove"
    BLOCK = "block"
    UNBLOCK = "unblock"
    NOTE = "note"


class Blocked(Forbidden):
    """One of the two blocks the other; `by` is `you` or `peer`."""

    code = "blocked"
    title = "One of you blocks the other."


@dataclass(frozen=True, slots=True)
class Side:
    """What one user has with another. `blocked_by` only where it was told; `held`: the peer's direct messages wait."""

    state: str = NONE
    blocked: bool = False
    blocked_by: bool = False
    held: bool = False
    note: bytes = b""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both sides afterwards, and what becomes of held messages: of the peer's, held for the owner; of the owner's, there."""

    own: Side
    peer: Side
    release: bool = False
    forget: bool = False
    forget_there: bool = False


def is_so(action: Action, own: Side, *, note: bytes = b"") -> bool:
    """Whether the owner's side is already as the action wants it."""
    match action:
        case Action.ADD:
            return own.state in (REQUESTED, CONTACT) and not own.held
        case Action.ACCEPT:
            return own.state == CONTACT
        case Action.DECLINE:
            return own.state == NONE
        case Action.REMOVE:
            return own.state not in (REQUESTED, CONTACT)
        case Action.BLOCK:
            return own.blocked
        case Action.UNBLOCK:
            return not own.blocked
        case Action.NOTE:
            return own.note == note


def decide(action: Action, own: Side, peer: Side, *, disclose: bool, note: bytes = b"") -> Outcome:
    """What becomes of both sides. `disclose`: whether the peer is told of a block that comes now.

    Raises `Blocked`, and `Conflict` for an answer to a request that there is not.
    """
    if is_so(action, own, note=note):
        return Outcome(own, peer)
    match action:
        case Action.ADD:
            _check_may_ask(own)
            return _ask(own, peer)
        case Action.ACCEPT:
            _check_is_asked(own)
            return _ask(own, peer)
        case Action.DECLINE:
            _check_is_asked(own)
            return Outcome(replace(own, state=NONE), _ended(peer, REQUESTED), forget=own.held)
        case Action.REMOVE:
            return Outcome(replace(own, state=NONE), _ended(peer, INCOMING, CONTACT))
        case Action.BLOCK:
            # Whoever is let through again is no stranger any more: nothing waits unseen behind a lifted block.
            blocking = replace(_ended(own, *OPEN_REQUESTS), blocked=True, held=False)
            told = replace(_ended(peer, *OPEN_REQUESTS), blocked_by=True) if disclose else peer
            return Outcome(blocking, told, forget=own.held, forget_there=peer.held)
        case Action.UNBLOCK:
            return Outcome(replace(own, blocked=False), replace(peer, blocked_by=False))
        case Action.NOTE:
            return Outcome(replace(own, note=note), peer)


def decide_opening(own: Side, peer: Side, *, strangers_wait: bool) -> Outcome:
    """What becomes of both sides when the owner opens a new direct room with the peer, who lets strangers wait or does not.

    Nobody whom the peer has asked or has as a contact is a stranger. A peer who blocks the owner, and has not told, keeps
    its side; what the owner has asked stands with the owner as if it had been asked. Raises `Blocked`.
    """
    _check_may_ask(own)
    # Whoever opens a room with somebody holds nothing of theirs any more.
    release, own = own.held, replace(own, held=False)
    if not strangers_wait or peer.state in (REQUESTED, CONTACT):
        return Outcome(own, peer, release=release)
    asking = replace(own, state=REQUESTED) if own.state == NONE else own
    # Held all the same behind an untold block: once that is lifted, the owner is a stranger as before.
    waiting = replace(peer, held=True) if peer.blocked else replace(peer, state=INCOMING, held=True)
    return Outcome(asking, waiting, release=release)


def _ask(own: Side, peer: Side) -> Outcome:
    """The owner wants the peer: who has asked before is answered."""
    if peer.blocked:
        # Not told, or it would have been refused: it looks asked, or accepted, and the blocker hears nothing.
        looks = CONTACT if own.state == INCOMING else REQUESTED
        return Outcome(replace(own, state=looks, held=False), peer, release=own.held)
    if peer.state in (REQUESTED, CONTACT):
        return Outcome(replace(own, state=CONTACT, held=False), replace(peer, state=CONTACT), release=own.held)
    return Outcome(replace(own, state=REQUESTED, held=False), replace(peer, state=INCOMING), release=own.held)


def _ended(side: Side, *states: str) -> Side:
    """The side without its request or contact, if it has one of these."""
    return replace(side, state=NONE) if side.state in states else side


def _check_may_ask(own: Side) -> None:
    if own.blocked or own.blocked_by:
        raise Blocked(by="you" if own.blocked else "peer")


def _check_is_asked(own: Side) -> None:
    if own.state != INCOMING:
        raise Conflict("there is no request of this user's to answer")
