"""What can go wrong, as one family.

LetterlockError
  ├── Refused            the server said no; `problem` says why and whether a repeat may succeed
  │     └── SendRefused  a message that will not be accepted; `message` names it
  ├── Unreachable        no answer: the network or the server is away
  ├── SignedOut          this device has no valid sign-in (never had, signed out, or revoked)
  ├── MalformedFrame     the server said something that docs/protocol.md does not know
  ├── MailboxDiverged    the server's mailbox is not the one that the local store follows
  ├── StoreInUse         another client has this store open
  └── CannotOpen         a body that the sealer cannot open
"""

from client.protocol.ids import MessageId
from client.protocol.problems import Problem


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
    """A message was refused for good. It stays in the local store, among `failed()`, until it is discarded."""

    def __init__(self, problem: Problem, message: MessageId) -> None:
        super().__init__(problem)
        self.message = message


class Unreachable(LetterlockError):
    """No answer came. Whether the request was carried out is unknown."""


class SignedOut(LetterlockError):
    """Sign in first: this device has no valid session."""


class MalformedFrame(LetterlockError):
    """A frame or an answer has a shape that the protocol does not have."""


class MailboxDiverged(LetterlockError):
    """The server's mailbox is shorter than, or belongs to another than, the local one. Nothing was changed locally."""


class StoreInUse(LetterlockError):
    """A store serves one client at a time."""


class CannotOpen(LetterlockError):
    """The sealer has no key for this body, or the body is not genuine."""
