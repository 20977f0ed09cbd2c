"""The Python client of Letterlock: one device of one user, over asyncio. Imports nothing of the server.

client.Client        what an application uses; docs/client.md shows how
client.protocol      the rules, without I/O
client.transport     REST and the socket
client.connections   contacts and blocks
client.store         the device's SQLite file
"""

from client.client import Client
from client.connection import VERSION
from client.connections import Connections, Pressed
from client.errors import (
    Blocked,
    CannotOpen,
    ChangeConflict,
    ChangeRefused,
    DevicesLag,
    LetterlockError,
    MailboxDiverged,
    MalformedFrame,
    OfflineUnblock,
    Refused,
    SendRefused,
    SignedOut,
    StoreInUse,
    Unreachable,
)
from client.events import (
    ChangeFailed,
    ChangeMade,
    ConnectionChanged,
    ConnectionsSynced,
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
from client.protocol.changes import Change, Conflict, Lag, LaggingDevice
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.late import is_late
from client.protocol.problems import Problem
from client.protocol.relations import Relation, Settings
from client.sealer import Header, NoEncryption, Sealer

__all__ = [
    "Accepted",
    "Blocked",
    "CannotOpen",
    "Change",
    "ChangeConflict",
    "ChangeFailed",
    "ChangeMade",
    "ChangeRefused",
    "Client",
    "Conflict",
    "ConnectionChanged",
    "Connections",
    "ConnectionsSynced",
    "Device",
    "DeviceId",
    "DevicesLag",
    "EntryHidden",
    "Event",
    "Header",
    "Lag",
    "LaggingDevice",
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
    "OfflineUnblock",
    "Pressed",
    "Problem",
    "ReadElsewhere",
    "ReceiptReceived",
    "Refused",
    "Relation",
    "Room",
    "RoomChanged",
    "RoomId",
    "Sealer",
    "SendRefused",
    "Settings",
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
