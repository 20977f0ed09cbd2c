"""A new encryption key for a user's other devices, so that they need not ask for the password.

Each device that has a box key (X25519, in its user's document) gets the private half HPKE-sealed to it: 80 bytes.
"""

from contextlib import suppress

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from client.crypto import aead
from client.crypto.encoding import ctx
from client.crypto.errors import BadKey, BadSeal
from client.crypto.keys import EncryptionKey, PublicEncryptionKey
from client.crypto.userkeys import Content
from client.protocol.ids import DeviceId, UserId


def seal_boxes(key: EncryptionKey, content: Content, except_for: DeviceId) -> dict[DeviceId, bytes]:
    """A box for each other live device of the document that has a box key; who lists a bad one gets none."""
    made = {}
    for device in content.live:
        if device.box is not None and device.id != except_for:
            # A device that would stop every rotation of its user by a bad key is asked for the password instead.
            with suppress(BadKey):
                made[device.id] = seal_box(key, content.user, device.id, device.box)
    return made


def seal_box(key: EncryptionKey, user: UserId, device: DeviceId, public: bytes) -> bytes:
    """80 bytes for one device; `public`: its box key. Raises `BadKey`."""
    recipient = PublicEncryptionKey(key.version, key.suite, public).key
    return aead.wrap(key.private, recipient, ctx("uek", user, key.version, device))


def open_box(
    box: bytes, user: UserId, device: DeviceId, announced: PublicEncryptionKey, private: X25519PrivateKey
) -> EncryptionKey:
    """The key that the user's document announces. Raises `BadSeal`, also for a key that is not the announced one."""
    opened = aead.unwrap(box, private, ctx("uek", user, announced.version, device))
    if len(opened) != aead.KEY:
        raise BadSeal("not a key")
    key = EncryptionKey.of(announced.version, opened)
    # Anybody can seal to a box: only the signed document says which key is the user's.
    if key.announced != announced:
        raise BadSeal("not the key that the document announces")
    return key
