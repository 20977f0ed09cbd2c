"""Entries and messages for the tests of the client's pure parts: short names for long ids."""

from uuid import UUID

from client.protocol.entries import MessageEntry
from client.protocol.frames import Outgoing, Welcome
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.opaque import Ciphertext

ALICE, BOB = UserId("alice"), UserId("bob")
PHONE, LAPTOP = DeviceId("alice's phone"), DeviceId("alice's laptop")
KITCHEN, GARDEN = RoomId("kitchen"), RoomId("garden")


def message_entry(
    seq: int,
    *,
    id: str | None = None,
    room: RoomId = KITCHEN,
    device: DeviceId = PHONE,
    sent_at: int = 0,
    sender: UserId = ALICE,
) -> MessageEntry:
    return MessageEntry(
        seq=seq, id=MessageId(id or f"m{seq}"), room=room, sender=sender, device=device, recipient=None,
        sent_at=sent_at or seq, accepted_at=seq, alg="opaque.v1", epoch=0, ciphertext=Ciphertext(b"%d" % seq),
    )  # fmt: skip


def outgoing(number: int, room: RoomId = KITCHEN, size: int = 5) -> Outgoing:
    body = Ciphertext(b"x" * size)
    return Outgoing(MessageId(str(UUID(int=number))), room, ALICE, None, number, "opaque.v1", 0, body)


def welcome(*, acknowledged: int = 0, last_seq: int = 0, window: int = 512, user: UserId = BOB) -> Welcome:
    return Welcome(user, DeviceId("bob's phone"), "web-1", acknowledged, last_seq, window)
