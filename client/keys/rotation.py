"""How old the user's encryption key is. A vault that is open anyway replaces one that is due (protocol §6.3).

Nothing is kept about it: the documents tell. A step that makes a key lists or revokes a device as well, and so bears a date: the
key is as old as the newest date of the first document that has it. (To revoke a device that was never listed leaves no date.
Then the key looks older than it is, and is replaced sooner.)
"""

from typing import Any, Final

from client.crypto import userkeys
from client.crypto.errors import CryptoError
from client.crypto.userkeys import UserKeys
from client.errors import Refused
from client.session import Session

ROTATE_S: Final = 30 * 86_400
HISTORY: Final = 100  # documents before the newest that the server keeps


async def is_old(session: Session, document: UserKeys, now_s: int) -> bool:
    """Whether the document's encryption key was made more than 30 days ago. Asks for at most 7 earlier documents."""
    due = now_s - ROTATE_S
    if document.pruned is None and min(device.since for device in document.devices) > due:
        return False
    # Versions rise with the numbers, so the first document of this one is found by halving.
    low, high, first = max(1, document.seq - HISTORY), document.seq, document
    while low < high and _newest_date(first) > due:
        middle = (low + high) // 2
        older = await _own_at(session, document, middle)
        if older is not None and older.encryption.version == document.encryption.version:
            high, first = middle, older
        else:
            low = middle + 1
    return _newest_date(first) <= due


def _newest_date(document: UserKeys) -> int:
    return max(max(device.since, device.until or 0) for device in document.devices)


async def _own_at(session: Session, document: UserKeys, seq: int) -> UserKeys | None:
    try:
        answer: Any = await session.request("GET", f"e2ee/users/{document.user}/userkeys/{seq}")
        older = userkeys.read(answer.get("userkeys") if isinstance(answer, dict) else None, document.user)
    except CryptoError:
        return None
    except Refused as refusal:
        if refusal.problem.may_retry:
            raise
        return None
    return older if older.identity == document.identity and older.seq == seq else None
