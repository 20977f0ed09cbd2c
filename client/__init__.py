"""The Python client of Letterlock: one device of one user, over asyncio. Imports nothing of the server.

client.Client        what an application uses; docs/client.md shows how
client.protocol      the rules, without I/O
client.transport     REST and the socket
client.store         the device's SQLite file
"""

from client.client import Client
from client.connection import VERSION
from client.errors import (
    CannotOpen,
    LetterlockError,
    MailboxDiverged,
    MalformedFrame,
    Refused,
    SendRefused,
    SignedOut,
    StoreInUse,
    Unreachable,
)
from client.events import (
    EntryHidden,
    Event,
    Message,
    MessageAccepted,
    MessageFailed,
    MessageRejected,
    ReadElsewhere,
    ReceiptReceived,
    RoomChanged,
    SomebodyTypes,
    State,
    StateChanged,
)
from client.protocol.answers import Accepted, Device, Member, Room, SignedIn
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.late import is_late
from client.protocol.problems import Problem
from client.sealer import Header, NoEncryption, Sealer

__all__ = [
    "Accepted",
    "CannotOpen",
    "Client",
    "Device",
    "DeviceId",
    "EntryHidden",
    "Event",
    "Header",
    "LetterlockError",
    "MailboxDiverged",
    "MalformedFrame",
    "Member",
    "Message",
    "MessageAccepted",
    "MessageFailed",
    "MessageId",
    "MessageRejected",
    "NoEncryption",
    "Problem",
    "ReadElsewhere",
    "ReceiptReceived",
    "Refused",
    "Room",
    "RoomChanged",
    "RoomId",
    "Sealer",
    "SendRefused",
    "SignedIn",
    "SignedOut",
    "SomebodyTypes",
    "State",
    "StateChanged",
    "StoreInUse",
    "Unreachable",
    "UserId",
    "is_late",
]
__version__ = VERSION
