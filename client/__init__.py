"""The Python client of Letterlock: one device of one user, over asyncio. Imports nothing of the server.

client.Client        what an application uses; docs/client.md shows how
client.protocol      the rules, without I/O
client.transport     REST and the socket
client.connections   contacts and blocks
client.crypto        the cryptography, without I/O
client.keys          this user's keys, and others'
client.epochs        the keys of rooms; sealing and opening
client.store         the device's SQLite file
"""

from client.client import Client
from client.connection import VERSION
from client.connections import Connections, Pressed
from client.crypto.errors import CryptoError, WeakKdf, WrongSecret
from client.crypto.kdf import FLOOR, STANDARD, Strength
from client.errors import (
    Blocked,
    CannotOpen,
    ChangeConflict,
    ChangeRefused,
    DevicesLag,
    KeysHeld,
    LetterlockError,
    MailboxDiverged,
    MalformedFrame,
    NoDevice,
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
    EpochChanged,
    Event,
    IdentityChanged,
    KeysChanged,
    KeysLocked,
    KeysUnlocked,
    Message,
    MessageAccepted,
    MessageFailed,
    MessageRejected,
    MessageRenewed,
    ReadElsewhere,
    ReceiptReceived,
    RoomChanged,
    SomebodyTypes,
    State,
    StateChanged,
    VaultOpened,
)
from client.keys import Keys, PassphraseNeeded, WeakPassword, check_password
from client.protocol.answers import Accepted, Device, Member, Room, SignedIn
from client.protocol.changes import Change, Conflict, Lag, LaggingDevice
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId
from client.protocol.late import is_late
from client.protocol.problems import Problem
from client.protocol.relations import Relation, Settings
from client.sealer import Header, Sealer

__all__ = [
    "FLOOR",
    "STANDARD",
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
    "CryptoError",
    "Device",
    "DeviceId",
    "DevicesLag",
    "EntryHidden",
    "EpochChanged",
    "Event",
    "Header",
    "IdentityChanged",
    "Keys",
    "KeysChanged",
    "KeysHeld",
    "KeysLocked",
    "KeysUnlocked",
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
    "MessageRenewed",
    "NoDevice",
    "OfflineUnblock",
    "PassphraseNeeded",
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
    "Strength",
    "Unreachable",
    "UserId",
    "VaultOpened",
    "WeakKdf",
    "WeakPassword",
    "WrongSecret",
    "check_password",
    "is_late",
]
__version__ = VERSION
