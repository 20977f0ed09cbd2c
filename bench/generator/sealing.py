"""Keys, epochs and sealed bodies for the generator's cast, with the client's own cryptography; no part of any figure.

A person keeps `device_key` and a room `epoch_key` (base64url) in the cast's file. The vault is random bytes of the right
form: nobody opens it, and Argon2id for thousands of people would only cost time.
"""

import secrets
import time
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.crypto import epochs, kdf, messages, userkeys, vault
from client.crypto.encoding import b64, unb64
from client.crypto.keys import signing_public
from client.crypto.messages import EpochKey, Payload
from client.crypto.userkeys import DeviceKey
from client.protocol.ids import DeviceId, MessageId, RoomId, UserId

if TYPE_CHECKING:
    from bench.generator.cast import Cast


async def set_up(cast: "Cast", person: dict[str, Any]) -> None:
    """Give a person an identity, an encryption key, a listed device and a vault."""
    user, device_key = UserId(person["user"]), Ed25519PrivateKey.generate()
    opened = vault.new(user, kdf.Kdf.fresh(kdf.FLOOR), secrets.token_bytes(32), secrets.token_bytes(32))
    device = DeviceKey(DeviceId(person["device"]), signing_public(device_key), int(time.time()))
    held = opened.secrets
    keys = userkeys.first(user, held.identity_public, held.newest.announced, device).sign(held.identity)
    await cast.request("PUT", "/e2ee/setup", {"userkeys": keys.json(), "vault": opened.json()}, token=person["access"])
    person["device_key"] = b64(device_key.private_bytes_raw())
    person["keys"] = keys.json()


async def begin_epoch(cast: "Cast", room: dict[str, Any], people: list[dict[str, Any]]) -> None:
    """The first epoch of a room of these people, made by the first of them."""
    first = people[0]
    state = await cast.request("GET", f"/rooms/{room['id']}/e2ee", token=first["access"])
    made = epochs.create(
        RoomId(room["id"]),
        1,
        b"",
        UserId(first["user"]),
        DeviceId(first["device"]),
        _signer(first),
        [userkeys.read(person["keys"], UserId(person["user"])) for person in people],
        int(time.time()),
    )
    await cast.request(
        "POST", f"/rooms/{room['id']}/epochs", made.json(state["members_version"]), token=first["access"]
    )
    room |= {"epoch": 1, "epoch_key": b64(made.key.secret)}


def bodies(person: dict[str, Any], room: dict[str, Any], *, size: int, count: int) -> list[str]:
    """`count` ciphertexts of `size` bytes in base64url, sealed as this person's device does in this room."""
    key, signer = EpochKey(RoomId(room["id"]), room["epoch"], unb64(room["epoch_key"])), _signer(person)
    empty = len(messages.encode(_payload("")))
    text = "x" * (size - messages.aead.OVERHEAD - messages.SIGNATURE - empty)
    made = [
        messages.seal(key, UserId(person["user"]), DeviceId(person["device"]), signer, _payload(text))
        for _ in range(count)
    ]
    if {len(one) for one in made} != {size}:
        raise ValueError(f"a sealed body has 156, 220, 284, … bytes, not {size}")
    return [b64(one) for one in made]


def _signer(person: dict[str, Any]) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(unb64(person["device_key"]))


def _payload(text: str) -> Payload:
    return Payload(MessageId("00000000-0000-7000-8000-000000000000"), "text", text, int(time.time() * 1000))
