"""What is remembered of a user's document, and which documents are refused because of it."""

from dataclasses import dataclass
from typing import Self

from client.crypto.errors import BadChange, Forked, IdentityChanged, RolledBack, WrongUser
from client.crypto.userkeys import Content, DeviceKey, Pruned, UserKeys
from client.crypto.vault import Secrets


@dataclass(frozen=True, slots=True)
class Pin:
    """The identity key, number and hash (32 bytes each) of the newest document that was taken."""

    identity: bytes
    seq: int
    digest: bytes

    @classmethod
    def of(cls, keys: UserKeys) -> Self:
        """What is to be remembered of this one."""
        return cls(keys.identity, keys.seq, keys.digest)


def follow(pin: Pin, fresh: UserKeys, known: UserKeys | None = None) -> Pin:
    """The pin after a newer document. `known`: the pinned document, if it is kept; then the step is checked too.

    Raises `IdentityChanged`, `RolledBack`, `Forked`, and `BadChange` for a step that the rules do not have.
    """
    if fresh.identity != pin.identity:
        raise IdentityChanged("another identity key than before")
    if fresh.seq < pin.seq:
        raise RolledBack("an older document than before")
    if fresh.seq == pin.seq and fresh.digest != pin.digest:
        raise Forked("another document under the same number")
    if fresh.seq == pin.seq + 1 and fresh.prev != pin.digest:
        raise Forked("the successor of another document")
    if known is not None:
        if Pin.of(known) != pin:
            raise Forked("the kept document is not the pinned one")
        if fresh.seq == known.seq + 1:
            check_change(known, fresh)
        else:
            _check_leap(known, fresh)
    return Pin.of(fresh)


def check_change(old: UserKeys, new: Content) -> None:
    """One step of one user's chain. Raises `WrongUser`, `IdentityChanged`, `Forked`, `BadChange`."""
    if new.user != old.user:
        raise WrongUser("a document about another user")
    if new.identity != old.identity:
        raise IdentityChanged("another identity key than before")
    if new.seq != old.seq + 1 or new.prev != old.digest:
        raise Forked("not the successor of this document")
    is_next = new.encryption.version == old.encryption.version + 1
    if new.encryption != old.encryption and not (is_next and new.encryption.public != old.encryption.public):
        raise BadChange("another encryption key, and not the next one")
    left_out = [device for device in old.devices if new.device(device.id) is None]
    if any(device.until is None for device in left_out):
        raise BadChange("a live device was left out")
    if new.pruned != (Pruned(old.seq, old.digest) if left_out else old.pruned):
        raise BadChange("what was left out is not named as it should be")
    for device in old.devices:
        _check_device(device, new.device(device.id))


def _check_leap(old: UserKeys, new: Content) -> None:
    """What holds over any number of steps. The steps themselves were not seen."""
    if new.encryption.version < old.encryption.version:
        raise BadChange("an older encryption key than before")
    if new.encryption.version == old.encryption.version and new.encryption != old.encryption:
        raise BadChange("another encryption key of the same version")
    for device in old.devices:
        _check_device(device, new.device(device.id))


def _check_device(old: DeviceKey, new: DeviceKey | None) -> None:
    if new is None:
        return
    if (new.key, new.since, new.box) != (old.key, old.since, old.box):
        raise BadChange("a listed device has other keys")
    if old.until is not None and new.until != old.until:
        raise BadChange("a revoked device came back, or left at another time")


def check_own(keys: UserKeys, secrets: Secrets) -> None:
    """Whether the server's document about oneself agrees with one's vault, which the server cannot forge.

    Both change in one request, so their newest encryption keys are the same. Raises `IdentityChanged` for another
    identity, `RolledBack` for an old vault or an old document, `Forked` for another key under the same version.
    """
    if keys.identity != secrets.identity_public:
        raise IdentityChanged("the server names another identity key than the vault has")
    newest = secrets.newest.announced
    if newest.version != keys.encryption.version:
        raise RolledBack("vault and document have different encryption keys: one of them is old")
    if newest != keys.encryption:
        raise Forked("vault and document have different encryption keys of one version")
