"""Epochs as docs/protocol.md §6.4 and §6.6 say, made with `cryptography` and nothing of ours.

The wraps are random bytes of the right length: the server cannot tell.
"""

import os
import time
from hashlib import sha256
from typing import Any

from tests.cast import Device, b64, ok
from tests.keys.keyring import Keyring, payload_of, signed

KIND = "chat.e2ee.v1.epoch"


def a_wrap(version: int = 1) -> dict[str, Any]:
    return {"ver": version, "ct": b64(os.urandom(80))}


def lines_of(members: list[Keyring]) -> list[list[Any]]:
    """The roster of these members."""
    public = {keys: b64(keys.identity.public_key().public_bytes_raw()) for keys in members}
    return sorted([keys.person.id, public[keys], keys.version] for keys in members)


def digest_of(roster: list[list[Any]]) -> str:
    lines = sorted(f"{user}:{identity}:{version}\n" for user, identity, version in roster)
    return b64(sha256("".join(lines).encode()).digest())


class Room:
    """A room and its newest epoch, as one who makes epochs knows it."""

    def __init__(self, id: str, *members: Keyring) -> None:
        self.id, self.members = id, list(members)
        self.epoch, self.last = 0, b""
        self.members_version = 1

    def record(self, by: Keyring, at: Device | None = None, **changes: Any) -> dict[str, Any]:
        """What the next epoch's record says; `changes` take the places of members, None takes one away."""
        found = {
            "v": 1,
            "room": self.id,
            "epoch": self.epoch + 1,
            "prev": b64(sha256(self.last).digest()) if self.last else "",
            "creator": by.person.id,
            "device": (at or by.person.phone).id,
            "roster": digest_of(lines_of(self.members)),
            "commit": b64(os.urandom(32)),
            "ts": int(time.time()),
        } | changes
        return {name: value for name, value in found.items() if value is not None}

    def body(self, by: Keyring, *, device: Device | None = None, record: Any = None, **changes: Any) -> dict[str, Any]:
        """The request that makes the next epoch."""
        signer = (device or by.person.phone).id
        document = self.record(by, device) if record is None else record
        return {
            "members_version": self.members_version,
            "record": signed(document, by.signing[signer], kind=KIND, keyid=signer),
            "roster": lines_of(self.members),
            "wraps": {keys.person.id: a_wrap(keys.version) for keys in self.members},
        } | changes

    def took(self, body: dict[str, Any]) -> None:
        self.epoch += 1
        self.last = payload_of(body["record"])

    async def begins(self, by: Keyring, **changes: Any) -> dict[str, Any]:
        """Make the next epoch; the request's body."""
        body = self.body(by, **changes)
        assert ok(await by.person.phone.http.post(f"rooms/{self.id}/epochs", json=body), 201) == {
            "epoch": self.epoch + 1
        }
        self.took(body)
        return body

    async def tries(self, by: Keyring, body: dict[str, Any] | None = None, **changes: Any) -> tuple[int, str, Any]:
        """Try to make the next epoch: status, code, and the answer."""
        body = body or self.body(by, **changes)
        answer = await by.person.phone.http.post(f"rooms/{self.id}/epochs", json=body)
        said = answer.json()
        return answer.status_code, said.get("code", ""), said
