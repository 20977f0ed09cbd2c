"""What the server answers about epochs (protocol §6.4), as values. Nothing in a record is verified here."""

from dataclasses import dataclass
from typing import Any

from client.crypto.encoding import Signed, unb64
from client.crypto.epochs import KIND, WRAP
from client.crypto.errors import CryptoError
from client.errors import MalformedFrame
from client.protocol.ids import DeviceId, RoomId, UserId
from client.store.epochs import EpochRow


@dataclass(frozen=True, slots=True)
class RoomState:
    """How the server says that a room stands. `epoch`: 0 for none yet."""

    epoch: int
    stale: bool
    members_version: int
    history: str
    wanting: tuple[UserId, ...]


@dataclass(frozen=True, slots=True)
class EpochPage:
    """Epochs, and where the next page begins; None at the end."""

    rows: tuple[EpochRow, ...]
    next: Any


def decode_state(fields: object) -> RoomState:
    """`GET /rooms/{id}/e2ee`."""
    match fields:
        case {
            "epoch": int() | None as epoch, "stale": bool(stale), "members_version": int(members_version),
            "history": str(history), "wanting": list(wanting),
        }:  # fmt: skip
            users = tuple(UserId(str(user)) for user in wanting)
            return RoomState(epoch or 0, stale, members_version, history, users)
        case _:
            raise MalformedFrame("a room's state of an unknown shape")


def decode_epochs(fields: object) -> EpochPage:
    """`GET /rooms/{id}/epochs` and `GET /e2ee/epoch-keys`. What cannot be read is left out: others are not kept from view."""
    match fields:
        case {"epochs": list(epochs), "next": next_}:
            return EpochPage(tuple(row for fields in epochs if (row := _decode_epoch(fields)) is not None), next_)
        case _:
            raise MalformedFrame("a page of epochs of an unknown shape")


def _decode_epoch(fields: object) -> EpochRow | None:
    match fields:
        case {
            "room": str(room), "epoch": int(epoch), "creator": str(creator), "device": str(device), "record": record,
            "wrap": dict() | None as wrap,
        }:  # fmt: skip
            try:
                signed = Signed.read(record, KIND)
                version, sealed = (None, None) if wrap is None else (int(wrap["ver"]), unb64(wrap["ct"], WRAP))
            except (CryptoError, KeyError, TypeError, ValueError):
                return None
            return EpochRow(
                RoomId(room),
                epoch,
                UserId(creator),
                DeviceId(device),
                signed.payload,
                signed.signature,
                version,
                sealed,
            )
        case _:
            return None
