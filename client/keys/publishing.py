"""Requests that publish the user's keys, each kept before it is sent: what it makes must outlive a lost answer and a kill.

    kept  →  sent, and again as it was until there is an answer  →  taken: pinned, its key added, its recovery key shown
                                                                └ not:   dropped

The server answers a repeat as the first time. Where it cannot (others have changed the same since, or a proof of the user
was in the request and is not kept), the vault tells whether a new recovery key came through: its slot is the one that was sent.
"""

import asyncio
from typing import Any, Final

from client.crypto import userkeys
from client.crypto.vault import RECOVERY
from client.errors import Refused
from client.keys.directory import Directory
from client.keys.keyring import Keyring, Pending
from client.session import Session

# Another change came first: this one was not taken, or it was, and has been followed by others.
OVERTAKEN: Final = frozenset({"seq", "version", "already_set_up"})


class Publisher:
    """`lock` is held by whoever changes the user's keys, from the look at what there is to the answer."""

    def __init__(self, session: Session, keyring: Keyring, directory: Directory) -> None:
        self._session = session
        self._keyring = keyring
        self._directory = directory
        self.lock = asyncio.Lock()

    async def publish(self, pending: Pending, **proof: str) -> None:
        """Send it. `proof`: what goes along and is not kept. Raises Refused, Unreachable, SignedOut."""
        self._keyring.wait_for(pending)
        try:
            await self._session.request(
                pending.method, pending.path, {**pending.body, **proof}, repeat=True, if_match=pending.if_match
            )
        except Refused as refusal:
            is_unsure = pending.recovery_key is not None and refusal.code in OVERTAKEN
            if not refusal.problem.may_retry and not is_unsure:
                self._keyring.wait_for(None)
            raise
        self._taken(pending)

    async def resume(self) -> None:
        """Finish what may have been under way when this client ended. Raises Refused when it was not taken; Unreachable."""
        pending = self._keyring.ring.pending
        # What an earlier sign-in of this store published says the vault, when it is opened next.
        if pending is None or pending.device != self._session.signed_in.device:
            return
        if pending.is_whole:
            try:
                await self.publish(pending)
            except Refused as refusal:
                if pending.recovery_key is None or refusal.code not in OVERTAKEN:
                    raise
        if self._keyring.ring.pending is not None:
            await self._ask_the_vault()

    async def finish(self) -> None:
        """The same; what is not taken was overtaken, and counts no more. Raises Unreachable, SignedOut, and Refused for now."""
        try:
            await self.resume()
        except Refused as refusal:
            if refusal.problem.may_retry:
                raise

    async def _ask_the_vault(self) -> None:
        try:
            sealed = await self._session.request("GET", "e2ee/vault")
        except Refused as refusal:
            if refusal.code != "keys_missing":
                raise
            sealed = None
        self.settle(sealed)

    def settle(self, sealed: object) -> None:
        """What is under way came through if the vault (as it travels) has its recovery key's slot. Else it is dropped."""
        pending = self._keyring.ring.pending
        if pending is None:
            return
        sent = _recovery_slot(pending.body.get("vault"))
        if pending.recovery_key is not None and sent is not None and sent == _recovery_slot(sealed):
            self._taken(pending)
        else:
            self._keyring.wait_for(None)

    def _taken(self, pending: Pending) -> None:
        user = self._session.signed_in.user
        if "userkeys" in pending.body:
            document, known = userkeys.read(pending.body["userkeys"], user), self._directory.known(user)
            # What followed it may be here already.
            is_ours = known is not None and known.identity == document.identity
            if known is None or (known.seq < document.seq if is_ours else pending.is_reset):
                self._directory.pin(user, document)
        # Last: until then it is all done again.
        self._keyring.settle(pending)


def _recovery_slot(sealed: object) -> Any:
    match sealed:
        case {"slots": [*slots]}:
            return next((slot["ct"] for slot in slots if isinstance(slot, dict) and slot.get("type") == RECOVERY), None)
    return None
