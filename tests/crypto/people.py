"""Alice, Bob and Mallory with their keys, as docs/protocol.md §6.6 has them; made from seeds, so a failure repeats."""

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from client.crypto import epochs, userkeys
from client.crypto.keys import EncryptionKey
from client.crypto.messages import EpochKey, Payload
from client.crypto.userkeys import DeviceKey, UserKeys

ROOM = "0192f1aa-0000-7000-8000-0000000000ff"
OTHER_ROOM = "0192f1aa-0000-7000-8000-0000000000fe"
MESSAGE = "0192f1aa-0000-7000-8000-000000000001"
SENT_AT = 1_763_800_002_000
NOW_S = 1_763_800_001

_DIGITS = {"alice": "a", "bob": "b", "mallory": "c", "carol": "d"}


def seed(text):
    return hashlib.sha256(text.encode()).digest()


@dataclass(frozen=True)
class Person:
    name: str
    user: str
    identity: Ed25519PrivateKey
    encryption: EncryptionKey
    device: str
    signer: Ed25519PrivateKey
    box: X25519PrivateKey
    keys: UserKeys

    @property
    def public(self):
        """The device's signing key, as others read it from the document."""
        return self.keys.device(self.device).public


@cache
def person(name):
    digit = _DIGITS[name]
    user, device = f"0192f1aa-0000-7000-8000-00000000000{digit}", a_device(f"{name} phone")
    identity = Ed25519PrivateKey.from_private_bytes(seed(f"uik {name}"))
    encryption = EncryptionKey.of(1, seed(f"uek {name}"))
    signer = Ed25519PrivateKey.from_private_bytes(seed(f"dsk {name}"))
    box = X25519PrivateKey.from_private_bytes(seed(f"box {name}"))
    entry = DeviceKey(device, signer.public_key().public_bytes_raw(), NOW_S, box=box.public_key().public_bytes_raw())
    keys = userkeys.first(user, identity.public_key().public_bytes_raw(), encryption.announced, entry).sign(identity)
    return Person(name, user, identity, encryption, device, signer, box, keys)


def a_device(name):
    """The id of a device of this name."""
    digits = seed(f"device {name}").hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"


def a_device_key(name, *, box=True):
    """A device's entry in the document."""
    signer = Ed25519PrivateKey.from_private_bytes(seed(f"dsk {name}"))
    boxed = X25519PrivateKey.from_private_bytes(seed(f"box {name}")).public_key().public_bytes_raw()
    return DeviceKey(a_device(name), signer.public_key().public_bytes_raw(), NOW_S, box=boxed if box else None)


def an_epoch(creator, *members, epoch=1, prev=b"", room=ROOM):
    """What the creator would upload."""
    keys = [one.keys for one in (creator, *members)]
    return epochs.create(room, epoch, prev, creator.user, creator.device, creator.signer, keys, NOW_S)


def epoch_key(room=ROOM, epoch=1, secret=seed("epoch key")):
    return EpochKey(room, epoch, secret)


def text(body="hello", id=MESSAGE, ts=SENT_AT):
    return Payload(id, "text", body, ts)


def tampered(envelope, change):
    """A DSSE envelope whose payload was changed after signing."""
    document = json.loads(raw(envelope["payload"]))
    change(document)
    return {**envelope, "payload": b64(json.dumps(document, separators=(",", ":")).encode())}


def b64(value):
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def raw(value):
    return urlsafe_b64decode(value + "=" * (-len(value) % 4))


def flips(value, bit=1):
    """The value with one byte changed, for each of its bytes."""
    for at in range(len(value)):
        yield value[:at] + bytes([value[at] ^ bit]) + value[at + 1 :]
