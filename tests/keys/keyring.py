"""A person's keys, made and signed as docs/protocol.md §6 says, with `cryptography` and nothing of ours.

keys = Keyring(alice)
await keys.sets_up()
await keys.puts(keys.document(keys.with_device(laptop)), by=laptop)
"""

import json
import os
import time
from hashlib import sha256
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from tests.cast import Device, Person, b64, ok

KIND = "chat.e2ee.v1.userkeys"


def a_kdf(**changes: Any) -> dict[str, Any]:
    """Argon2id's standard parameters with a salt of their own."""
    return {"alg": "argon2id", "m": 65_536, "t": 3, "p": 4, "salt": b64(os.urandom(16))} | changes


def signed(document: Any, key: Ed25519PrivateKey, *, kind: str = KIND, keyid: str = "uik") -> dict[str, Any]:
    """A DSSE envelope; a document that is bytes already is signed as it is."""
    payload = document if isinstance(document, bytes) else json.dumps(document, separators=(",", ":")).encode()
    signature = key.sign(b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload))
    return {
        "payloadType": kind,
        "payload": b64(payload),
        "signatures": [{"keyid": keyid, "sig": b64(signature)}],
    }


def payload_of(envelope: dict[str, Any]) -> bytes:
    """What an envelope says."""
    from tests.cast import unb64

    return unb64(envelope["payload"])


class Keyring:
    """What a client of this person keeps: identity, newest encryption key, devices, and where the chain is."""

    def __init__(self, person: Person, *, kdf: dict[str, Any] | None = None) -> None:
        self.person, self.kdf = person, kdf or a_kdf()
        self.begin()

    def begin(self) -> None:
        """A new identity, with the phone alone."""
        self.identity, self.encryption = Ed25519PrivateKey.generate(), X25519PrivateKey.generate()
        self.version, self.seq, self.vault_version = 1, 0, 0
        self.last = b""
        self.pruned: dict[str, Any] | None = None
        self.signing: dict[str, Ed25519PrivateKey] = {}
        self.devices: list[dict[str, Any]] = self.with_device(self.person.phone, to=[])

    # --- documents ---

    def with_device(self, device: Device, *, to: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
        """The list of devices with one more."""
        self.signing[device.id] = Ed25519PrivateKey.generate()
        entry = {
            "id": device.id,
            "key": b64(self.signing[device.id].public_key().public_bytes_raw()),
            "since": int(time.time()),
            "until": None,
            "box": b64(X25519PrivateKey.generate().public_key().public_bytes_raw()),
        }
        return [*(self.devices if to is None else to), entry]

    def without(self, *devices: Device, until: int | None = None) -> list[dict[str, Any]]:
        """The list of devices with these revoked."""
        ids = [device.id for device in devices]
        ended = int(time.time()) if until is None else until
        return [entry | {"until": ended} if entry["id"] in ids else entry for entry in self.devices]

    def document(self, devices: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
        """The next document; `changes` take the places of members, None takes one away."""
        found = {
            "v": 1,
            "user": self.person.id,
            "seq": self.seq + 1,
            "prev": b64(sha256(self.last).digest()) if self.last else "",
            "uik": b64(self.identity.public_key().public_bytes_raw()),
            "uek": {
                "ver": self.version,
                "suite": "x25519",
                "pk": b64(self.encryption.public_key().public_bytes_raw()),
            },
            "devices": self.devices if devices is None else devices,
            **({"pruned": self.pruned} if self.pruned else {}),
        } | changes
        return {name: value for name, value in found.items() if value is not None}

    def rotated(self) -> dict[str, Any]:
        """What `uek` says of a new encryption key."""
        self.encryption = X25519PrivateKey.generate()
        self.version += 1
        public = b64(self.encryption.public_key().public_bytes_raw())
        return {"ver": self.version, "suite": "x25519", "pk": public}

    def names_last(self) -> dict[str, Any]:
        """What `pruned` says when devices are left out."""
        return {"seq": self.seq, "hash": b64(sha256(self.last).digest())}

    def envelope(self, document: Any) -> dict[str, Any]:
        """The document, signed by the identity key."""
        return signed(document, self.identity)

    def vault(self, **changes: Any) -> dict[str, Any]:
        """The next vault. The server cannot see that nothing is in it."""
        return {
            "v": 1,
            "version": self.vault_version + 1,
            "ct": b64(os.urandom(300)),
            "slots": [
                {"type": "pw", "kdf": self.kdf, "ct": b64(os.urandom(60))},
                {"type": "rk", "ct": b64(os.urandom(60))},
            ],
        } | changes

    # --- what it does ---

    def took(self, envelope: dict[str, Any], vault: dict[str, Any] | None = None) -> None:
        """The server has taken it."""
        self.last = payload_of(envelope)
        document = json.loads(self.last)
        self.seq, self.devices, self.pruned = document["seq"], document["devices"], document.get("pruned")
        if vault is not None:
            self.vault_version = vault["version"]

    async def sets_up(self, **fields: Any) -> dict[str, Any]:
        """The first keys, from the phone; the request's body."""
        body = {"userkeys": self.envelope(self.document()), "vault": self.vault()} | fields
        ok(await self.person.phone.http.put("e2ee/setup", json=body), 201)
        self.took(body["userkeys"], body["vault"])
        return body

    async def tries(
        self, document: Any, *, by: Device | None = None, seq: int | None = None, **fields: Any
    ) -> httpx.Response:
        """PUT e2ee/userkeys, whatever the answer. A document that is an envelope already goes as it is."""
        envelope = document if "payloadType" in document else self.envelope(document)
        headers = {"If-Match": str(self.seq if seq is None else seq)}
        device = by or self.person.phone
        return await device.http.put("e2ee/userkeys", json={"userkeys": envelope, **fields}, headers=headers)

    async def puts(self, document: dict[str, Any], *, by: Device | None = None, **fields: Any) -> dict[str, Any]:
        """PUT e2ee/userkeys with success; the envelope."""
        envelope = self.envelope(document)
        ok(await self.tries(envelope, by=by, **fields), 200)
        self.took(envelope, fields.get("vault"))
        return envelope

    async def adds(self, name: str = "laptop") -> Device:
        """Sign in on another device, and list it."""
        device = await self.person.new_device(name)
        await self.puts(self.document(self.with_device(device)), by=device)
        return device

    async def rotates(self, **fields: Any) -> dict[str, Any]:
        """Another encryption key."""
        return await self.puts(self.document(uek=self.rotated()), vault=self.vault(), **fields)


async def seen_by(device: Device, *people: Person, **known: int) -> dict[str, Any]:
    """What this device is told of these people; `known`: name → the number that it has."""
    body = {"known": {person.id: known.get(person.name, 0) for person in people}}
    return dict(await device.posts("e2ee/users/query", body))


async def entries_of(device: Device, kind: str = "keys") -> list[dict[str, Any]]:
    """The entries of this kind in the mailbox, without their numbers."""
    page = await device.gets("mailbox", limit=500)
    return [
        {name: value for name, value in entry.items() if name not in ("seq", "kind")}
        if kind != "keys"
        else {name: value for name, value in entry.items() if name != "kind"}
        for entry in page["entries"]
        if entry["kind"] == kind
    ]
