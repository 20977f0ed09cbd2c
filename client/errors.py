"""What can go wrong, as one family.

LetterlockError
  ├── Refused            the server said no; `problem` says why and whether a repeat may succeed
  │     ├── SendRefused  a message that will not be accepted; `message` names it
  │     │     ├── Blocked  one of the two blocks the other: `by` says who; told by this device itself, before anything is sent
  │     │     └── KeysHeld a member whom the user had verified has another identity key: `users` says who
  │     └── ChangeRefused  a change of connections that is not made, and is not waiting any more
  │           ├── ChangeConflict  the connection has changed since the user pressed the button
  │           └── DevicesLag      other devices have not stored the block yet
  ├── OfflineUnblock     blocks are lifted with a connection only, under this server's rule
  ├── Unreachable        no answer: the network or the server is away
  ├── SignedOut          this device has no valid sign-in (signed out, or revoked)
  │     └── NoDevice     nobody has ever signed in on this store
  ├── MalformedFrame     the server said something that docs/protocol.md does not know
  ├── MailboxDiverged    the server's mailbox is not the one that the local store follows
  ├── StoreInUse         another client has this store open
  └── CannotOpen         a body that the sealer cannot open
"""

from typing import TYPE_CHECKING

from client.protocol.ids import MessageId, UserId
from client.protocol.problems import Problem

if TYPE_CHECKING:  # it raises errors of this module
    from client.protocol.changes import Change, Conflict, Lag
    from client.protocol.relations import Side


class LetterlockError(Exception):
    """The base of every error of this package."""


class Refused(LetterlockError):
    """The server refused a request; `problem.code` is stable, see protocol §2."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code of protocol §2."""
        return self.problem.code


class SendRefused(Refused):
    """A message was refused for good. It stays in the local store, among `failed()`, until it is discarded.

    `message` is None when it was not even queued.
    """

    def __init__(self, problem: Problem, message: MessageId | None) -> None:
        super().__init__(problem)
        self.message = message


class Blocked(SendRefused):
    """Nothing is sent, because one of the two blocks the other."""

    @property
    def by(self) -> "Side":
        """Who blocks: `you` or `peer`."""
        return "peer" if self.problem.more.get("by") == "peer" else "you"


class KeysHeld(SendRefused):
    """Nothing is sent before the user has compared the new safety number: a verified member has another identity key."""

    @property
    def users(self) -> tuple[UserId, ...]:
        """Whose keys are to be verified anew."""
        return tuple(self.problem.more.get("users", ()))


_BY_CODE: dict[str, type[SendRefused]] = {"blocked": Blocked, "keys_held": KeysHeld}


def send_refused(problem: Problem, message: MessageId | None) -> SendRefused:
    """The error that goes with a refused message, or with one that is not even queued."""
    return _BY_CODE.get(problem.code, SendRefused)(problem, message)


class ChangeRefused(Refused):
    """A change of connections was refused for good, or given up; it is not queued any more."""

    def __init__(self, problem: Problem, change: "Change") -> None:
        super().__init__(problem)
        self.change = change


class ChangeConflict(ChangeRefused):
    """Another device, or the other user, changed the connection first, and nobody has confirmed the change since."""

    def __init__(self, problem: Problem, conflict: "Conflict") -> None:
        super().__init__(problem, conflict.change)
        self.conflict = conflict


class DevicesLag(ChangeRefused):
    """A block is not lifted before all devices of the user have stored it; `lag` names those that have not."""

    def __init__(self, problem: Problem, lag: "Lag") -> None:
        super().__init__(problem, lag.change)
        self.lag = lag


class OfflineUnblock(LetterlockError):
    """Under the rule `restrict` a block is lifted only with a connection to the server."""


class Unreachable(LetterlockError):
    """No answer came. Whether the request was carried out is unknown."""


class SignedOut(LetterlockError):
    """Sign in first: this device has no valid session."""


class NoDevice(SignedOut):
    """Nobody has ever signed in on this store."""


class MalformedFrame(LetterlockError):
    """A frame or an answer has a shape that the protocol does not have."""


class MailboxDiverged(LetterlockError):
    """The server's mailbox is shorter than, or belongs to another than, the local one. Nothing was changed locally."""


class StoreInUse(LetterlockError):
    """A store serves one client at a time."""


class CannotOpen(LetterlockError):
    """A body that cannot be opened. `problem`: `locked`, `no_key` or `not_verified`, as in `Message`."""

    def __init__(self, problem: str, detail: str = "") -> None:
        super().__init__(detail or problem)
        self.problem = problem
