"""What upstream apps may ask of delivery without knowing it. `config` binds the ports when Django starts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID


class MailboxPort(Protocol):
    """Puts entries into mailboxes, in order with the messages."""

    def put(
        self,
        cursor: Any,
        *,
        recipients: Sequence[UUID],
        kind: int,
        payload: Mapping[str, Any],
        message_id: UUID | None = None,
        room_id: UUID | None = None,
        sender_id: UUID | None = None,
        device_id: UUID | None = None,
    ) -> None:
        """Add the delivery in the caller's transaction (a DB-API cursor of Django's connection) and wake the queues after it.

        `payload` holds the JSON members of the entry behind `seq` and `kind`.
        """


class HintPort(Protocol):
    """Live frames that may be lost: typing, read, receipts."""

    def send(self, users: Iterable[UUID], frame: Mapping[str, Any], *, exclude_device: UUID | None = None) -> None:
        """Send the frame to every socket of the users, as soon as may be. Never raises, never blocks for long."""


class RosterPort(Protocol):
    """Who is in a room, for apps downstream of chat."""

    def members_of(self, rooms: Collection[UUID]) -> Mapping[UUID, Sequence[tuple[UUID, int]]]:
        """Each room's present members with the time at which they came (ms since 1970), by their ids. An unknown room is left out."""


class _Unbound:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"the port's {name} was used before config bound it")


mailboxes: MailboxPort = _Unbound()
hints: HintPort = _Unbound()
rosters: RosterPort = _Unbound()


def bind(*, mailbox_port: MailboxPort, hint_port: HintPort) -> None:
    """Called once, by config."""
    global mailboxes, hints
    mailboxes = mailbox_port
    hints = hint_port


def bind_rosters(roster_port: RosterPort) -> None:
    """Called once, by config."""
    global rosters
    rosters = roster_port
