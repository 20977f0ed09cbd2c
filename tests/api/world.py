"""Alice, Bob, their rooms and messages: what the made-up requests are about, so that not all of them end in 404."""

import secrets
import time
from types import SimpleNamespace
from typing import Any

import httpx

from tests.cast import b64, new_id
from tests.epochs.maker import Room, a_wrap
from tests.keys.keyring import Keyring


class World:
    """Alice, who makes the requests, and what is hers to ask for."""

    def __init__(self, http: httpx.Client) -> None:
        self.http, self.epoch = http, 0
        self.alice, self.bob, self.carol = (self._register(name) for name in ("alice", "bob", "carol"))
        self.headers = {"Authorization": f"Bearer {self.alice['access']}"}
        self.direct = self._posts("rooms", {"kind": "direct", "peer": self.bob["user"]["id"]})["id"]
        self.group = self._posts("rooms", {"kind": "group", "members": [self.bob["user"]["id"]]})["id"]
        # Bob's second message is late: the first one says that it was written afterwards.
        self.later, self.message = (self._from_bob(ahead_ms) for ahead_ms in (1000, 0))
        self._wait_for(self.message)
        self._begin_epoch(self._set_up_keys())

    @property
    def is_intact(self) -> bool:
        """Whether Alice is signed in, and in the room with Bob."""
        answer = self.http.get(f"rooms/{self.group}", headers=self.headers)
        return answer.status_code == 200 and self.bob["user"]["id"] in answer.text

    def _register(self, name: str) -> dict[str, Any]:
        form = {"username": f"{name}.{secrets.token_hex(6)}", "password": secrets.token_hex(8), "device_name": "phone"}
        answer = self.http.post("accounts/register", json=form)
        assert answer.status_code == 201, answer.text
        session: dict[str, Any] = answer.json() | {"password": form["password"]}
        return session

    def _set_up_keys(self) -> Keyring:
        """Alice's keys, once and for all: whatever asks to store them again finds them stored."""
        phone = SimpleNamespace(id=self.alice["device"]["id"])
        keys = Keyring(SimpleNamespace(id=self.alice["user"]["id"], phone=phone))
        proofs = dict.fromkeys(("auth", "old_auth", "new_auth"), self.alice["password"])
        self.keys = proofs | {
            "userkeys": keys.envelope(keys.document()),
            "vault": keys.vault(),
            "kdf": keys.kdf,
            "recovery_auth": "derived",
            "boxes": {},
            "known": {self.bob["user"]["id"]: 0, self.alice["user"]["id"]: 0},
        }
        body = {name: self.keys[name] for name in ("userkeys", "vault", "recovery_auth")}
        answer = self.http.put("e2ee/setup", json=body, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return keys

    def _begin_epoch(self, keys: Keyring) -> None:
        """The first epoch of the group, for Alice alone, since Bob has no keys; making it again finds it made."""
        self.new_epoch = Room(self.group, keys).body(keys)
        self.epoch = self._posts(f"rooms/{self.group}/epochs", self.new_epoch)["epoch"]

    def _from_bob(self, ahead_ms: int) -> str:
        message = self.a_message()
        message["sent_at"] += ahead_ms
        headers = {"Authorization": f"Bearer {self.bob['access']}"}
        return str(self._posts("messages", message, headers)["id"])

    def _wait_for(self, message: str) -> None:
        deadline = time.monotonic() + 15
        while self.http.get(f"messages/{message}", headers=self.headers).status_code != 200:
            assert time.monotonic() < deadline, "Bob's message did not come"
            time.sleep(0.01)

    def _posts(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> dict[str, Any]:
        answer = self.http.post(path, json=body, headers=headers or self.headers)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def a_message(self) -> dict[str, Any]:
        """One that will be accepted."""
        return {
            "id": new_id(),
            "room": self.group,
            "sent_at": time.time_ns() // 1_000_000,
            "alg": "opaque.v1",
            "epoch": self.epoch,
            "ciphertext": b64(b"hello"),
        }

    def path_parameter(self, name: str) -> str | int | None:
        """Something of Alice's to take the place of a made-up part of a path."""
        return {
            "room_id": self.group,
            "message_id": self.message,
            "epoch": self.epoch,
            "user_id": self.bob["user"]["id"],
            "username": self.bob["user"]["username"],
        }.get(name)

    def at_home(self, body: Any) -> Any:
        """A body of the right form, about people, rooms and times that there are."""
        if not isinstance(body, dict):
            return body
        carol = self.carol["user"]["id"]
        known = {
            "peer": self.bob["user"]["id"],
            "user": self.bob["user"]["id"],
            "users": [carol],
            "members": [carol],
            "refresh": self.carol["refresh"],
            "later": self.later,
            "seq": 1,
            # Nothing is newer than nothing.
            "base_version": 0,
            "version": 0,
            "note": b64(b"sealed"),
            "username": self.bob["user"]["username"],
            **self.keys,
        }
        found = {name: known.get(name, value) for name, value in body.items()}
        if "new_auth" in found:
            found["vault"] = self.keys["vault"]
        if "record" in found:
            return self.new_epoch
        if "wraps" in found:
            return {"user": self.alice["user"]["id"], "wraps": [{"epoch": self.epoch, **a_wrap()}]}
        if "ciphertext" in found:
            return {"id": new_id(), **{name: value for name, value in self.a_message().items() if name != "id"}}
        if isinstance(found.get("messages"), list):
            found["messages"] = [self.at_home(message) for message in found["messages"]]
        return found
