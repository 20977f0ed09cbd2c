"""Late messages: a recipient refuses a message, the server verifies the claim and tells both sides (docs/protocol.md §3.3).

An entry is late when an entry with a lower seq, of the same sending device and room, has a greater `sent_at`. Both are
read in the refusing user's own mailbox, so the answer is the same whichever of the user's devices asks.
"""

from typing import Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from kernel import ports
from kernel.errors import DomainError, NotFound
from messages.kinds import Kind
from messages.models import Entry, Message, Rejection

REASON: Final = "late"
STATUS: Final = 422


class NotLate(DomainError):
    """A rejection claims what is not so."""

    code = "not_late"
    title = "This message is not late."
    status = 422


class Shown(NamedTuple):
    """A message as it stands in a mailbox; `sent_at` is the sender's clock in ms."""

    seq: int
    room: UUID
    device: UUID
    sent_at: int


class Rejected(NamedTuple):
    """That a message is refused, and why."""

    message: UUID
    reason: str


def is_late(message: Shown, later: Shown) -> bool:
    """Whether `later`, which was shown first, proves that `message` comes too late. Pure."""
    return (
        (message.room, message.device) == (later.room, later.device)
        and later.seq < message.seq
        and later.sent_at > message.sent_at
    )


@transaction.atomic
def reject(user: UUID, message_id: UUID, later_id: UUID) -> Rejected:
    """Refuse a late message for the user. The same again is answered alike and told nobody twice.

    1. Look at both messages in the user's mailbox. `NotFound` when the refused one is not there.
    2. Verify the claim: `NotLate` when it does not hold, or the message is the user's own.
    3. Store the rejection, once per user and message.
    4. Tell the devices of both, by an entry in order with the messages.
    """
    shown = _shown(user, message_id, later_id)
    if message_id not in shown:
        raise NotFound("there is no such message", field="message")
    sender, message = shown[message_id]
    if sender == user:
        raise NotLate("your own message is not refused", field="message")
    if later_id not in shown or not is_late(message, shown[later_id][1]):
        raise NotLate("the later message does not prove it", field="later")

    # a second device may say the same at this moment: the primary key lets one of them store it
    stored, first = Rejection.objects.get_or_create(
        user_id=user, message_id=message_id, defaults={"reason": REASON, "later_id": later_id}
    )
    if first:
        _announce(user, sender, message_id, message)
    return Rejected(message_id, stored.reason)


def _shown(user: UUID, *ids: UUID) -> dict[UUID, tuple[UUID, Shown]]:
    """These messages as they stand in the user's mailbox, with their senders."""
    rows = Entry.objects.filter(user_id=user, message_id__in=ids, kind=Kind.MESSAGE)
    seqs: dict[UUID, int] = {id: seq for id, seq in rows.values_list("message_id", "seq") if id is not None}
    found = Message.objects.filter(id__in=seqs).values_list("id", "sender_id", "room_id", "device_id", "sent_at")
    return {id: (sender, Shown(seqs[id], room, device, at)) for id, sender, room, device, at in found}


def _announce(user: UUID, sender: UUID, message_id: UUID, message: Shown) -> None:
    payload = {
        "message": str(message_id),
        "room": str(message.room),
        "sender": str(sender),
        "device": str(message.device),
        "by": str(user),
        "reason": REASON,
        "status": STATUS,
    }
    # Between two of whom one blocks the other nothing passes, in neither direction: not even this.
    tell = [user] if ports.blocks.is_between(user, sender) else [sender, user]
    with connection.cursor() as cursor:
        # No message_id: that column says which message an entry *is*, once per mailbox.
        ports.mailboxes.put(cursor, recipients=tell, kind=Kind.REJECTION, payload=payload, room_id=message.room)
