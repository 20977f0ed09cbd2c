"""How the log's rows are spelled on the wire (docs/protocol.md §3.2). One place for sockets and history alike."""

from base64 import urlsafe_b64encode
from typing import Any

import orjson

from kernel.entries import Origin, origin
from messages.kinds import Kind

# Columns of a message in the order in which `message_text` and `origin_of` take them, for SELECT lists.
MESSAGE_COLUMNS = (
    "m.id, m.room_id, m.sender_id, m.device_id, m.recipient_id, m.sent_at, "
    "(extract(epoch FROM m.accepted_at) * 1000)::bigint, m.alg, m.epoch, m.ciphertext"
)
HIDDEN = '"kind":"hidden"'


def message_text(
    id: str,
    room: str,
    sender: str,
    device: str,
    recipient: str | None,
    sent_at: int,
    accepted_at: int,
    alg: str,
    epoch: int,
    ciphertext: Any,
    delivered: bool = False,
    read: bool = False,
) -> str:
    """The JSON members of a message entry behind `seq`. Ids are canonical texts, times in ms, `alg` of the safe alphabet."""
    to = f'"{recipient}"' if recipient else "null"
    body = urlsafe_b64encode(ciphertext).rstrip(b"=").decode()
    return (
        f'"kind":"message","id":"{id}","room":"{room}","sender":"{sender}","device":"{device}","recipient":{to},'
        f'"sent_at":{sent_at},"accepted_at":{accepted_at},"alg":"{alg}","epoch":{epoch},"ciphertext":"{body}",'
        f'"delivered":{"true" if delivered else "false"},"read":{"true" if read else "false"}'
    )


def origin_of(row: tuple[Any, ...]) -> Origin:
    """Where a message came from; `row` begins with `MESSAGE_COLUMNS`."""
    return origin(row[1], row[3], row[0], row[2])


def payload_text(kind: int, payload: dict[str, Any]) -> str:
    """The JSON members of any other entry, as `Pending.payload` and `Entry.payload` keep them."""
    members = {"kind": Kind(kind).name.lower(), **payload}
    return orjson.dumps(members).decode()[1:-1]
