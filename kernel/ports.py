"""What upstream apps may ask of delivery without knowing it. `config` binds the ports when Django starts."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID


class MailboxPort(Protocol):
    """Puts entries into mailboxes, in order with the messages."""

    def put(
        self,
        cursor: Any,
        *,
        recipients: Sequence[UUID] | Sequence[str],
        kind: int,
        payload: Mapping[str, Any],
        message_id: UUID | None = None,
        room_id: UUID | None = None,
        sender_id: UUID | None = None,
        device_id: UUID | None = None,
    ) -> None:
        """Add the delivery in the caller's transaction (a DB-API cursor of Django's connection) and wake the queues after it.

        `payload` holds the JSON members of the entry behind `seq` and `kind`; ids may be their canonical texts.
        """


class HintPort(Protocol):
    """Live frames that may be lost: typing, read, receipts."""

    def send(self, users: Iterable[UUID], frame: Mapping[str, Any], *, exclude_device: UUID | None = None) -> None:
        """Send the frame to every socket of the users, as soon as may be. Never raises, never blocks for long."""


class RosterPort(Protocol):
    """Who is in a room, for apps downstream of chat."""

    def members_of(self, rooms: Collection[UUID]) -> Mapping[UUID, Sequence[tuple[UUID, int]]]:
        """Each room's present members with the time at which they came (ms since 1970), by their ids. An unknown room is left out."""

    def shared_rooms(self, one: UUID, other: UUID) -> Collection[UUID]:
        """The rooms that both are in."""

    def groups_shared(self, one: UUID, others: Collection[UUID]) -> Collection[UUID]:
        """Those of `others` who are in a group with this one."""

    def direct_peers(self, user: UUID) -> Collection[UUID]:
        """The other users of this one's direct rooms."""

    def user_rekeyed(self, user: UUID) -> None:
        """The user has another encryption key: the epochs of the user's rooms are outdated from the caller's commit on.

        Locks rooms, by id; call it behind the locks of keys and before those of mailboxes. What a block hides from somebody
        does not outdate their direct room.
        """

    def block_lifted(self, by: UUID, peer: UUID, *, is_open: bool) -> None:
        """`by` blocks `peer` no more from the caller's commit on: their direct room's epoch is outdated if its keys are not
        the present ones. `is_open`: `peer` does not block `by` either; else only the keys of `by` count.

        Locks the room; call it behind the locks of books and before those of mailboxes.
        """


@dataclass(frozen=True, slots=True)
class Barrier:
    """What keeps a sender's messages from a recipient. Nothing set: nothing does.

    `everywhere`: the recipient blocks the sender; `direct`: one of them blocks the other; `held`: the sender waits in the
    recipient's request box. `known_version`: the version of the *sender's* connections that says of a block, None when the
    sender is not told of any.
    """

    recipient: UUID
    sender: UUID
    everywhere: bool = False
    direct: bool = False
    held: bool = False
    known_version: int | None = None


class BlockPort(Protocol):
    """Delivery's copy of the blocks, and what the exits of messages ask of it. Cursors are Django's, in the caller's transaction."""

    def put(self, cursor: Any, barriers: Collection[Barrier]) -> None:
        """Make the copy so, under the recipients' mailbox locks: once the caller has committed, nothing behind it is delivered.

        Locks rows of mailboxes, by user id; call it after all other locks of the transaction.
        """

    def release(self, cursor: Any, *, recipient: UUID, sender: UUID) -> None:
        """Deliver what was held, in its order, behind what is pending. Call it behind `put`."""

    def forget_held(self, cursor: Any, *, recipient: UUID, sender: UUID) -> None:
        """Drop what was held."""

    def reported(self, cursor: Any, *, device: UUID, version: int) -> None:
        """Note that the device says now that it has stored this version of its user's connections."""

    def hidden_from(self, user: UUID) -> Mapping[str, int]:
        """Sender → the number in the user's mailbox above which the sender's messages are hidden from the user."""

    def frozen_for(self, viewer: UUID, readers: Collection[str]) -> Mapping[str, tuple[int, Mapping[str, int]]]:
        """Who of these blocks the viewer → all that the viewer learns of this reader's positions: delivered, and read by room."""

    def is_between(self, one: UUID, other: UUID) -> bool:
        """Whether one of the two blocks the other."""

    def between(self, user: UUID, others: Collection[UUID]) -> Mapping[UUID, datetime]:
        """Those of `others` who block this one or are blocked by this one, and since when nothing new passes between them."""

    def parted(self, user: UUID, others: Collection[UUID]) -> None:
        """The user, who has a block with each of `others`, meets them in no group any more: nothing new passes as of now."""

    def moments_of(self, user: UUID) -> Collection[datetime]:
        """The same moments, of each block between the user and somebody."""


class PolicyPort(Protocol):
    """What connections decide for apps upstream of them (connections/policy.py)."""

    def may_see_profile(self, viewer: UUID, user: UUID) -> bool:
        """Whether `viewer` may look up `user`."""

    def contacts_of(self, user: UUID) -> Collection[UUID]:
        """Whom the user has as a contact."""


class _Unbound:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"the port's {name} was used before config bound it")


mailboxes: MailboxPort = _Unbound()
hints: HintPort = _Unbound()
rosters: RosterPort = _Unbound()
blocks: BlockPort = _Unbound()
policy: PolicyPort = _Unbound()


def bind(*, mailbox_port: MailboxPort, hint_port: HintPort) -> None:
    """Called once, by config."""
    global mailboxes, hints
    mailboxes = mailbox_port
    hints = hint_port


def bind_rosters(roster_port: RosterPort) -> None:
    """Called once, by config."""
    global rosters
    rosters = roster_port


def bind_blocks(block_port: BlockPort) -> None:
    """Called once, by config."""
    global blocks
    blocks = block_port


def bind_policy(policy_port: PolicyPort) -> None:
    """Called once, by config."""
    global policy
    policy = policy_port
